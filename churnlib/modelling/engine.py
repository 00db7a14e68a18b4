"""Where trees are evaluated: margins and exact contributions of a booster on a matrix."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from churnlib.errors import ChurnError
from churnlib.features.matrix import Matrix

if TYPE_CHECKING:
    import xgboost

    from churnlib.modelling.trees.engine import TreeEngine

TREES = "trees"
"""Name of our own engine; others are `xgboost`, with the reason in brackets."""

# Measured, in processor seconds: to get the tree engine ready in a new process where its machine code is in
# Numba's cache already (the very first process compiles for two more), and then for each node.
_READY, _READY_NODE = 0.45, 8e-6

# What XGBoost takes for a row: for each tree and level, and for each leaf and level by level of its contributions.
_SCORED, _EXPLAINED = 2.6e-9, 5e-9

# Bytes of a saved model by tree and by node.
_TREE_BYTES, _NODE_BYTES = 670, 34

# So many are worth it whatever the model: they may be the first chunk of more.
_WORTH_ROWS = 100_000

_MANY_ROWS, _MANY_EXPLAINED = 50_000, 4_096  # from which on threads pay


@dataclass(frozen=True)
class Evaluator:
    """Evaluates one booster, by our own tree engine where it covers the model, and by XGBoost where not.

    Margins are the same bits either way; contributions differ by less than 1e-5.

    Attributes:
        booster: the model.
        scores: engine for margins; None for XGBoost.
        explains: engine for contributions; None for XGBoost.
        name: `trees`, or `xgboost` and why.
    """

    booster: xgboost.Booster
    scores: TreeEngine | None
    explains: TreeEngine | None
    name: str

    def margins(self, matrix: Matrix) -> np.ndarray:
        """Return the raw log-odds of churn, float64, one per row.

        Raises:
            ChurnError: the matrix has not exactly the booster's features in its order.
        """
        check_names(self.booster, matrix)
        if not len(matrix.values):
            return np.zeros(0)
        if self.scores is not None:
            found = self.scores.margins(matrix.values, threads=_threads(matrix, _MANY_ROWS))
        else:
            found = self.booster.predict(_dmatrix(matrix), output_margin=True)
        return np.asarray(found, dtype=np.float64)

    def top(self, matrix: Matrix, strongest: int) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's features of largest contribution, strongest first.

        Returns:
            Columns of the matrix, int32, and contributions in log-odds, float32, both of shape (rows, strongest),
            or as many as there are features. Ordered by absolute size, ties by the order of features. Features
            without influence are left out: where fewer have any, the column is -1 and the contribution 0.

        Raises:
            ChurnError: as `margins`.
        """
        check_names(self.booster, matrix)
        if self.explains is not None:
            return self.explains.top(matrix.values, strongest, threads=_threads(matrix, _MANY_EXPLAINED))
        return _largest(self.contributions(matrix)[:, :-1].astype(np.float32), strongest)

    def contributions(self, matrix: Matrix) -> np.ndarray:
        """Return exact path-dependent TreeSHAP values in log-odds, float64, shape (rows, features + 1).

        The last column is the base; a row's sum is its margin (Lundberg et al. 2018).

        Raises:
            ChurnError: as `margins`.
        """
        check_names(self.booster, matrix)
        if not len(matrix.values):
            return np.zeros((0, len(matrix.names) + 1))
        if self.explains is not None:
            found = self.explains.contributions(matrix.values, threads=_threads(matrix, _MANY_EXPLAINED))
        else:
            found = self.booster.predict(_dmatrix(matrix), pred_contribs=True)
        return np.asarray(found, dtype=np.float64)


def evaluator(booster: xgboost.Booster, *, rows: int, explained: int) -> Evaluator:
    """Choose how to evaluate a booster; the tree engine is prepared once for each booster and kept with it.

    A batch that comes in chunks needs one choice: contributions by two engines are not the same bits. Where the
    number of rows is not known yet, the first chunk says enough: a full one is worth the tree engine.

    Args:
        booster: the model; it must not be trained further afterwards.
        rows: how many will be scored, or at least.
        explained: for how many of them contributions will be asked, or at least.
    """
    known = _ENGINES.get(booster)
    if known is None and not _worth_preparing(booster, rows, explained):
        return Evaluator(booster, None, None, "xgboost (so few rows are faster so)")
    known = known or _remembered(booster)
    if known.scores is None or not explained:
        name = TREES if known.scores is not None else f"xgboost ({known.reason})"
        return Evaluator(booster, known.scores, None, name)
    explains, reason = _explaining(known.scores)
    return Evaluator(booster, known.scores, explains, TREES if explains else f"xgboost for reasons ({reason})")


def margins(booster: xgboost.Booster, matrix: Matrix) -> np.ndarray:
    """Return the raw log-odds of churn as `Evaluator.margins` does."""
    return evaluator(booster, rows=len(matrix.values), explained=0).margins(matrix)


def contributions(booster: xgboost.Booster, matrix: Matrix) -> np.ndarray:
    """Return exact contributions as `Evaluator.contributions` does."""
    rows = len(matrix.values)
    return evaluator(booster, rows=rows, explained=rows).contributions(matrix)


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


@dataclass(frozen=True)
class _Known:
    scores: TreeEngine | None
    reason: str


_ENGINES: WeakKeyDictionary[xgboost.Booster, _Known] = WeakKeyDictionary()

_LOCK = threading.Lock()


def _remembered(booster: xgboost.Booster) -> _Known:
    with _LOCK:
        if booster not in _ENGINES:
            _ENGINES[booster] = _prepared(booster)
        return _ENGINES[booster]


def _prepared(booster: xgboost.Booster) -> _Known:
    try:
        from churnlib.modelling.trees.engine import NotCovered, TreeEngine
    except ImportError as error:  # no Numba for this machine: slower, but the same numbers
        return _Known(None, f"the tree engine needs {error.name}")
    try:
        return _Known(TreeEngine.from_booster(booster), "")
    except NotCovered as reason:
        return _Known(None, str(reason))


def _explaining(engine: TreeEngine) -> tuple[TreeEngine | None, str]:
    from churnlib.modelling.trees.engine import NotCovered

    try:
        return engine.ready_to_explain(), ""
    except NotCovered as reason:
        return None, str(reason)


def _worth_preparing(booster: xgboost.Booster, rows: int, explained: int) -> bool:
    """Whether XGBoost would take longer for these rows than getting the tree engine ready takes."""
    if rows >= _WORTH_ROWS:
        return True
    trees = max(1, booster.num_boosted_rounds())
    nodes = max(trees, (len(booster.save_raw("ubj")) - _TREE_BYTES * trees) / _NODE_BYTES)
    levels = math.log2(max(2.0, nodes / trees / 2))
    by_xgboost = rows * trees * levels * _SCORED + explained * nodes / 2 * levels**2 * _EXPLAINED
    return by_xgboost > _READY + nodes * _READY_NODE


def _largest(numbers: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """What `trees.strongest.choose` finds, where there is no Numba."""
    order = np.argsort(-np.abs(numbers), axis=1, kind="stable")[:, :most].astype(np.int32)
    found = np.take_along_axis(numbers, order, axis=1)
    return np.where(found == 0, -1, order), found


def _threads(matrix: Matrix, many: int) -> int:
    return 1 if len(matrix.values) <= many else os.cpu_count() or 1


def _dmatrix(matrix: Matrix) -> xgboost.DMatrix:
    # Never `inplace_predict` on a frame: it goes by position and does not look at the names.
    import xgboost

    return xgboost.DMatrix(matrix.values, feature_names=list(matrix.names))
