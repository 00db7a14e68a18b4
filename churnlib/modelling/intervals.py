"""Bootstrap intervals of the AUC, fast enough to be everywhere: rows are sorted once and then re-weighted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, factorial

import numpy as np
from pydantic import BaseModel, ConfigDict

from churnlib.modelling.metrics import auc

_CELLS = 4_000_000  # weights held at once

_UNIFORM = 1 << 16
_MOST = 10  # of a Poisson(1) draw: more happens once in a hundred million


class Interval(BaseModel):
    """An estimate with its percentile interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimate: float
    low: float
    high: float


def bootstrap_interval(
    churned: np.ndarray, probability: np.ndarray, *, rounds: int = 400, seed: int, confidence: float = 0.95
) -> Interval:
    """Return the AUC with its interval.

    A Poisson bootstrap: each round weighs every row by its own Poisson(1) draw, which for more than
    some hundred rows is resampling with replacement (Chamandy et al. 2012).

    Raises:
        ChurnError: one class is missing.
    """
    estimate = auc(churned, probability)
    ranking = _Ranking.of(churned, probability)
    values = [ranking.auc(left, stayed) for left, stayed in _draws(churned, rounds, seed)]
    return _percentiles(estimate, values, confidence)


def paired_auc_difference(
    churned: np.ndarray,
    p_a: np.ndarray,
    p_b: np.ndarray,
    *,
    rounds: int = 400,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Return AUC(a) - AUC(b) on the same rows with its interval; above 0 means that a ranks better.

    Both scores get the same weights in each round, so that what they have in common cancels out.

    Raises:
        ChurnError: one class is missing.
    """
    estimate = auc(churned, p_a) - auc(churned, p_b)
    first, second = _Ranking.of(churned, p_a), _Ranking.of(churned, p_b)
    values = [first.auc(left, stayed) - second.auc(left, stayed) for left, stayed in _draws(churned, rounds, seed)]
    return _percentiles(estimate, values, confidence)


@dataclass(frozen=True)
class _Ranking:
    """Stayers in order of score, and how many of them each churner is above (with ties, and without)."""

    order: np.ndarray
    below: np.ndarray
    up_to: np.ndarray

    @classmethod
    def of(cls, churned: np.ndarray, score: np.ndarray) -> _Ranking:
        left = np.asarray(churned, dtype=bool)
        stayed = np.asarray(score)[~left]
        order = np.argsort(stayed, kind="stable")
        below, up_to = (
            np.searchsorted(stayed[order], np.asarray(score)[left], side) for side in ("left", "right")
        )
        return cls(order, below, up_to)

    def auc(self, left: np.ndarray, stayed: np.ndarray) -> np.ndarray:
        """Return the weighted AUC of each round for weights of shape (rounds, churners) and (rounds, stayers)."""
        weight_below = np.zeros((len(stayed), stayed.shape[1] + 1), dtype=np.float64)
        np.cumsum(stayed[:, self.order], axis=1, out=weight_below[:, 1:])
        wins = weight_below[:, self.below]
        wins += weight_below[:, self.up_to]
        total = left.sum(axis=1) * weight_below[:, -1]
        # a round that drew no one of a class says nothing
        return np.asarray(
            np.divide(
                np.einsum("ij,ij->i", wins, left) / 2, total, where=total > 0, out=np.full(len(left), np.nan)
            )
        )


def _draws(churned: np.ndarray, rounds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield weights of churners and stayers for blocks of rounds; the same seed gives the same weights."""
    rows, positives = len(churned), int(np.asarray(churned).sum())
    probability = np.array([exp(-1) / factorial(count) for count in range(_MOST)])
    edges = (np.cumsum(probability) * _UNIFORM).round()
    weight_of = np.searchsorted(edges, np.arange(_UNIFORM), side="right").astype(np.uint8)
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // max(rows, 1))
    for start in range(0, rounds, block):
        uniform = generator.integers(0, _UNIFORM, (min(block, rounds - start), rows), dtype=np.uint16)
        weights = weight_of[uniform]
        yield weights[:, :positives].astype(np.float64), weights[:, positives:]


def _percentiles(estimate: float, values: list[np.ndarray], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(values), [tail, 1 - tail])
    return Interval(estimate=estimate, low=float(low), high=float(high))
