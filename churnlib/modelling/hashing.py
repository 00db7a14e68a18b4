"""A hash of ids that is the same on every machine, in every process and in every version of any library."""

from __future__ import annotations

import numpy as np
import polars as pl

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)


def stable_hash(ids: pl.Series, *, seed: int) -> np.ndarray:
    """Return a 64-bit hash of each id's UTF-8 bytes, uint64, evenly spread.

    FNV-1a over the seed's eight bytes (little-endian) and then the text's, finished by MurmurHash3's
    `fmix64` because FNV alone mixes the high bits of short texts badly. polars' own hash promises
    nothing between versions, and a hash of `hashlib` would loop over the rows; this one loops over
    the characters of the longest id and does all rows at once.

    Args:
        ids: String, no nulls.
        seed: any integer of 64 bits, so that two uses of the hash are independent.
    """
    lengths = ids.str.len_bytes().to_numpy().astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    text = np.frombuffer("".join(ids.str.join("").to_list()).encode(), dtype=np.uint8)
    state = np.full(len(ids), _fnv_of_seed(seed), dtype=np.uint64)
    longest_first = np.argsort(-lengths, kind="stable")
    ends = np.searchsorted(-lengths[longest_first], -np.arange(lengths.max(initial=0)), side="left")
    for position, rows in enumerate(ends):
        at = longest_first[:rows]
        state[at] = (state[at] ^ text[starts[at] + position]) * _PRIME
    return _fmix64(state)


def _fnv_of_seed(seed: int) -> np.uint64:
    state = int(_OFFSET)
    for byte in (seed % 2**64).to_bytes(8, "little"):
        state = ((state ^ byte) * int(_PRIME)) % 2**64
    return np.uint64(state)


def _fmix64(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.asarray(state ^ (state >> np.uint64(33)))
