"""The model's matrix: the one transform that training and scoring share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.features.expressions import derive
from churnlib.features.state import FittedState
from churnlib.spec import AS_OF, Feature, Spec


@dataclass(frozen=True)
class Matrix:
    """What the booster sees.

    Attributes:
        values: float32, C order, one row per row of the frame in its order, one column per model
            feature; NaN is missing. No infinities.
        names: of the columns, in the spec's order.
        unseen: rows by category feature whose category the training rows did not have; they are NaN.
            Only features with such rows are listed.
    """

    values: np.ndarray
    names: tuple[str, ...]
    unseen: dict[str, int]


def model_frame(accepted: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Return the model's features with their own values: one row per row, columns in the spec's order.

    Args:
        accepted: `as_of` and all delivered columns; others are left out.
        spec: says which.

    Raises:
        ChurnError: a delivered column is not in the frame, or an expression fails on these rows.
    """
    absent = [name for name in spec.delivered if name not in accepted.columns]
    if absent:
        raise ChurnError(
            f"The rows lack the column {absent[0]!r} of the spec {spec.name!r}.",
            hint="Pass rows that went through the data contract of this spec.",
        )
    kept = [name for name in (AS_OF, *spec.delivered) if name in accepted.columns]
    lazy = derive(accepted.lazy().select(kept), spec)
    try:
        return lazy.select(list(spec.model_features)).collect()
    except pl.exceptions.PolarsError as error:
        first_line = str(error).splitlines()[0]
        raise ChurnError(
            f"The derived features of {spec.name!r} cannot be computed: {first_line}.",
            hint="Correct the expression in the spec, or the values that it cannot take.",
        ) from error


def build_matrix(accepted: pl.DataFrame, spec: Spec, state: FittedState) -> Matrix:
    """Turn accepted (or labelled) rows into the model's matrix.

    Numbers are float32, and missing when float32 cannot hold them; booleans are 0 and 1; categories
    are their codes. Null, unseen and undefined are NaN.

    Raises:
        ChurnError: as `model_frame`.
    """
    return encode(model_frame(accepted, spec), spec, state)


def encode(frame: pl.DataFrame, spec: Spec, state: FittedState) -> Matrix:
    """Turn the result of `model_frame` into the matrix."""
    features = spec.model_features
    coded = frame.select(_coded(name, feature, state) for name, feature in features.items())
    lost = {
        name: coded.get_column(name).null_count() - frame.get_column(name).null_count()
        for name, feature in features.items()
        if feature.type == "category"
    }
    values = np.ascontiguousarray(coded.to_numpy(order="c", writable=True), dtype=np.float32)
    np.copyto(values, np.nan, where=np.isinf(values))
    return Matrix(values, tuple(features), {name: count for name, count in lost.items() if count})


def _coded(name: str, feature: Feature, state: FittedState) -> pl.Expr:
    column = pl.col(name)
    if feature.type == "category":
        # An Enum's own numbers are the codes, and others than its categories become null.
        column = column.cast(pl.Enum(state.codes.get(name, ())), strict=False).to_physical()
    return column.cast(pl.Float32)
