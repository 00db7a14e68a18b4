"""Which challengers a person is asked about, and which never get so far."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from churnlib.governance.evidence import Evidence, Slice
from churnlib.governance.gates import LEAK_AUC, MIN_POSITIVES, MIN_ROWS, judge
from churnlib.modelling.intervals import Interval
from churnlib.modelling.metrics import Metrics
from churnlib.spec import PromotionPolicy

POLICY = PromotionPolicy()


def _metrics(auc: float = 0.8, calibration_error: float = 0.01) -> Metrics:
    return Metrics(
        auc=auc,
        pr_auc=0.3,
        log_loss=0.2,
        brier=0.05,
        calibration_slope=1.0,
        calibration_error=calibration_error,
        lift_top_decile=4.0,
        recall_top_decile=0.4,
        c_index=auc,
        rows=20_000,
        positives=1_000,
    )


def _gap(low: float, high: float) -> Interval:
    return Interval(estimate=(low + high) / 2, low=low, high=high)


def _slice(low: float, high: float) -> Slice:
    return Slice(
        feature="plan",
        value="budget",
        rows=3_000,
        positives=150,
        auc_champion=0.8,
        auc_challenger=0.8 + (low + high) / 2,
        difference=_gap(low, high),
    )


def _evidence(**changes: Any) -> Evidence:
    usual: dict[str, Any] = {
        "model": "box",
        "champion": 1,
        "challenger": 2,
        "rows": 20_000,
        "positives": 1_000,
        "first_as_of": date(2026, 1, 12),
        "last_as_of": date(2026, 1, 12),
        "cutoff": date(2026, 1, 5),
        "champion_metrics": _metrics(0.7),
        "challenger_metrics": _metrics(),
        "challenger_auc": _gap(0.78, 0.82),
        "difference": _gap(0.08, 0.12),
        "confidence": 0.95,
        "slices": (_slice(0.05, 0.15),),
        "call_list": None,
    }
    return Evidence(**{**usual, **changes})


def _alone(**changes: Any) -> Evidence:
    return _evidence(champion=None, champion_metrics=None, difference=None, slices=(), **changes)


def test_a_clear_winner_passes_and_every_gate_says_why() -> None:
    result = judge(_evidence(), POLICY)
    assert result.passed
    assert len(result.reasons) == 4
    assert any("+0.100, +0.080 to +0.120 at 95%" in reason for reason in result.reasons)


def test_a_worse_challenger_is_held() -> None:
    result = judge(_evidence(difference=_gap(-0.12, -0.08)), POLICY)
    assert not result.passed
    assert result.reasons == ("ranks worse than the champion: AUC -0.100, -0.120 to -0.080 at 95%",)


@pytest.mark.parametrize("gap", [_gap(0.0, 0.0), _gap(-0.002, 0.01)], ids=["identical", "within noise"])
def test_an_equal_challenger_is_held(gap: Interval) -> None:
    result = judge(_evidence(difference=gap), POLICY)
    assert not result.passed
    assert result.reasons[0].startswith("does not win by more than noise")


def test_without_a_champion_better_than_chance_is_enough() -> None:
    assert judge(_alone(), POLICY).passed


def test_without_a_champion_chance_is_not_enough() -> None:
    result = judge(_alone(challenger_auc=_gap(0.49, 0.55), challenger_metrics=_metrics(0.52)), POLICY)
    assert not result.passed
    assert "chance" in result.reasons[0]


def test_without_a_champion_calibration_still_counts() -> None:
    assert not judge(_alone(challenger_metrics=_metrics(calibration_error=0.2)), POLICY).passed


def test_a_challenger_out_of_calibration_is_held() -> None:
    result = judge(_evidence(challenger_metrics=_metrics(calibration_error=0.051)), POLICY)
    assert result.reasons == ("calibration error 0.051 is above 0.05",)


def test_a_calibration_error_that_is_no_number_is_held() -> None:
    assert not judge(_evidence(challenger_metrics=_metrics(calibration_error=float("nan"))), POLICY).passed


def test_a_lost_slice_is_held_and_named() -> None:
    result = judge(_evidence(slices=(_slice(0.05, 0.15), _slice(-0.05, -0.01))), POLICY)
    assert not result.passed
    assert len(result.reasons) == 1
    assert result.reasons[0].startswith("loses plan = budget: AUC 0.800 -> 0.770 on 3,000 rows")


@pytest.mark.parametrize(
    "part",
    [_slice(-0.09, 0.01), _slice(-0.03, -0.005)],
    ids=["a loss within noise", "a certain loss within the tolerance"],
)
def test_a_slice_that_may_not_have_lost_does_not_hold(part: Slice) -> None:
    assert judge(_evidence(slices=(part,)), POLICY).passed


def test_a_slice_too_small_to_judge_does_not_hold() -> None:
    small = _slice(-0.5, -0.4).model_copy(update={"difference": None})
    assert judge(_evidence(slices=(small,)), POLICY).passed


@pytest.mark.parametrize("few", [{"rows": MIN_ROWS - 1}, {"positives": MIN_POSITIVES - 1}])
def test_too_few_rows_decide_nothing(few: dict[str, int]) -> None:
    result = judge(_evidence(**few), POLICY)
    assert not result.passed
    assert "200 with 30 are needed" in result.reasons[0]


def test_a_leaking_challenger_is_held_although_it_wins() -> None:
    result = judge(_evidence(challenger_metrics=_metrics(0.999)), POLICY)
    assert not result.passed
    assert result.reasons == (
        f"AUC 0.9990 is too good to be true (above {LEAK_AUC}): a feature probably knows the outcome",
    )


def test_every_reason_against_is_given() -> None:
    bad = _evidence(rows=10, difference=_gap(-0.1, 0.1), challenger_metrics=_metrics(calibration_error=0.3))
    assert len(judge(bad, POLICY).reasons) == 3
