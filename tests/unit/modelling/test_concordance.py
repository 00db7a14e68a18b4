from __future__ import annotations

import time as clock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.modelling.concordance import c_index
from churnlib.modelling.metrics import auc


def by_pairs(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float | None:
    """Harrell's definition, pair by pair; None without a comparable pair."""
    wins, pairs = 0.0, 0
    for i in np.flatnonzero(event):
        outlived = (time > time[i]) | ((time == time[i]) & ~event)
        pairs += int(outlived.sum())
        wins += float((risk[i] > risk[outlived]).sum() + (risk[i] == risk[outlived]).sum() / 2)
    return wins / pairs if pairs else None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_it_counts_what_the_definition_counts(rows: list[tuple[int, bool, int]]) -> None:
    time, event, risk = (np.array(column) for column in zip(*rows, strict=True))
    expected = by_pairs(time, event, risk)
    if expected is None:
        with pytest.raises(ChurnError, match="No pair among"):
            c_index(time, event, risk)
    else:
        assert c_index(time, event, risk) == pytest.approx(expected, abs=1e-12)


def test_the_right_order_is_one_the_reverse_zero_and_a_constant_one_half() -> None:
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True])
    assert c_index(time, event, -time) == 1
    assert c_index(time, event, time) == 0
    assert c_index(time, event, np.zeros(4)) == 0.5


def test_a_customer_censored_before_an_event_is_not_compared_with_it() -> None:
    assert c_index(np.array([1.0, 2.0, 3.0]), np.array([False, True, False]), np.array([9.0, 5.0, 1.0])) == 1


def test_for_a_binary_outcome_it_is_the_auc() -> None:
    rng = np.random.default_rng(3)
    churned, risk = rng.random(500) < 0.2, rng.integers(0, 30, 500)
    assert c_index(np.where(churned, 0, 1), churned, risk) == pytest.approx(auc(churned, risk), abs=1e-12)


def test_two_hundred_thousand_rows_take_no_quadratic_time() -> None:
    rng = np.random.default_rng(4)
    start = clock.process_time()
    found = c_index(rng.random(200_000), rng.random(200_000) < 0.3, rng.random(200_000))
    assert clock.process_time() - start < 5
    assert found == pytest.approx(0.5, abs=0.01)
