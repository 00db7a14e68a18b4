"""Growing trees: XGBoost on named float32 matrices, the same bytes for the same rows and seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from churnlib.features.matrix import Matrix
from churnlib.modelling.device import CPU, gpu_errors, move_to_cpu
from churnlib.spec import Training

if TYPE_CHECKING:
    import xgboost
    from xgboost.callback import TrainingCallback

_WORTH_THREADS = 4_000_000  # cells; below, threads wait for each other (by spinning) longer than they work

Rounds = Callable[[int], None]
"""Told how many rounds are done."""


def grow(
    matrix: Matrix,
    churned: np.ndarray,
    settings: Training,
    *,
    rounds: int,
    threads: int = 0,
    device: str = CPU,
    validation: tuple[Matrix, np.ndarray] | None = None,
    on_round: Rounds | None = None,
) -> xgboost.Booster:
    """Grow trees; with validation rows, stop when their log loss no longer falls.

    Args:
        matrix: training rows.
        churned: their outcomes.
        settings: of the spec.
        rounds: most rounds; exactly as many without validation.
        threads: 0 takes as many as pay; the result does not depend on it.
        device: `cpu` or `cuda`; other devices grow other trees.
        validation: rows and outcomes for early stopping.
        on_round: called after each round with the rounds done.

    Returns:
        A booster that holds just the trees it uses: those after the best round are cut off, because
        not every way to predict would leave them out. It scores on the CPU.

    Raises:
        ChurnError: a GPU fails, or is not there.
    """
    import xgboost

    if threads == 0 and matrix.values.size < _WORTH_THREADS:
        threads = 1
    train = _quantised(matrix, churned, settings, threads, None)
    watched, stopping = [], []
    if validation is not None:
        watched = [(_quantised(*validation, settings, threads, train), "validation")]
        stopping = [xgboost.callback.EarlyStopping(rounds=settings.early_stopping_rounds)]
    with gpu_errors(device):
        grown = xgboost.train(
            _parameters(settings, threads, device),
            train,
            num_boost_round=rounds,
            evals=watched,
            callbacks=[*stopping, *_announcing(on_round)],
            verbose_eval=False,
        )
    move_to_cpu(grown, device)
    used = grown.best_iteration + 1 if validation is not None else rounds
    booster = grown[:used]
    booster.set_attr(best_iteration=None, best_score=None)
    return booster


def _quantised(
    matrix: Matrix, churned: np.ndarray, settings: Training, threads: int, ref: xgboost.QuantileDMatrix | None
) -> xgboost.QuantileDMatrix:
    import xgboost

    # Validation rows have to be cut at the training rows' quantiles: without `ref` they are scored wrongly.
    return xgboost.QuantileDMatrix(
        matrix.values,
        churned.astype(np.float32),
        feature_names=list(matrix.names),
        max_bin=settings.max_bin,
        nthread=threads or None,
        ref=ref,
    )


def _parameters(settings: Training, threads: int, device: str) -> dict[str, str | int | float]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "eta": settings.learning_rate,
        "max_depth": settings.max_depth,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample_bytree,
        "reg_lambda": settings.reg_lambda,
        "max_bin": settings.max_bin,
        "seed": settings.seed,
        "nthread": threads,
        "device": device,
    }


def _announcing(on_round: Rounds | None) -> list[TrainingCallback]:
    if on_round is None:
        return []
    announce = on_round
    from xgboost.callback import TrainingCallback

    class Announce(TrainingCallback):
        """Passes the count on; never stops the training."""

        def after_iteration(self, model: object, epoch: int, evals_log: object) -> bool:
            announce(epoch + 1)
            return False

    return [Announce()]
