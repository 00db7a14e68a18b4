"""From raw log-odds to probabilities that can be taken at their word."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

SIGNIFICANCE = 0.05
"""Chance of correcting a model that needs no correction."""

_MAX_STEPS = 50


class Calibration(BaseModel):
    """The correction a release applies: probability = sigmoid(intercept + slope * margin).

    Attributes:
        method: none (slope 1, intercept 0) or platt.
        slope: above 0, so that the ranking stays.
        intercept: in log-odds.
        reason: why this method, in words, with the test's numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["none", "platt"] = "none"
    slope: float = 1.0
    intercept: float = 0.0
    reason: str = ""

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, float64 in 0..1, for raw log-odds."""
        return sigmoid(self.intercept + self.slope * np.asarray(margin, dtype=np.float64))


def fit_calibration(margin: np.ndarray, churned: np.ndarray) -> Calibration:
    """Correct the margins where they need it, and say so.

    Platt's line is fitted by maximum likelihood on rows that the trees were not grown on. It is used only when a
    likelihood-ratio test against "as is" (two degrees of freedom) says that it is needed (Cox 1958;
    Platt 1999 without his smoothed targets).

    Args:
        margin: raw log-odds of rows that the trees were not grown on.
        churned: their outcomes, both classes present.
    """
    intercept, slope = logistic_line(margin, churned)
    as_is = log_likelihood(margin, churned)
    gain = 2 * (log_likelihood(intercept + slope * margin, churned) - as_is)
    p_value = math.exp(-max(gain, 0.0) / 2)  # the chi-squared tail with two degrees of freedom
    found = f"slope {slope:.2f}, intercept {intercept:+.2f}, p = {p_value:.2g} on {len(margin)} validation rows"
    if slope <= 0:
        return Calibration(reason=f"not corrected: a correction would turn the ranking round ({found})")
    if p_value >= SIGNIFICANCE:
        return Calibration(reason=f"no correction needed: {found}")
    return Calibration(
        method="platt", slope=slope, intercept=intercept, reason=f"corrected by Platt's line: {found}"
    )


def logistic_line(margin: np.ndarray, churned: np.ndarray, *, prior: float = 1e-2) -> tuple[float, float]:
    """Return intercept and slope of a logistic regression of the outcome on the margin, by Newton's method.

    Args:
        margin: log-odds.
        churned: outcomes.
        prior: precision of a normal prior around intercept 0 and slope 1; it matters only where the
            classes are separated, whose slope would be infinite.
    """
    design = np.column_stack([np.ones(len(margin)), np.asarray(margin, dtype=np.float64)])
    outcome = np.asarray(churned, dtype=np.float64)
    start = np.array([0.0, 1.0])
    line = start.copy()
    loss = _penalised(design, outcome, line, start, prior)
    for _ in range(_MAX_STEPS):
        fitted = sigmoid(design @ line)
        slope = design.T @ (fitted - outcome) + prior * (line - start)
        curvature = (design * (fitted * (1 - fitted))[:, None]).T @ design + prior * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        line, loss, moved = _downhill(design, outcome, line, step, start, prior, loss)
        if moved < 1e-10:
            break
    return float(line[0]), float(line[1])


def _downhill(
    design: np.ndarray,
    outcome: np.ndarray,
    line: np.ndarray,
    step: np.ndarray,
    start: np.ndarray,
    prior: float,
    loss: float,
) -> tuple[np.ndarray, float, float]:
    """Take the step, halved until the loss does not rise; the distance is 0 where nothing helps."""
    for _ in range(30):
        moved = line - step
        now = _penalised(design, outcome, moved, start, prior)
        if now <= loss:
            return moved, now, float(np.abs(step).max())
        step = step / 2
    return line, loss, 0.0


def _penalised(
    design: np.ndarray, outcome: np.ndarray, line: np.ndarray, start: np.ndarray, prior: float
) -> float:
    return -log_likelihood(design @ line, outcome) + prior / 2 * float(((line - start) ** 2).sum())


def log_likelihood(margin: np.ndarray, churned: np.ndarray) -> float:
    """Return the Bernoulli log-likelihood of outcomes given log-odds, exact for any size of margin."""
    margin = np.asarray(margin, dtype=np.float64)
    return float((margin * churned - np.logaddexp(0.0, margin)).sum())


def sigmoid(margin: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-margin)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(margin, dtype=np.float64))))


def logit(probability: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, float64; infinite at 0 and 1.

    Margins of two models cannot be compared, the log-odds of their calibrated probabilities can.
    """
    given = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(given) - np.log1p(-given))
