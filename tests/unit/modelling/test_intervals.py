from __future__ import annotations

import time

import numpy as np
import pytest

from churnlib.errors import ChurnError
from churnlib.modelling.intervals import bootstrap_interval, paired_auc_difference
from churnlib.modelling.metrics import auc


def world(rows: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, a good score, and the same score with noise on it."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.5, 1.2, rows)
    churned = rng.random(rows) < 1 / (1 + np.exp(-margin))
    return churned, margin, margin + rng.normal(0, noise, rows)


def test_the_interval_holds_the_estimate_and_narrows_with_more_rows() -> None:
    small, large = (bootstrap_interval(*world(rows, 1)[:2], rounds=300, seed=5) for rows in (500, 8000))
    for interval in (small, large):
        assert interval.low < interval.estimate < interval.high
    assert large.high - large.low < (small.high - small.low) / 2.5


def test_its_width_is_that_of_resampling_rows() -> None:
    churned, score, _ = world(800, 2)
    rng = np.random.default_rng(0)
    picks = rng.integers(0, 800, (600, 800))
    resampled = np.quantile([auc(churned[pick], score[pick]) for pick in picks], [0.025, 0.975])
    found = bootstrap_interval(churned, score, rounds=2000, seed=1)
    assert [found.low, found.high] == pytest.approx(resampled.tolist(), abs=0.006)


def test_about_as_many_intervals_hold_the_truth_as_they_promise() -> None:
    truth = auc(*world(400_000, 0)[:2])
    held = [
        interval.low <= truth <= interval.high
        for interval in (
            bootstrap_interval(*world(600, seed)[:2], rounds=200, seed=seed, confidence=0.9)
            for seed in range(1, 151)
        )
    ]
    assert 0.82 <= np.mean(held) <= 0.96


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    churned, score, _ = world(300, 3)
    first, again, other = (bootstrap_interval(churned, score, rounds=100, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_ties_count_one_half_in_every_round() -> None:
    churned = np.arange(100) < 30
    found = bootstrap_interval(churned, np.zeros(100), rounds=50, seed=1)
    assert (found.low, found.estimate, found.high) == (0.5, 0.5, 0.5)


def test_a_better_score_has_a_difference_clearly_above_zero() -> None:
    churned, good, noisy = world(5000, 4)
    found = paired_auc_difference(churned, good, noisy, rounds=300, seed=1)
    assert found.estimate == pytest.approx(auc(churned, good) - auc(churned, noisy))
    assert found.low > 0
    turned = paired_auc_difference(churned, noisy, good, rounds=300, seed=1)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_a_score_does_not_differ_from_itself() -> None:
    churned, good, _ = world(500, 5)
    found = paired_auc_difference(churned, good, good * 2, rounds=100, seed=1)
    assert (found.low, found.estimate, found.high) == (0, 0, 0)


def test_pairing_is_narrower_than_two_separate_intervals() -> None:
    churned, good, noisy = world(3000, 6, noise=0.2)
    paired = paired_auc_difference(churned, good, noisy, rounds=300, seed=1)
    alone = bootstrap_interval(churned, good, rounds=300, seed=1)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_one_class_has_no_interval() -> None:
    with pytest.raises(ChurnError, match="0 of 50 rows churned"):
        bootstrap_interval(np.zeros(50, dtype=bool), np.arange(50), rounds=50, seed=1)


def test_twenty_thousand_rows_take_seconds_not_minutes() -> None:
    churned, good, noisy = world(20_000, 7)
    start = time.process_time()
    paired_auc_difference(churned, good, noisy, rounds=400, seed=1)
    assert time.process_time() - start < 4
