"""From accepted rows to predictions: probability, rank, value at risk and reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from churnlib.features.matrix import build_matrix, encode, model_frame
from churnlib.features.state import FittedState
from churnlib.modelling.calibration import Calibration, logit
from churnlib.modelling.delivered import typed
from churnlib.modelling.engine import Evaluator, evaluator, margins
from churnlib.modelling.ranking import Ranking, Ranks
from churnlib.modelling.reasons import reason_columns, reason_schema
from churnlib.spec import AS_OF, ID, Spec

if TYPE_CHECKING:
    import xgboost

__all__ = [
    "Scored",
    "ScoringModel",
    "explained_rows",
    "logit",
    "margins_of",
    "predictions_of",
    "probabilities",
    "score",
    "serve",
]


class ScoringModel(Protocol):
    """What scoring needs: a release has it, and a model that was just trained."""

    @property
    def spec(self) -> Spec:
        """Says which columns and features there are."""
        ...

    @property
    def booster(self) -> xgboost.Booster:
        """The trees."""
        ...

    @property
    def state(self) -> FittedState:
        """What features learned from training rows."""
        ...

    @property
    def calibration(self) -> Calibration:
        """From margins to probabilities."""
        ...


@dataclass(frozen=True)
class Scored:
    """Predictions of one batch.

    Attributes:
        frame: one row per accepted row, in its order: `customer_id`, `as_of`, `probability`, `margin`,
            `percentile`, `decile`, `value_at_risk` and the reason columns.
        unseen: rows by category feature whose category the model never saw.
        engine: what evaluated the trees: `trees`, or `xgboost` and why.
    """

    frame: pl.DataFrame
    unseen: dict[str, int]
    engine: str = ""


def score(release: ScoringModel, accepted: pl.DataFrame, *, reasons: bool = True) -> Scored:
    """Score a batch as a whole: the same values as chunk by chunk with `margins_of` and `predictions_of`.

    Args:
        release: the model.
        accepted: rows of one batch; no rows give no rows.
        reasons: False leaves all reason columns null, which is much faster.

    Raises:
        ChurnError: a column of the spec is not there.
    """
    explained = explained_rows(release.spec, accepted.height) if reasons else 0
    engine = evaluator(release.booster, rows=accepted.height, explained=explained)
    margin, unseen = margins_of(release, engine, accepted)
    ranking = Ranking()
    ranking.add(margin)
    ranks = ranking.ranks(0, ranking.rows)
    frame = predictions_of(release, engine, accepted, margin, ranks, explained=explained)
    return Scored(frame, unseen, engine.name)


def explained_rows(spec: Spec, rows: int) -> int:
    """How many of a batch's rows get reasons, from the riskiest on."""
    return math.ceil(rows * spec.reasons.top_share)


def margins_of(
    model: ScoringModel, engine: Evaluator, accepted: pl.DataFrame
) -> tuple[np.ndarray, dict[str, int]]:
    """Evaluate some rows of a batch, as its first pass does.

    Args:
        model: the model.
        engine: evaluates its booster; one for the whole batch.
        accepted: an accepted frame.

    Returns:
        Raw log-odds of churn, float64, one per row, exact in float32 too; and rows by category feature whose
        category the model never saw.

    Raises:
        ChurnError: a column of the spec is not there.
    """
    matrix = build_matrix(accepted, model.spec, model.state)
    return engine.margins(matrix), matrix.unseen


def predictions_of(
    model: ScoringModel,
    engine: Evaluator,
    accepted: pl.DataFrame,
    margin: np.ndarray,
    ranks: Ranks,
    *,
    explained: int,
) -> pl.DataFrame:
    """Make the predictions of some rows of a batch, as its second pass does. No value depends on the other rows.

    `percentile` is the share of the batch with no higher risk, in percent, so that the riskiest has 100.
    `decile` 1 is the riskiest tenth; deciles are of equal size, ties go by the order of the file.
    `value_at_risk` is the probability times the spec's value column, null where that is null.
    Reasons are exact contributions to the margin in log-odds, null for rows that get none.

    Args:
        model: the model.
        engine: the same as for the margins, chosen with reasons in mind.
        accepted: an accepted frame.
        margin: of these rows, as `margins_of` gave it.
        ranks: of these rows within the batch.
        explained: so many of the batch's riskiest rows get reasons (`explained_rows`); ties go by the order of
            the file.

    Returns:
        The columns that `Scored.frame` has, one row per row, in its order.

    Raises:
        ChurnError: a column of the spec is not there.
    """
    frame = accepted.select(ID, AS_OF).with_columns(
        probability=pl.Series(model.calibration.apply(margin)),
        margin=pl.Series(margin),
        percentile=pl.Series(ranks.percentile),
        decile=pl.Series(ranks.decile),
    )
    frame = frame.with_columns(_value_at_risk(accepted, model.spec))
    return frame.hstack(_reasons(model, engine, accepted, ranks.place < explained))


def probabilities(model: ScoringModel, accepted: pl.DataFrame) -> pl.Series:
    """Return calibrated probabilities of churn, Float64 named `probability`, in the rows' order."""
    margin = margins(model.booster, build_matrix(accepted, model.spec, model.state))
    return pl.Series("probability", model.calibration.apply(margin))


def serve(release: ScoringModel, frame: pl.DataFrame, today: date) -> pl.DataFrame:
    """Score single delivered rows, as a served model does: the same numbers as in a batch.

    Args:
        release: the model.
        frame: delivered columns, loosely typed (`churnlib.modelling.delivered.typed`); no id is needed.
        today: `as_of` of rows that say none.

    Returns:
        `probability` and `margin`, one row per row, in its order.

    Raises:
        ChurnError: a required column is absent, or values are not of their column's type.
    """
    matrix = build_matrix(typed(frame, release.spec, today), release.spec, release.state)
    margin = margins(release.booster, matrix)
    return pl.DataFrame({"probability": release.calibration.apply(margin), "margin": margin})


def _value_at_risk(accepted: pl.DataFrame, spec: Spec) -> pl.Expr:
    if spec.columns.value is None:
        return pl.lit(None, dtype=pl.Float64).alias("value_at_risk")
    value = accepted.get_column(spec.columns.value).cast(pl.Float64)
    return (pl.col("probability") * value).alias("value_at_risk")


def _reasons(model: ScoringModel, engine: Evaluator, accepted: pl.DataFrame, wanted: np.ndarray) -> pl.DataFrame:
    """Reason columns for all rows; null but for those that are wanted."""
    spec = model.spec
    if not wanted.any():
        return pl.DataFrame(schema=reason_schema(spec.reasons.top)).clear(accepted.height)
    values = model_frame(accepted if wanted.all() else accepted.filter(wanted), spec)
    places, log_odds = engine.top(encode(values, spec, model.state), spec.reasons.top)
    told = reason_columns(places, log_odds, values, spec)
    if wanted.all():
        return told
    number = pl.Series(np.cumsum(wanted, dtype=np.uint32)) - 1
    return told.select(pl.all().gather(pl.select(pl.when(pl.Series(wanted)).then(number)).to_series()))
