"""From accepted rows to predictions: probability, rank, value at risk and reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from churnlib.features.matrix import Matrix, build_matrix, encode, model_frame
from churnlib.features.state import FittedState
from churnlib.modelling.calibration import Calibration
from churnlib.modelling.delivered import typed
from churnlib.modelling.engine import Evaluator, evaluator, margins
from churnlib.modelling.reasons import reason_columns, reason_schema
from churnlib.spec import AS_OF, ID, Spec

if TYPE_CHECKING:
    import xgboost


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
    """Score a batch as a whole.

    `percentile` is the share of the batch with no higher risk, in percent, so that the riskiest has 100.
    `decile` 1 is the riskiest tenth; deciles are of equal size, ties go by customer id.
    `value_at_risk` is the probability times the spec's value column, null where that is null.
    Reasons are exact contributions to the margin for the riskiest `reasons.top_share`, null for the others.

    Args:
        release: the model.
        accepted: rows of one batch; no rows give no rows.
        reasons: False leaves all reason columns null, which is much faster.

    Raises:
        ChurnError: a column of the spec is not there.
    """
    spec = release.spec
    values = model_frame(accepted, spec)
    matrix = encode(values, spec, release.state)
    explained = math.ceil(len(matrix.values) * spec.reasons.top_share) if reasons else 0
    engine = evaluator(release.booster, rows=len(matrix.values), explained=explained)
    margin = engine.margins(matrix)
    frame = accepted.select(ID, AS_OF).with_columns(
        probability=pl.Series(release.calibration.apply(margin)), margin=pl.Series(margin)
    )
    place = _place(frame)
    frame = frame.with_columns(*_ranks(frame, place), _value_at_risk(accepted, spec))
    chosen = np.argsort(place)[:explained]
    told = _reasons(engine, spec, matrix, values, np.sort(chosen))
    return Scored(pl.concat([frame, told], how="horizontal"), matrix.unseen, engine.name)


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


def _place(frame: pl.DataFrame) -> np.ndarray:
    """Place of each row from the riskiest, 0, on; ties by customer id, then date."""
    order = frame.with_row_index("row").sort(
        ["margin", ID, AS_OF], descending=[True, False, False], maintain_order=True
    )
    place = np.empty(frame.height, dtype=np.int64)
    place[order.get_column("row").to_numpy()] = np.arange(frame.height)
    return place


def _ranks(frame: pl.DataFrame, place: np.ndarray) -> list[pl.Series]:
    rows = max(frame.height, 1)
    percentile = frame.get_column("margin").rank("max") / rows * 100
    decile = pl.Series(place * 10 // rows + 1, dtype=pl.Int8)
    return [percentile.cast(pl.Float64).alias("percentile"), decile.alias("decile")]


def _value_at_risk(accepted: pl.DataFrame, spec: Spec) -> pl.Expr:
    if spec.columns.value is None:
        return pl.lit(None, dtype=pl.Float64).alias("value_at_risk")
    value = accepted.get_column(spec.columns.value).cast(pl.Float64)
    return (pl.col("probability") * value).alias("value_at_risk")


def _reasons(
    engine: Evaluator, spec: Spec, matrix: Matrix, values: pl.DataFrame, rows: np.ndarray
) -> pl.DataFrame:
    """Reason columns for all rows; null but for the given ones (ascending)."""
    height = values.height
    if not len(rows):
        return pl.DataFrame(schema=reason_schema(spec.reasons.top)).clear(height)
    part = Matrix(np.ascontiguousarray(matrix.values[rows]), matrix.names, {})
    contributed = engine.contributions(part)[:, :-1]
    told = reason_columns(contributed, values[rows], spec).with_columns(row=pl.Series(rows, dtype=pl.UInt32))
    every = pl.DataFrame({"row": pl.arange(0, height, dtype=pl.UInt32, eager=True)})
    return every.join(told, on="row", how="left", maintain_order="left").drop("row")
