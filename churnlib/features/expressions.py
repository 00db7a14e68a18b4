"""Derived features: the spec's SQL expressions over delivered columns, alike for training and scoring."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import polars as pl

from churnlib.errors import SpecError
from churnlib.spec import AS_OF, Spec

DTYPES = {"number": pl.Float64, "category": pl.String, "boolean": pl.Boolean, "date": pl.Date}
"""Column types of an accepted frame, by the spec's type."""

SECONDS_A_DAY = 86_400

# Two rows to each category: an expression that looks at other rows shows on them, in groups or not.
_WITNESSES = {
    "number": [1.0, 2.0, 5.0, 11.0],
    "category": ["a", "a", "b", "b"],
    "boolean": [True, False, False, True],
    "date": [date(2024, 1, 31), date(2024, 3, 1), date(2023, 7, 9), date(2022, 12, 25)],
}


def derive(frame: pl.LazyFrame, spec: Spec) -> pl.LazyFrame:
    """Add the derived features, lazily, after the columns that are there.

    A value depends on its own row only. Infinite and undefined results (a division by zero, the
    logarithm of a negative number) become null. The difference of two dates counts as days.

    Args:
        frame: `as_of` and all delivered columns of the spec, typed as in an accepted frame.
        spec: its derived features are added in its order, each cast to its type.

    Raises:
        SpecError: an expression does not fit its columns' types, gives another type than the spec
            says, or looks at more rows than its own (an aggregate or a window).
    """
    if not spec.derived:
        return frame
    _check_row_by_row(
        tuple((name, feature.sql or "") for name, feature in spec.derived.items()),
        tuple((name, feature.type) for name, feature in spec.delivered.items()),
    )
    columns = [
        _typed(name, pl.sql_expr(feature.sql or ""), _result_type(frame, name, feature.sql or ""), feature.type)
        for name, feature in spec.derived.items()
    ]
    return frame.with_columns(columns)


def _result_type(frame: pl.LazyFrame, name: str, sql: str) -> pl.DataType:
    try:
        return frame.select(pl.sql_expr(sql).alias(name)).collect_schema()[name]
    except pl.exceptions.PolarsError as error:
        first_line = str(error).splitlines()[0]
        raise SpecError(
            f"features.{name}.sql cannot be computed: {first_line}.",
            hint="Check the types of the columns that it names.",
        ) from error


def _typed(name: str, expression: pl.Expr, found: pl.DataType, wanted: str) -> pl.Expr:
    if isinstance(found, pl.Duration):
        expression, found = expression.dt.total_seconds(fractional=True) / SECONDS_A_DAY, pl.Float64()
    numeric = found.is_numeric() or found in (pl.Boolean, pl.Null)
    fits = {"number": numeric, "boolean": numeric, "category": found.is_nested() is False}[wanted]
    if not fits:
        raise SpecError(
            f"features.{name}.sql gives {found}, but the spec says type = {wanted!r}.",
            hint="Change the type or the expression.",
        )
    cast = expression.cast(DTYPES[wanted])
    if wanted == "number":
        cast = pl.when(cast.is_finite()).then(cast)
    return cast.alias(name)


@lru_cache(maxsize=64)
def _check_row_by_row(derived: tuple[tuple[str, str], ...], delivered: tuple[tuple[str, str], ...]) -> None:
    """Compute every expression on four rows at once and on each alone: the values have to be the same."""
    kinds = {AS_OF: "date", **dict(delivered)}
    rows = pl.DataFrame(
        {name: _WITNESSES[kind] for name, kind in kinds.items()},
        schema={name: DTYPES[kind] for name, kind in kinds.items()},
    )
    for name, sql in derived:
        column = pl.sql_expr(sql).alias(name)
        try:
            together = rows.with_columns(column).get_column(name)
            alone = pl.concat([rows.slice(i, 1).with_columns(column).get_column(name) for i in range(4)])
        except pl.exceptions.PolarsError:
            continue  # witnesses that do not suit it (text to be parsed) prove nothing; real rows will tell
        if not together.equals(alone, null_equal=True):
            raise SpecError(
                f"features.{name}.sql looks at more rows than its own.",
                hint="An aggregate or window differs from batch to batch; deliver its values as a column.",
            )
