"""Cells of a delivered column as values, by expressions: whatever type the file gave them.

In two steps, so that none is computed twice: what was given (null where nothing was), then the value
(null as well where what was given is no value of the type).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

Kind = Literal["number", "category", "boolean", "date"]

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")

_ISO = (
    r"^\d{4}-\d{2}-\d{2}"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?\s?(Z|UTC|[+-]\d{2}(:?\d{2})?)?)?$"
)
_EXACT = 2.0**53


def is_nested(dtype: pl.DataType) -> bool:
    """Whether a column holds lists, structs, bytes or objects instead of single values."""
    return dtype.is_nested() or dtype in (pl.Binary, pl.Object)


def given(column: str, dtype: pl.DataType, kind: Kind, missing: Sequence[str]) -> pl.Expr:
    """What a raw column gives: of its own type if that serves the kind, otherwise as text.

    Null where nothing was delivered: null, not-a-number, or one of the texts for "no value".
    """
    if _is_direct(dtype, kind):
        return pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)
    return text(column, dtype, missing)


def text(column: str, dtype: pl.DataType, missing: Sequence[str]) -> pl.Expr:
    """A raw column as text: blanks around it removed, missing as null, whole numbers without `.0`."""
    raw = pl.col(column)
    if dtype.is_float():
        is_whole = (raw == raw.floor()) & (raw.abs() < _EXACT)
        whole = raw.cast(pl.Int64, strict=False).cast(pl.String)
        shown = pl.when(is_whole).then(whole).otherwise(raw.cast(pl.String))
        return pl.when(raw.is_not_nan()).then(shown)
    stripped = raw.cast(pl.String, strict=False).str.strip_chars()
    return pl.when(~stripped.is_in(list(missing))).then(stripped)


def value(given: pl.Expr, dtype: pl.DataType, kind: Kind) -> pl.Expr:
    """What was given as a value of the kind; null where it is none.

    Category: text. Number: Float64, always finite, a boolean counts as 0 and 1. Boolean: also from 0
    and 1 and the usual words, in any capitals. Date: also from datetimes and ISO 8601 text; of a
    datetime the date as written, in its own zone.
    """
    if kind == "number":
        is_no_number = dtype.is_temporal() and not _is_direct(dtype, kind)
        number = pl.lit(None, pl.Float64) if is_no_number else given.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if kind == "boolean":
        return given if dtype == pl.Boolean else truth(given)
    if kind == "date":
        return _day(given, dtype)
    return given


def truth(given: pl.Expr) -> pl.Expr:
    """Text as Boolean; null for what is no word for yes or no."""
    word = given.str.to_lowercase()
    is_true, is_false = word.is_in(list(TRUE_WORDS)), word.is_in(list(FALSE_WORDS))
    return pl.when(is_true | is_false).then(is_true)


def _is_direct(dtype: pl.DataType, kind: Kind) -> bool:
    """Whether a raw type needs no detour over text."""
    if kind == "number":
        return dtype.is_numeric() or dtype == pl.Boolean
    if kind == "date":
        return dtype == pl.Date or isinstance(dtype, pl.Datetime)
    return kind == "boolean" and dtype == pl.Boolean


def _day(given: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if _is_direct(dtype, "date"):
        return given.cast(pl.Date) if dtype == pl.Date else given.dt.date()
    written = pl.when(given.str.contains(_ISO)).then(given.str.slice(0, 10))
    return written.str.to_date("%Y-%m-%d", strict=False)
