from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.modelling.metrics import Metrics, auc, calibration_error, evaluate, reliability


def world(rows: int = 3000, seed: int = 0, digits: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.5, 1.2, rows)
    probability = 1 / (1 + np.exp(-margin))
    return rng.random(rows) < probability, probability.round(digits)


@pytest.mark.parametrize("digits", [6, 1])
def test_it_agrees_with_scikit_learn_with_and_without_ties(digits: int) -> None:
    from sklearn import metrics

    churned, probability = world(digits=digits)
    found = evaluate(churned, probability)
    assert found.auc == pytest.approx(metrics.roc_auc_score(churned, probability), abs=1e-12)
    assert found.pr_auc == pytest.approx(metrics.average_precision_score(churned, probability), abs=1e-12)
    assert found.brier == pytest.approx(metrics.brier_score_loss(churned, probability), abs=1e-12)
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    assert found.log_loss == pytest.approx(metrics.log_loss(churned, inside), abs=1e-9)
    assert found.c_index == pytest.approx(found.auc, abs=1e-12)
    assert (found.rows, found.positives) == (3000, churned.sum())


def test_the_calibration_slope_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    churned, probability = world()
    probability = 1 / (1 + (1 / probability - 1) ** 2)  # log-odds doubled: too extreme
    log_odds = np.log(probability / (1 - probability))
    unpenalised = LogisticRegression(C=np.inf, tol=1e-10)  # type: ignore[no-untyped-call]
    expected = unpenalised.fit(log_odds[:, None], churned).coef_[0, 0]
    found = evaluate(churned, probability).calibration_slope
    assert found == pytest.approx(expected, rel=1e-3)
    assert found == pytest.approx(0.5, abs=0.05)


def test_true_probabilities_have_slope_one_and_hardly_any_calibration_error() -> None:
    churned, probability = world(50_000)
    found = evaluate(churned, probability)
    assert found.calibration_slope == pytest.approx(1, abs=0.04)
    assert found.calibration_error < 0.006


def test_probabilities_that_are_too_high_by_a_tenth_have_that_error() -> None:
    churned, probability = world(50_000)
    assert calibration_error(churned, probability + 0.1) == pytest.approx(0.1, abs=0.005)


def test_lift_and_recall_of_a_perfect_ranking() -> None:
    churned = np.arange(100) < 20
    found = evaluate(churned, np.linspace(0.9, 0.1, 100))
    assert found.lift_top_decile == pytest.approx(5)
    assert found.recall_top_decile == pytest.approx(0.5)


def test_a_constant_probability_ranks_nothing() -> None:
    churned = np.arange(100) % 4 == 0
    found = evaluate(churned, np.full(100, 0.25))
    assert [found.auc, found.lift_top_decile, found.pr_auc] == pytest.approx([0.5, 1, 0.25])
    assert found.calibration_slope is None
    assert found.calibration_error == pytest.approx(0)
    assert "calibration_slope" not in found.numbers()


def test_a_separating_model_has_a_finite_slope() -> None:
    churned = np.arange(200) < 100
    found = evaluate(churned, np.where(churned, 0.9, 0.1))
    assert found.calibration_slope is not None
    assert 1 < found.calibration_slope < 20


def test_certain_and_wrong_costs_much_but_not_infinity() -> None:
    found = evaluate(np.array([True, False]), np.array([0.0, 1.0]))
    assert 30 < found.log_loss < 40


@pytest.mark.parametrize(("churned", "said"), [([True, True], "2 of 2"), ([False], "0 of 1"), ([], "0 of 0")])
def test_one_class_cannot_be_measured(churned: list[bool], said: str) -> None:
    with pytest.raises(ChurnError, match=f"{said} rows churned"):
        evaluate(np.array(churned, dtype=bool), np.full(len(churned), 0.5))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 6]))
def test_the_order_of_rows_does_not_matter(seed: int, digits: int) -> None:
    churned, probability = world(200, seed=seed, digits=digits)
    order = np.random.default_rng(seed).permutation(200)
    first, second = evaluate(churned, probability), evaluate(churned[order], probability[order])
    assert second.numbers() == pytest.approx(first.numbers())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40))
def test_turning_the_score_round_turns_the_auc_round(rows: list[tuple[bool, int]]) -> None:
    churned, score = (np.array(column) for column in zip(*rows, strict=True))
    if churned.all() or not churned.any():
        return
    assert auc(churned, -score) == pytest.approx(1 - auc(churned, score))


def test_bins_have_equal_counts_and_ties_stay_together() -> None:
    churned, probability = world(1000)
    assert reliability(churned, probability)[2].tolist() == [100] * 10
    tied = np.repeat([0.1, 0.6], [700, 300])
    assert reliability(churned, tied)[2].tolist() == [700, 300]


def test_metrics_survive_json() -> None:
    found = evaluate(np.arange(10) < 5, np.full(10, 0.5))
    assert Metrics.model_validate_json(found.model_dump_json()) == found
