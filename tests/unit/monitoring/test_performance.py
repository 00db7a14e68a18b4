"""Outcomes that matured, and what they say about the champion."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.modelling.metrics import evaluate
from churnlib.monitoring.performance import (
    Performance,
    calibration_noise,
    judge_performance,
    measure_performance,
)
from churnlib.records import Report, ReportKind
from churnlib.spec import RetrainingPolicy

MONDAY = date(2026, 10, 26)
HORIZON = 30
MATURE = MONDAY + timedelta(days=HORIZON)
OWN_TEST = (0.80, 0.84)
POLICY = RetrainingPolicy()


def predictions(probability: np.ndarray, as_of: date = MONDAY) -> pl.DataFrame:
    ids = [f"c{place}" for place in range(probability.size)]
    return pl.DataFrame({"customer_id": ids, "as_of": as_of, "probability": probability})


def outcomes(churned: np.ndarray, as_of: date = MONDAY, known_at: date = MATURE) -> pl.DataFrame:
    ids = [f"c{place}" for place in range(churned.size)]
    return pl.DataFrame({"customer_id": ids, "as_of": as_of, "churned": churned, "known_at": known_at})


def world(rows: int, signal: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of about 20 % churn, better ranked with more signal, and what happened."""
    generator = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(1.6 + signal * generator.normal(size=rows)))
    return probability, generator.random(rows) < probability


def measured(rows: int = 5000, signal: float = 1.5, *, exaggerate: float = 1.0) -> Performance:
    probability, churned = world(rows, signal)
    return measure_performance(
        predictions(probability * exaggerate), outcomes(churned), horizon_days=HORIZON, cutoff=MATURE
    )


def report(weeks_ago: int, verdict: str) -> Report:
    return Report(
        model="shop",
        kind=ReportKind.PERFORMANCE,
        batch_id=str(weeks_ago),
        version=1,
        as_of=MONDAY - timedelta(weeks=weeks_ago),
        verdict=verdict,
        reason="",
        created_at=datetime(2026, 10, 26, tzinfo=UTC),
    )


def test_metrics_are_those_of_the_joined_rows_whatever_their_order() -> None:
    probability, churned = world(2000, 1.5)
    performance = measure_performance(
        predictions(probability).sample(fraction=1, shuffle=True, seed=1),
        outcomes(churned).reverse(),
        horizon_days=HORIZON,
        cutoff=MATURE,
    )
    expected = evaluate(churned, probability)
    assert performance.metrics is not None
    assert performance.metrics.auc == expected.auc
    assert performance.metrics.brier == pytest.approx(expected.brier, rel=1e-12)
    assert performance.auc_interval is not None
    assert performance.auc_interval[0] < expected.auc < performance.auc_interval[1]
    assert (performance.matured, performance.pending, performance.censored) == (2000, 0, 0)
    assert performance.as_of == MONDAY


def test_the_same_rows_in_another_order_give_the_same_interval() -> None:
    probability, churned = world(500, 1.5)
    given = predictions(probability)
    first, second = (
        measure_performance(frame, outcomes(churned), horizon_days=HORIZON, cutoff=MATURE)
        for frame in (given, given.reverse())
    )
    assert first == second


def test_nothing_matures_before_the_horizon_has_passed_even_if_it_is_known() -> None:
    probability, churned = world(100, 1.5)
    early = outcomes(churned, known_at=MONDAY + timedelta(days=1))
    performance = measure_performance(
        predictions(probability), early, horizon_days=HORIZON, cutoff=MATURE - timedelta(days=1)
    )
    assert (performance.matured, performance.pending, performance.metrics) == (0, 100, None)
    verdict = judge_performance(performance, OWN_TEST, (), POLICY)
    assert verdict.verdict == "unknown"
    assert verdict.reason == "no outcome has matured yet; 0 matured, 100 pending, 0 without an outcome"


def test_an_outcome_known_only_after_the_cutoff_is_not_used() -> None:
    probability, churned = world(100, 1.5)
    late = outcomes(churned, known_at=MATURE + timedelta(days=1))
    performance = measure_performance(predictions(probability), late, horizon_days=HORIZON, cutoff=MATURE)
    assert (performance.matured, performance.censored) == (0, 100)


def test_predictions_without_an_outcome_are_censored_and_outcomes_without_a_prediction_ignored() -> None:
    probability, churned = world(100, 1.5)
    performance = measure_performance(
        predictions(probability[:60]), outcomes(churned).tail(80), horizon_days=HORIZON, cutoff=MATURE
    )
    assert (performance.rows, performance.matured, performance.censored) == (60, 40, 20)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40))
def test_matured_pending_and_censored_add_up(cutoff_days: int, known_days: int, delivered: int) -> None:
    probability, churned = world(20, 1.5)
    two_weeks = pl.concat([predictions(probability), predictions(probability, MONDAY + timedelta(days=7))])
    known = outcomes(churned, known_at=MONDAY + timedelta(days=known_days)).head(delivered)
    performance = measure_performance(
        two_weeks, known, horizon_days=HORIZON, cutoff=MONDAY + timedelta(days=cutoff_days), rounds=50
    )
    assert performance.matured + performance.pending + performance.censored == performance.rows == 40
    assert performance.as_of == MONDAY + timedelta(days=7)


