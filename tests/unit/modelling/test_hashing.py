from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.modelling.hashing import stable_hash


def scalar(text: str, seed: int) -> int:
    """FNV-1a and fmix64, byte by byte, straight from their definitions."""
    state = 0xCBF29CE484222325
    for byte in (seed % 2**64).to_bytes(8, "little") + text.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        state = ((state ^ (state >> 33)) * factor) % 2**64
    return state ^ (state >> 33)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=20), st.integers(-(2**63), 2**63))
def test_it_is_fnv1a_with_fmix64(ids: list[str], seed: int) -> None:
    expected = [scalar(text, seed) for text in ids]
    assert stable_hash(pl.Series(ids, dtype=pl.String), seed=seed).tolist() == expected


def test_known_values_never_change() -> None:
    found = stable_hash(pl.Series(["", "c00001", "Zoë"]), seed=20260101)
    assert found.tolist() == [16758678949909926397, 17407302737812242287, 16138603841419973725]


def test_consecutive_ids_spread_evenly() -> None:
    hashed = stable_hash(pl.Series([f"c{number:06d}" for number in range(50_000)]), seed=1)
    counts = np.bincount((hashed >> np.uint64(60)).astype(int), minlength=16)
    assert np.abs(counts - 3125).max() < 5 * np.sqrt(3125)


def test_another_seed_gives_an_independent_order() -> None:
    ids = pl.Series([str(number) for number in range(20_000)])
    first, second = (stable_hash(ids, seed=seed).astype(float) for seed in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
