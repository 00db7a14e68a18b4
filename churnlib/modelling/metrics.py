"""How good probabilities are: numbers for one set of rows whose outcomes are known."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from churnlib.errors import ChurnError
from churnlib.modelling.calibration import logistic_line
from churnlib.modelling.concordance import c_index

BINS = 10
"""Bins of the calibration error, of equal counts."""

TOP_SHARE = 0.1
"""Share of customers behind lift and recall in the top decile."""

_TINY = 1e-15


class Metrics(BaseModel):
    """One evaluation.

    Attributes:
        auc: area under the ROC curve, 0.5 is chance.
        pr_auc: average precision; chance is the share of churners.
        log_loss: mean negative log-likelihood, natural logarithm.
        brier: mean squared error of the probability.
        calibration_slope: of a logistic regression on the probability's log-odds; 1 is right, below 1
            the probabilities are too extreme. None when all probabilities are the same.
        calibration_error: expected calibration error over ten bins of equal counts, 0..1.
        lift_top_decile: churn rate of the riskiest tenth over that of all.
        recall_top_decile: share of the churners who are in the riskiest tenth.
        c_index: Harrell's concordance; equal to `auc` for a binary outcome.
        rows: evaluated.
        positives: churned among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auc: float
    pr_auc: float
    log_loss: float
    brier: float
    calibration_slope: float | None
    calibration_error: float
    lift_top_decile: float
    recall_top_decile: float
    c_index: float
    rows: int
    positives: int

    def numbers(self) -> dict[str, float]:
        """Return what can be logged as numbers: every field that is not None."""
        return {name: float(value) for name, value in self.model_dump().items() if value is not None}


MEANINGS = {
    "auc": ("AUC", "ranking: 0.5 is chance, 1 is perfect"),
    "pr_auc": ("PR-AUC", "ranking at the top; {chance:.3f} is chance"),
    "lift_top_decile": ("lift", "churn of the riskiest tenth; all are 1"),
    "recall_top_decile": ("recall", "churners found in the riskiest tenth"),
    "calibration_error": ("calibration error", "gap of promised and real churn rate"),
    "calibration_slope": ("calibration slope", "1 is right; below 1, too extreme"),
    "log_loss": ("log loss", "error of the probabilities; 0 is best"),
    "brier": ("Brier score", "likewise, squared"),
}
"""Of each metric of `Metrics` that people see: its name, and what it says in a few words."""


def evaluate(churned: np.ndarray, probability: np.ndarray) -> Metrics:
    """Measure probabilities (0..1, no NaN) against outcomes; the order of the rows does not matter.

    Raises:
        ChurnError: one class is missing.
    """
    outcome, p = _checked(churned, probability)
    lift, recall = _top_share(outcome, p, TOP_SHARE)
    clipped = np.clip(p, _TINY, 1 - _TINY)
    return Metrics(
        auc=auc(outcome, p),
        pr_auc=average_precision(outcome, p),
        log_loss=float(-np.where(outcome, np.log(clipped), np.log1p(-clipped)).mean()),
        brier=float(((p - outcome) ** 2).mean()),
        calibration_slope=_calibration_slope(outcome, clipped),
        calibration_error=calibration_error(outcome, p),
        lift_top_decile=lift,
        recall_top_decile=recall,
        c_index=c_index(np.where(outcome, 0.0, 1.0), outcome, p),
        rows=len(outcome),
        positives=int(outcome.sum()),
    )


def auc(churned: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a churner scores above a stayer, ties one half.

    Raises:
        ChurnError: one class is missing.
    """
    outcome, score = _checked(churned, score)
    stayed = np.sort(score[~outcome])
    left = score[outcome]
    wins = np.searchsorted(stayed, left, side="left").sum() + np.searchsorted(stayed, left, side="right").sum()
    return float(wins / 2 / (len(left) * len(stayed)))


def average_precision(churned: np.ndarray, score: np.ndarray) -> float:
    """Return the mean precision over the churners, stepwise, without interpolation; ties enter together."""
    outcome, score = _checked(churned, score)
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(outcome[order])
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    hits, taken = hits[last_of_tie], np.flatnonzero(last_of_tie) + 1
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / hits[-1])


def reliability(churned: np.ndarray, probability: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, ...]:
    """Return mean probability, churn rate and rows of bins of equal counts, from low to high.

    Equal probabilities share a bin, so that there may be fewer bins than asked for.
    """
    p = np.asarray(probability, dtype=np.float64)
    place = np.searchsorted(np.sort(p), p, side="left") * bins // len(p)
    rows = np.bincount(place, minlength=bins)
    used = rows > 0
    mean_p = np.bincount(place, weights=p, minlength=bins)[used] / rows[used]
    rate = np.bincount(place, weights=np.asarray(churned, dtype=np.float64), minlength=bins)[used] / rows[used]
    return mean_p, rate, rows[used]


def calibration_error(churned: np.ndarray, probability: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: the bins' |mean probability - churn rate|, weighted by rows."""
    mean_p, rate, rows = reliability(churned, probability, bins)
    return float((np.abs(mean_p - rate) * rows).sum() / rows.sum())


def _calibration_slope(outcome: np.ndarray, clipped: np.ndarray) -> float | None:
    if np.ptp(clipped) == 0:
        return None
    return logistic_line(np.log(clipped) - np.log1p(-clipped), outcome)[1]


def _top_share(outcome: np.ndarray, p: np.ndarray, share: float) -> tuple[float, float]:
    """Return lift and recall of the riskiest share; those tied at its edge count by their mean."""
    size = max(1, round(len(p) * share))
    edge = np.partition(p, len(p) - size)[len(p) - size]
    above, tied = p > edge, p == edge
    hits = outcome[above].sum() + (size - above.sum()) * outcome[tied].mean()
    return float(hits / size / outcome.mean()), float(hits / outcome.sum())


def _checked(churned: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    outcome = np.asarray(churned, dtype=bool)
    positives = int(outcome.sum())
    if positives in (0, len(outcome)):
        raise ChurnError(
            f"{positives} of {len(outcome)} rows churned, so nothing can be ranked.",
            hint="A measurement needs customers who left and customers who stayed.",
        )
    return outcome, np.asarray(score, dtype=np.float64)
