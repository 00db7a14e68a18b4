"""A scored batch in a few numbers, counted chunk by chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

HISTOGRAM_BINS = 20
"""Bins of equal width over probabilities from 0 to 1."""


@dataclass
class Summary:
    """A scored batch in a few numbers.

    Attributes:
        histogram: customers by probability, `HISTOGRAM_BINS` bins.
        expected: churners that the probabilities promise: their sum.
        reasons: customers of the riskiest tenth by their strongest reason, most frequent first.
        unseen: rows by category feature whose value the champion never saw.
        engine: what evaluated the trees: `trees`, or `xgboost` and why.
    """

    histogram: np.ndarray = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, dtype=np.int64))
    expected: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    engine: str = ""

    def add(self, predictions: pl.DataFrame) -> None:
        """Count a chunk of predictions."""
        probability = predictions.get_column("probability").to_numpy()
        self.histogram += np.histogram(probability, bins=HISTOGRAM_BINS, range=(0.0, 1.0))[0]
        self.expected += float(probability.sum())
        told = predictions.lazy().filter(pl.col("decile") == 1).select(reason="reason_1_feature").drop_nulls()
        counts = told.group_by("reason").len().collect()
        self.reasons.update(dict(counts.iter_rows()))

    def restart(self) -> None:
        """Forget the predictions: a writer starts again."""
        self.histogram[:], self.expected = 0, 0.0
        self.reasons.clear()
