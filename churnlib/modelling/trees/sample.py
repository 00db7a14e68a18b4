"""Rows on a model's own thresholds with XGBoost's answers, so that no engine is used that gives others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from churnlib.modelling.trees.parse import Forest

if TYPE_CHECKING:
    import xgboost

_ROWS, _EXPLAINED = 64, 3

_MISSING = 0.15  # share of missing values in the sample

TOLERANCE = 1e-5
"""Largest difference of contributions, relative to the largest number in the row where that is above 1."""


@dataclass(frozen=True)
class Sample:
    """Rows and what XGBoost says of them.

    Attributes:
        values: float32, shape (rows, features).
        margins: of these, float32.
        contributions: of the first few, float32, shape (few, features + 1).
    """

    values: np.ndarray
    margins: np.ndarray
    contributions: np.ndarray

    @property
    def explained(self) -> np.ndarray:
        """The rows with contributions."""
        return self.values[: len(self.contributions)]

    def agrees(self, contributions: np.ndarray, base: np.float64) -> bool:
        """Say whether contributions of the explained rows, without base, and the base are XGBoost's."""
        found = np.column_stack([contributions, np.full(len(contributions), base)])
        scale = np.maximum(1.0, np.abs(self.contributions).max(axis=1, keepdims=True))
        return bool(np.all(np.abs(found - self.contributions) <= TOLERANCE * scale))


def take_sample(booster: xgboost.Booster, used: np.ndarray, forest: Forest) -> Sample:
    """Draw rows whose values are thresholds, the float32 just below or above one, or missing.

    Args:
        booster: the model.
        used: columns that it looks at.
        forest: the same model, read.
    """
    import xgboost

    rng = np.random.default_rng(0)
    values = np.full((_ROWS, forest.features), np.nan, dtype=np.float32)
    for feature in np.unique(used).tolist():
        thresholds = np.concatenate(
            [tree.value[(tree.left >= 0) & (tree.feature == feature)] for tree in forest.trees]
        )
        drawn = rng.choice(thresholds, _ROWS)
        towards = rng.choice(np.array([-np.inf, np.nan, np.inf], dtype=np.float32), _ROWS)
        moved = np.where(np.isnan(towards), drawn, np.nextafter(drawn, towards))
        moved[(rng.random(_ROWS) < _MISSING) | ~np.isfinite(moved)] = np.nan
        values[:, feature] = moved
    matrix, few = (xgboost.DMatrix(rows, nthread=1) for rows in (values, values[:_EXPLAINED]))
    return Sample(
        values,
        booster.predict(matrix, output_margin=True, validate_features=False),
        booster.predict(few, pred_contribs=True, validate_features=False),
    )
