"""A growing set of 64-bit keys in sorted runs, for finding repetitions in a stream."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from churnlib.spec import AS_OF, ID

Keys = NDArray[np.uint64]

_MERGED_AT_ONCE = 8
_LONGEST_RUN = 1 << 21
_LEADING_BITS = 28
"""32 MiB of flags: of 10 million keys 4 in 100 are looked up in vain."""
_SEED = 20_260_101
_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)


def keys_of(accepted: pl.DataFrame) -> Keys:
    """A hash of each row's customer and `as_of`.

    Of n customers two share one with a probability of n^2 / 2^65: three in a million at 10 million rows.
    """
    ids = accepted[ID].hash(seed=_SEED).to_numpy()
    days = accepted[AS_OF].to_physical().to_numpy().astype(np.uint64)
    return np.asarray(ids ^ (days * _SPREAD), np.uint64)


class KeySet:
    """Keys that were seen, at 8 bytes each and 32 MiB of flags.

    Eight runs of like length are merged into one, as in a log-structured merge tree (O'Neil et al. 1996), up to
    a length from which merging costs more than it spares. Before the runs are searched, a flag for the leading
    bits of a key says whether it can be in one.
    """

    def __init__(self) -> None:
        self._levels: list[list[Keys]] = [[]]
        self._flags = np.zeros(1 << (_LEADING_BITS - 3), np.uint8)

    def add(self, keys: Keys) -> NDArray[np.bool_]:
        """Add keys; says which of them were there, or came earlier among these."""
        ordered = np.sort(keys)
        known = self._known(ordered)
        is_repeated = np.isin(keys, known) if known.size else np.zeros(keys.size, np.bool_)
        if (ordered[1:] == ordered[:-1]).any():
            is_repeated |= ~pl.Series(keys).is_first_distinct().to_numpy()
            ordered = np.unique(ordered)
        new = np.setdiff1d(ordered, known, assume_unique=True) if known.size else ordered
        if new.size:
            self._insert(new, 0)
            self._mark(new)
        return is_repeated

    def _known(self, ordered: Keys) -> Keys:
        """Those of the sorted keys that are in a run."""
        byte, flag = _place(ordered)
        maybe = ordered[(self._flags[byte] & flag) > 0]
        found = [maybe[_is_in(maybe, run)] for runs in self._levels for run in runs]
        return np.concatenate([maybe[:0], *found])

    def _insert(self, run: Keys, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(run)
        if len(runs) >= _MERGED_AT_ONCE and sum(map(len, runs)) <= _LONGEST_RUN:
            merged = np.sort(np.concatenate(runs))
            runs.clear()
            self._insert(merged, level + 1)

    def _mark(self, new: Keys) -> None:
        byte, flag = _place(new)
        first = np.flatnonzero(np.diff(byte, prepend=-1))  # keys of one byte follow each other
        self._flags[byte[first]] |= np.bitwise_or.reduceat(flag, first)


def _place(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where the flag of each key is: its byte, and the bit in it."""
    leading = (keys >> np.uint64(64 - _LEADING_BITS)).astype(np.int64)
    return leading >> 3, np.left_shift(np.uint8(1), (leading & 7).astype(np.uint8))


def _is_in(ordered: Keys, run: Keys) -> NDArray[np.bool_]:
    at = np.searchsorted(run, ordered)
    return np.asarray(run[np.minimum(at, run.size - 1)] == ordered)
