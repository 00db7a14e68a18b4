"""Repetitions in a stream of keys."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.intake import key_set
from churnlib.intake.key_set import KeySet, keys_of
from churnlib.spec import AS_OF, ID

KEYS = st.one_of(st.integers(0, 20), st.integers(2**64 - 5, 2**64 - 1), st.integers(0, 2**64 - 1))


@given(st.lists(st.lists(KEYS, max_size=8), max_size=40), st.sampled_from([4, 20, 1000]))
@settings(max_examples=200, deadline=None)
def test_a_key_is_repeated_from_the_second_time_on(chunks: list[list[int]], longest_run: int) -> None:
    seen: set[int] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_set, "_LONGEST_RUN", longest_run)
        patch.setattr(key_set, "_MERGED_AT_ONCE", 3)
        keys = KeySet()
        for chunk in chunks:
            expected = [key in seen or key in chunk[:place] for place, key in enumerate(chunk)]
            assert keys.add(np.array(chunk, np.uint64)).tolist() == expected
            seen.update(chunk)


def test_the_key_is_of_customer_and_date_and_of_nothing_else() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 2), date(1969, 12, 31)]
    rows = pl.DataFrame({ID: ["a", "b", "a", "a"], AS_OF: days, "n": [1.0, 2.0, 3.0, 4.0]})
    keys = keys_of(rows)
    assert len(set(keys.tolist())) == 4
    assert (keys_of(rows.reverse().with_columns(n=None)) == keys[::-1]).all()


def test_ids_that_look_alike_do_not_share_a_key() -> None:
    ids = pl.select(pl.format("c{}", pl.int_range(1_000_000)).alias(ID), pl.lit(date(2026, 1, 1)).alias(AS_OF))
    assert np.unique(keys_of(ids)).size == ids.height