@pytest.mark.parametrize(("churned", "said"), [(False, "stayed"), (True, "churned")])
def test_one_outcome_for_all_has_no_metrics_and_says_why(churned: bool, said: str) -> None:
    performance = measure_performance(
        predictions(np.linspace(0.1, 0.9, 50)),
        outcomes(np.full(50, churned)),
        horizon_days=HORIZON,
        cutoff=MATURE,
    )
    assert performance.metrics is None
    assert performance.why_not == f"all 50 matured customers {said}"
    assert judge_performance(performance, OWN_TEST, (), POLICY).verdict == "unknown"


def test_a_customer_predicted_twice_at_one_date_is_an_error() -> None:
    probability, churned = world(10, 1.5)
    twice = pl.concat([predictions(probability)] * 2)
    with pytest.raises(pl.exceptions.ComputeError):
        measure_performance(twice, outcomes(churned), horizon_days=HORIZON, cutoff=MATURE)


def test_no_predictions_are_an_error() -> None:
    probability, churned = world(10, 1.5)
    with pytest.raises(ValueError, match="no predictions"):
        measure_performance(
            predictions(probability).clear(), outcomes(churned), horizon_days=HORIZON, cutoff=MATURE
        )


def test_a_champion_as_good_as_promised_is_healthy() -> None:
    verdict = judge_performance(measured(), OWN_TEST, (), POLICY, max_calibration_error=0.05)
    assert verdict.verdict == "healthy"
    assert verdict.reason.endswith("is not below 0.800, the least its own test promised")


def test_a_champion_that_ranks_worse_is_low_at_first_and_degraded_when_it_lasts() -> None:
    worse = measured(signal=0.5)
    assert judge_performance(worse, OWN_TEST, (), POLICY).verdict == "low"
    verdict = judge_performance(worse, OWN_TEST, (report(1, "low"),), POLICY)
    assert verdict.verdict == "degraded"
    assert verdict.reason.endswith("; measurement 2 on end that is low, 2 are degraded")


def test_worse_by_no_more_than_noise_is_healthy() -> None:
    few = measured(rows=150, signal=1.2)
    assert few.metrics is not None
    assert few.metrics.auc < OWN_TEST[0]
    assert judge_performance(few, OWN_TEST, (), POLICY).verdict == "healthy"


def test_the_policys_drop_is_allowed() -> None:
    worse = measured(signal=0.5)
    assert worse.auc_interval is not None
    tolerant = RetrainingPolicy(min_auc_drop=OWN_TEST[0] - worse.auc_interval[1] + 0.001)
    assert judge_performance(worse, OWN_TEST, (), tolerant).verdict == "healthy"


def test_a_healthy_measurement_in_between_starts_the_count_again() -> None:
    history = (report(3, "low"), report(2, "degraded"), report(1, "healthy"))
    assert judge_performance(measured(signal=0.5), OWN_TEST, history, POLICY).verdict == "low"


def test_measurements_of_nothing_and_later_ones_do_not_break_or_make_a_run() -> None:
    history = (report(2, "low"), report(1, "unknown"))
    assert judge_performance(measured(signal=0.5), OWN_TEST, history, POLICY).verdict == "degraded"
    later = (report(-1, "low"), report(0, "low"))
    assert judge_performance(measured(signal=0.5), OWN_TEST, later, POLICY).verdict == "low"


def test_too_few_of_one_outcome_are_not_judged() -> None:
    churned = np.arange(400) < 9
    performance = measure_performance(
        predictions(np.linspace(0.1, 0.9, 400)), outcomes(churned), horizon_days=HORIZON, cutoff=MATURE
    )
    assert performance.metrics is not None
    assert performance.metrics.auc < 0.1
    verdict = judge_performance(performance, OWN_TEST, (), POLICY)
    assert verdict.verdict == "unknown"
    assert verdict.reason.startswith("9 churned of 400 matured customers are too few")


def test_without_a_test_interval_nothing_is_claimed() -> None:
    assert judge_performance(measured(), None, (), POLICY).verdict == "unknown"


def test_lost_calibration_is_said_and_which_way_it_went() -> None:
    lost = judge_performance(measured(exaggerate=1.5), OWN_TEST, (), POLICY, max_calibration_error=0.05)
    assert lost.verdict == "healthy"  # the ranking holds
    assert "; calibration error 0." in lost.reason
    assert "is above 0.050 (" in lost.reason


def test_a_calibration_error_that_sampling_explains_is_not_said() -> None:
    few = measured(rows=200)
    assert few.metrics is not None
    below = few.metrics.calibration_error - 0.5 * calibration_noise(few.metrics)
    verdict = judge_performance(few, OWN_TEST, (), POLICY, max_calibration_error=max(below, 0.001))
    assert "calibration" not in verdict.reason


def test_the_calibration_noise_bounds_what_perfect_probabilities_show() -> None:
    errors, noise = [], []
    for seed in range(40):
        probability, churned = world(500, 1.0, seed)
        metrics = evaluate(churned, probability)
        errors.append(metrics.calibration_error)
        noise.append(calibration_noise(metrics))
    assert np.mean(errors) <= np.mean(noise) <= 1.5 * np.mean(errors)


def test_a_measurement_survives_json_and_has_a_headline() -> None:
    performance = measured(rows=500)
    assert Performance.model_validate_json(performance.model_dump_json()) == performance
    assert performance.metrics is not None
    assert performance.headline["auc"] == performance.metrics.auc
    assert performance.headline["matured"] == 500
