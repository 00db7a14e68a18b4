"""The metrics of two versions on the same rows, each with the interval that it can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

from churnlib.governance.evidence import Evidence
from churnlib.governance.side_by_side import Curve, Measure
from churnlib.modelling.intervals import Interval, bootstrap_interval
from churnlib.modelling.metrics import TOP_SHARE, Metrics, reliability
from churnlib.spec import Spec

KEYS = (
    "auc",
    "pr_auc",
    "lift_top_decile",
    "recall_top_decile",
    "calibration_error",
    "calibration_slope",
    "log_loss",
    "brier",
)
"""Metrics in the order in which people look at them."""

_TINY = 1e-15

Maker = Callable[[np.ndarray], np.ndarray]
"""From one version's probabilities to each row's share in a numerator."""


def measures(
    evidence: Evidence, churned: np.ndarray, first: np.ndarray, second: np.ndarray, spec: Spec
) -> tuple[Measure, ...]:
    """Every metric of both versions.

    The AUC has its bootstrap interval, what is a mean over customers (log loss, Brier score, recall and lift of
    the riskiest tenth) one by its linearised variance. The others have none: a calibration error is biased
    upward in every resample, and its interval would mislead.

    Args:
        evidence: of the same rows, the first version in the champion's place.
        churned: outcomes, both classes present.
        first: probabilities of the first version.
        second: probabilities of the second.
        spec: for rounds, seed and confidence.
    """
    one, two = evidence.champion_metrics, evidence.challenger_metrics
    assert one is not None
    means = {key: (top, bottom) for key, top, bottom in _means(churned, first, second)}
    found = []
    for key in KEYS:
        values = {"first": _value(one, key), "second": _value(two, key)}
        if key == "auc":
            found.append(Measure(key=key, **values, **_ranking(evidence, churned, first, spec)))
        elif key in means:
            found.append(Measure(key=key, **values, **_intervals(*means[key], evidence.confidence)))
        else:
            found.append(Measure(key=key, **values))
    return tuple(found)


def ratio_interval(top: np.ndarray, bottom: np.ndarray, confidence: float) -> Interval:
    """A ratio of sums over independent rows with its normal interval, by linearised variance.

    The standard error is that of the mean of (top - ratio * bottom) / mean(bottom) (Cochran 1977, 6.3). With
    `bottom` all 1 this is a mean and its usual interval.
    """
    estimate = float(top.sum() / bottom.sum())
    if len(top) < 2:
        return Interval(estimate=estimate, low=estimate, high=estimate)
    spread = (top - estimate * bottom) / bottom.mean()
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(spread.std(ddof=1)) / len(top) ** 0.5
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half)


def curve(churned: np.ndarray, probability: np.ndarray) -> Curve:
    """The calibration curve of one version."""
    promised, came, rows = reliability(churned, probability)
    return Curve(promised=tuple(promised.tolist()), came=tuple(came.tolist()), rows=tuple(rows.tolist()))


def _value(metrics: Metrics, key: str) -> float | None:
    return getattr(metrics, key)  # type: ignore[no-any-return]


def _ranking(evidence: Evidence, churned: np.ndarray, first: np.ndarray, spec: Spec) -> dict[str, Interval | None]:
    rounds, seed = spec.promotion.bootstrap_rounds, spec.training.seed
    own = bootstrap_interval(churned, first, rounds=rounds, seed=seed, confidence=evidence.confidence)
    return {
        "first_interval": own,
        "second_interval": evidence.challenger_auc,
        "difference": evidence.difference,
    }


def _means(
    churned: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """By metric: each row's share in the numerator of either version, and in the denominator of both."""
    ones, both = np.ones(len(churned)), (first, second)
    yield "log_loss", _of_both(both, lambda p: _losses(churned, p)), ones
    yield "brier", _of_both(both, lambda p: (p - churned) ** 2), ones
    caught = _of_both(both, lambda p: churned * _listed(p))
    yield "recall_top_decile", caught, churned.astype(np.float64)
    # lift = recall / share of the customers who are on the list
    share = max(1, round(len(churned) * TOP_SHARE)) / len(churned)
    yield "lift_top_decile", (caught[0] / share, caught[1] / share), churned.astype(np.float64)


def _of_both(both: tuple[np.ndarray, np.ndarray], make: Maker) -> tuple[np.ndarray, np.ndarray]:
    return make(both[0]), make(both[1])


def _losses(churned: np.ndarray, probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, _TINY, 1 - _TINY)
    return np.asarray(-np.where(churned, np.log(clipped), np.log1p(-clipped)))


def _listed(probability: np.ndarray) -> np.ndarray:
    """1 for the riskiest tenth, 0 for others; those tied at its edge share the places that are left."""
    size = max(1, round(len(probability) * TOP_SHARE))
    edge = np.partition(probability, len(probability) - size)[len(probability) - size]
    above, tied = probability > edge, probability == edge
    return np.asarray(above + tied * (size - above.sum()) / tied.sum())


def _intervals(
    tops: tuple[np.ndarray, np.ndarray], bottom: np.ndarray, confidence: float
) -> dict[str, Interval | None]:
    one, two = tops
    return {
        "first_interval": ratio_interval(one, bottom, confidence),
        "second_interval": ratio_interval(two, bottom, confidence),
        "difference": ratio_interval(two - one, bottom, confidence),
    }
