"""Where trees are evaluated: margins and exact contributions of a booster on a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churnlib.errors import ChurnError
from churnlib.features.matrix import Matrix

if TYPE_CHECKING:
    import xgboost


def margins(booster: xgboost.Booster, matrix: Matrix) -> np.ndarray:
    """Return the raw log-odds of churn, float64, one per row.

    Raises:
        ChurnError: the matrix has not exactly the booster's features in its order.
    """
    check_names(booster, matrix)
    if not len(matrix.values):
        return np.zeros(0)
    return np.asarray(booster.predict(_dmatrix(matrix), output_margin=True), dtype=np.float64)


def contributions(booster: xgboost.Booster, matrix: Matrix) -> np.ndarray:
    """Return exact path-dependent TreeSHAP values in log-odds, float64, shape (rows, features + 1).

    The last column is the base; a row's sum is its margin (Lundberg et al. 2018).

    Raises:
        ChurnError: as `margins`.
    """
    check_names(booster, matrix)
    if not len(matrix.values):
        return np.zeros((0, len(matrix.names) + 1))
    return np.asarray(booster.predict(_dmatrix(matrix), pred_contribs=True), dtype=np.float64)


def check_names(booster: xgboost.Booster, matrix: Matrix) -> None:
    """Compare the matrix with what the booster was trained on, by name and order.

    Raises:
        ChurnError: they differ; the first odd feature is named.
    """
    trained_on = tuple(booster.feature_names or ())
    if trained_on == matrix.names:
        return
    odd = [name for name in (*matrix.names, *trained_on) if (name in matrix.names) != (name in trained_on)]
    what = f"differ at {odd[0]!r}" if odd else "have another order"
    raise ChurnError(
        f"The matrix has {len(matrix.names)} features, the booster {len(trained_on)}; they {what}.",
        hint="Score with the spec that the model was trained with: it is in the release.",
    )


def _dmatrix(matrix: Matrix) -> xgboost.DMatrix:
    # Never `inplace_predict` on a frame: it goes by position and does not look at the names.
    import xgboost

    return xgboost.DMatrix(matrix.values, feature_names=list(matrix.names))
