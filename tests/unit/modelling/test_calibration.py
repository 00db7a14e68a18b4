from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlib.modelling.calibration import Calibration, fit_calibration, log_likelihood, logistic_line, sigmoid


def world(rows: int, slope: float = 1.0, intercept: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins, and outcomes whose true log-odds are intercept + slope * margin."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.0, 1.5, rows)
    return margin, rng.random(rows) < sigmoid(intercept + slope * margin)


def test_right_margins_are_left_as_they_are() -> None:
    found = fit_calibration(*world(2000))
    assert (found.method, found.slope, found.intercept) == ("none", 1.0, 0.0)
    assert "no correction needed" in found.reason
    margin = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(found.apply(margin), 1 / (1 + np.exp(-margin)))


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.0), (1.0, 0.7), (1.6, -0.5)])
def test_wrong_margins_are_corrected(slope: float, intercept: float) -> None:
    found = fit_calibration(*world(20_000, slope, intercept))
    assert found.method == "platt"
    assert found.slope == pytest.approx(slope, abs=0.06)
    assert found.intercept == pytest.approx(intercept, abs=0.08)


def test_a_needless_correction_is_as_rare_as_promised() -> None:
    corrected = [fit_calibration(*world(400, seed=seed)).method == "platt" for seed in range(300)]
    assert np.mean(corrected) < 0.1


def test_a_correction_that_would_turn_the_ranking_round_is_not_made() -> None:
    found = fit_calibration(*world(5000, slope=-1.0))
    assert found.method == "none"
    assert "turn the ranking round" in found.reason


def test_separated_classes_give_a_finite_line() -> None:
    margin = np.concatenate([np.full(50, -3.0), np.full(50, 3.0)])
    intercept, slope = logistic_line(margin, margin > 0)
    assert np.isfinite([intercept, slope]).all()
    assert slope > 1


def test_the_line_is_where_no_neighbour_is_likelier() -> None:
    margin, churned = world(1000, 0.6, 0.3)
    intercept, slope = logistic_line(margin, churned, prior=0.0)
    best = log_likelihood(intercept + slope * margin, churned)
    for a, b in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        assert log_likelihood(intercept + a + (slope + b) * margin, churned) < best


@given(st.floats(-1e4, 1e4))
def test_probabilities_never_leave_zero_and_one(margin: float) -> None:
    probability = Calibration(method="platt", slope=2.0, intercept=-1.0).apply(np.array([margin]))[0]
    assert 0 <= probability <= 1


def test_calibration_survives_json() -> None:
    found = fit_calibration(*world(3000, 0.5))
    assert Calibration.model_validate_json(found.model_dump_json()) == found
