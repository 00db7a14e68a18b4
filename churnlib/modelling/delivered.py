"""Rows as a served model gets them, loosely typed, brought to the types of an accepted frame."""

from __future__ import annotations

from datetime import date

import polars as pl

from churnlib.errors import ChurnError
from churnlib.features.expressions import DTYPES
from churnlib.intake import cells
from churnlib.spec import AS_OF, Spec


def typed(frame: pl.DataFrame, spec: Spec, today: date) -> pl.DataFrame:
    """Return `as_of` and every delivered column of the spec, typed as in an accepted frame; same rows, same order.

    Cells are read as the data contract reads those of a batch: numbers may come as any numeric type or
    as text, booleans also as 0/1 or text, dates also as ISO text or datetime, categories also as
    integers; the spec's texts for "no value" and NaN are null. An optional column that is absent is null;
    other columns are left out. Ranges and lists of categories are not checked: a customer is
    answered as asked.

    Args:
        frame: delivered rows; ids are not needed.
        spec: says which columns there are.
        today: `as_of` where the rows have none.

    Raises:
        ChurnError: a required column is absent, or values are not of their column's type.
    """
    absent = [name for name, feature in spec.delivered.items() if feature.required and name not in frame.columns]
    if absent:
        raise ChurnError(
            f"The rows lack the column {absent[0]!r}, which {spec.name!r} requires.",
            hint="Send every required column under its delivered name; a missing value is null.",
        )
    dated = next((name for name in (spec.columns.as_of, AS_OF) if name in frame.columns), None)
    sources = {AS_OF: (dated, "date"), **{name: (name, feature.type) for name, feature in spec.delivered.items()}}
    return pl.DataFrame(
        _typed_column(frame, source, name, kind, spec) for name, (source, kind) in sources.items()
    ).with_columns(pl.col(AS_OF).fill_null(today))


def _typed_column(frame: pl.DataFrame, source: str | None, name: str, kind: cells.Kind, spec: Spec) -> pl.Series:
    if source not in frame.columns:
        return pl.repeat(None, frame.height, dtype=DTYPES[kind], eager=True).alias(name)
    dtype = frame.schema[source]
    if cells.is_nested(dtype):
        raise ChurnError(
            f"{source} holds {dtype} where single values belong.", hint="Send one value a row and column."
        )
    given = frame.select(cells.given(source, dtype, kind, spec.input.missing).alias(source))
    value = given.select(cells.value(pl.col(source), dtype, kind).alias(name)).to_series()
    unreadable = value.null_count() - given.get_column(source).null_count()
    if unreadable:
        raise ChurnError(
            f"{source}: {unreadable} of {frame.height} values are no {kind}.",
            hint="Send values of the type that the spec says, and null for a missing one.",
        )
    return value
