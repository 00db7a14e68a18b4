"""Performance: predictions against the outcomes that have matured, and whether the champion got worse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import pi, sqrt
from typing import Literal, NamedTuple

import polars as pl

from churnlib.modelling.intervals import bootstrap_interval
from churnlib.modelling.metrics import BINS, Metrics, evaluate
from churnlib.records import Record, Report
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL, RetrainingPolicy

PerformanceLevel = Literal["healthy", "low", "degraded", "unknown"]

FEWEST = 10
"""Rows of either class below which a bootstrap interval says nothing."""


class Performance(Record):
    """How one version's predictions came out. `rows` is `matured` + `pending` + `censored`.

    Attributes:
        as_of: latest date among the predictions.
        cutoff: nothing known later than this was used.
        matured: predictions whose horizon has passed and whose outcome was known by the cut-off.
        pending: predictions whose horizon has not passed, even where the outcome is known: those that
            are known early are mostly churners.
        censored: predictions whose horizon has passed without an outcome known by the cut-off.
        mean_probability: of the matured predictions; None without any.
        metrics: of the matured predictions; None while they have not both outcomes.
        auc_interval: bootstrap interval of the AUC.
        confidence: of that interval.
        why_not: why there are no metrics, for people.
    """

    as_of: date
    cutoff: date
    rows: int
    matured: int
    pending: int
    censored: int
    mean_probability: float | None = None
    metrics: Metrics | None = None
    auc_interval: tuple[float, float] | None = None
    confidence: float = 0.95
    why_not: str | None = None

    @property
    def headline(self) -> dict[str, float | None]:
        """The numbers that stand in a report."""
        counts = {"matured": self.matured, "pending": self.pending, "censored": self.censored}
        low, high = self.auc_interval or (None, None)
        numbers = self.metrics.numbers() if self.metrics else {}
        return {**counts, **numbers, "auc_low": low, "auc_high": high}


class PerformanceVerdict(NamedTuple):
    """What a measurement means; `reason` is one sentence for people."""

    verdict: PerformanceLevel
    reason: str


def measure_performance(
    predictions: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    horizon_days: int,
    cutoff: date,
    seed: int = 0,
    rounds: int = 400,
    confidence: float = 0.95,
) -> Performance:
    """Join predictions with outcomes by customer and `as_of`; only what matured by the cut-off counts.

    Args:
        predictions: one row per customer and `as_of`, with `probability`; all of one version.
        outcomes: an outcomes frame; rows without a prediction are passed over.
        horizon_days: of the spec of that version.
        cutoff: the last day that is known.
        seed: of the bootstrap.
        rounds: resamples behind the interval.
        confidence: of the interval.

    Raises:
        ValueError: there are no predictions.
        polars.exceptions.ComputeError: a customer and `as_of` stands twice in either frame.
    """
    if predictions.is_empty():
        raise ValueError("performance of no predictions")
    joined = _joined(predictions, outcomes, horizon_days, cutoff)
    matured = joined.filter("has_passed", "is_known")
    passed = int(joined["has_passed"].sum())
    counted = Performance(
        as_of=joined[AS_OF].to_list()[-1],
        cutoff=cutoff,
        rows=joined.height,
        matured=matured.height,
        pending=joined.height - passed,
        censored=passed - matured.height,
        confidence=confidence,
        why_not=_why_not(matured),
    )
    return counted if counted.why_not else _with_metrics(counted, matured, seed, rounds)


def _joined(predictions: pl.DataFrame, outcomes: pl.DataFrame, horizon_days: int, cutoff: date) -> pl.DataFrame:
    """Predictions by `as_of` with `churned`, `has_passed` and `is_known` (both never null)."""
    horizon_end = pl.col(AS_OF) + pl.duration(days=horizon_days)
    known = outcomes.select(ID, AS_OF, LABEL, KNOWN_AT)
    return (
        predictions.select(ID, AS_OF, "probability")
        .join(known, on=[ID, AS_OF], how="left", validate="1:1")
        .with_columns(
            has_passed=horizon_end <= cutoff,
            is_known=pl.col(LABEL).is_not_null() & (pl.col(KNOWN_AT) <= cutoff).fill_null(value=False),
        )
        .sort(AS_OF, ID)
    )


def _why_not(matured: pl.DataFrame) -> str | None:
    positives = int(matured[LABEL].sum())
    if matured.is_empty():
        return "no outcome has matured yet"
    if positives in (0, matured.height):
        return f"all {matured.height} matured customers {'churned' if positives else 'stayed'}"
    return None


def _with_metrics(counted: Performance, matured: pl.DataFrame, seed: int, rounds: int) -> Performance:
    churned, probability = matured[LABEL].to_numpy(), matured["probability"].to_numpy()
    interval = bootstrap_interval(churned, probability, rounds=rounds, seed=seed, confidence=counted.confidence)
    return counted.model_copy(
        update={
            "mean_probability": float(probability.mean()),
            "metrics": evaluate(churned, probability),
            "auc_interval": (interval.low, interval.high),
        }
    )


def judge_performance(
    performance: Performance,
    champion_auc_interval: tuple[float, float] | None,
    history: Sequence[Report],
    policy: RetrainingPolicy,
    *,
    max_calibration_error: float | None = None,
) -> PerformanceVerdict:
    """Decide whether the champion ranks worse than its own test promised, by more than noise. Pure.

    Low is an AUC whose interval lies wholly below the lower end of the champion's test interval less
    the policy's drop; degraded is low in enough measurements on end.

    Args:
        performance: of the champion's own predictions.
        champion_auc_interval: of its AUC on the test rows when it was trained.
        history: earlier performance reports of the same version, oldest first. Reports that are not
            earlier are passed over, as are those that measured nothing.
        policy: sets the drop and how many measurements are enough.
        max_calibration_error: above it (and what sampling explains) the reason says so; it does not
            change the verdict.
    """
    metrics, interval = performance.metrics, performance.auc_interval
    if metrics is None or interval is None:
        return PerformanceVerdict("unknown", f"{performance.why_not}; {_counts(performance)}")
    if min(metrics.positives, metrics.rows - metrics.positives) < FEWEST:
        few = f"{metrics.positives} churned of {metrics.rows} matured customers are too few to judge"
        return PerformanceVerdict("unknown", f"{few} (at least {FEWEST} of either outcome)")
    measured = f"AUC {metrics.auc:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
    level: PerformanceLevel = "unknown"
    if champion_auc_interval is None:
        said = "has no test interval to be held against"
    else:
        limit = champion_auc_interval[0] - policy.min_auc_drop
        low_run = 1 + _low_run(performance, history) if interval[1] < limit else 0
        level, said = _level(low_run, policy), _against(limit, low_run, policy)
    calibration = _calibration_words(performance, metrics, max_calibration_error)
    return PerformanceVerdict(level, f"{measured} {said}{calibration}")


def _level(low_run: int, policy: RetrainingPolicy) -> PerformanceLevel:
    if low_run == 0:
        return "healthy"
    return "degraded" if low_run >= policy.low_measurements else "low"


def _against(limit: float, low_run: int, policy: RetrainingPolicy) -> str:
    promised = f"{limit:.3f}, the least its own test promised"
    if low_run == 0:
        return f"is not below {promised}"
    often = f"measurement {low_run} on end that is low, {policy.low_measurements} are degraded"
    return f"is wholly below {promised}; {often}"


def _low_run(performance: Performance, history: Sequence[Report]) -> int:
    """Low measurements right before this one; where a date was measured twice, the last counts."""
    known = {
        report.as_of: report.verdict in ("low", "degraded")
        for report in history
        if report.as_of < performance.as_of and report.verdict != "unknown"
    }
    run = 0
    for _, was_low in sorted(known.items(), reverse=True):
        if not was_low:
            break
        run += 1
    return run


def _counts(performance: Performance) -> str:
    counted = f"{performance.matured} matured, {performance.pending} pending"
    return f"{counted}, {performance.censored} without an outcome"


def _calibration_words(performance: Performance, metrics: Metrics, highest: float | None) -> str:
    """Say that probabilities are off, by how much and which way; empty where they are not."""
    if highest is None or metrics.calibration_error <= highest + calibration_noise(metrics):
        return ""
    rate, expected = metrics.positives / metrics.rows, performance.mean_probability or 0.0
    off = f"calibration error {metrics.calibration_error:.3f} is above {highest:.3f}"
    return f"; {off} ({expected:.1%} expected to churn, {rate:.1%} did)"


def calibration_noise(metrics: Metrics) -> float:
    """Expected calibration error of perfect probabilities on so many rows, at most.

    The mean size of a normal error, sqrt(2 / pi) times its deviation, in each of `BINS` equal bins.
    """
    rate = metrics.positives / metrics.rows
    return sqrt(2 / pi * BINS * rate * (1 - rate) / metrics.rows)
