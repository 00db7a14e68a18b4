"""Why a customer's score is what it is: the features that moved it most, with the customer's own values."""

from __future__ import annotations

import numpy as np
import polars as pl

from churnlib.spec import Spec

MISSING = "missing"
"""Text of a value that is not there."""

_DIGITS = 4


def reason_schema(top: int) -> dict[str, type[pl.DataType]]:
    """Return names and types of the reason columns: feature, value and contribution for each of `top`."""
    schema: dict[str, type[pl.DataType]] = {}
    for k in range(1, top + 1):
        schema |= {f"reason_{k}_feature": pl.String, f"reason_{k}_value": pl.String}
        schema |= {f"reason_{k}_contribution": pl.Float64}
    return schema


def reason_columns(contributed: np.ndarray, values: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Return the strongest reasons of each row, strongest first.

    Args:
        contributed: contributions in log-odds without the base, shape (rows, features).
        values: the same rows' model features in the same order of columns, as `model_frame` gives them.
        spec: says how many reasons.

    Returns:
        The columns of `reason_schema`. A positive contribution raises the risk; reasons are ordered by
        absolute size, ties by the spec's order of features. Features without influence are no
        reason: where fewer than `top` have any, the rest is null.
    """
    names = np.array(values.columns, dtype=object)
    texts = values.select(
        _as_text(pl.col(name), dtype).alias(name) for name, dtype in values.schema.items()
    ).to_numpy()
    order = np.argsort(-np.abs(contributed), axis=1, kind="stable")[:, : spec.reasons.top]
    chosen, told = np.take_along_axis(contributed, order, axis=1), np.take_along_axis(texts, order, axis=1)
    columns: dict[str, pl.Series] = {}
    for k in range(spec.reasons.top):
        if k >= order.shape[1]:
            break
        counts = pl.Series(chosen[:, k] != 0)
        parts = (names[order[:, k]], told[:, k], chosen[:, k])
        for (name, dtype), part in zip(list(reason_schema(k + 1).items())[-3:], parts, strict=True):
            column = pl.Series(name, part, dtype=dtype)
            columns[name] = pl.select(pl.when(counts).then(column).alias(name)).to_series()
    schema = reason_schema(spec.reasons.top)
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in columns]
    return pl.DataFrame(columns).with_columns(absent).select(list(schema))


def _as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_numeric():
        fraction = pl.when(column.abs() < 1).then(column.round_sig_figs(_DIGITS)).otherwise(column.round(_DIGITS))
        text = pl.when(fraction == 0).then(pl.lit("0")).otherwise(fraction.cast(pl.String).str.strip_suffix(".0"))
    else:
        text = column.cast(pl.String)
    return text.fill_null(MISSING)
