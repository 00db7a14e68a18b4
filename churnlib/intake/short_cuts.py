"""Columns that can be taken as they are, because every cell of them is plainly a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from churnlib.spec import Feature


@dataclass(frozen=True)
class ShortCut:
    """The accepted column in one step, for a chunk in which no cell needs a second look.

    Attributes:
        column: the raw column.
        value: the accepted column, over the raw frame.
        is_sound: of the accepted column, whether no row breaks a rule and every cell that is not null has the
            value that reading cell by cell would give. A no may be wrong, a yes never is.
    """

    column: str
    value: pl.Expr
    is_sound: Callable[[pl.Series], bool]

    def holds(self, raw: pl.Series, values: pl.Series) -> bool:
        """Whether these values, made of the raw column, are the accepted ones."""
        return values.null_count() == raw.null_count() and self.is_sound(values)


def short_cut(column: str, dtype: pl.DataType, feature: Feature, missing: Sequence[str]) -> ShortCut | None:
    """The short cut of a feature's column; None where reading it cell by cell is cheap or cannot be spared."""
    if feature.type == "number" and (dtype.is_numeric() or (dtype == pl.String and not _has_numbers(missing))):
        return ShortCut(
            column, pl.col(column).cast(pl.Float64, strict=False), lambda values: _fit_numbers(values, feature)
        )
    if feature.type == "category" and _is_text(dtype):
        return ShortCut(
            column, pl.col(column).cast(pl.String), lambda values: _fit_categories(values, feature, missing)
        )
    return None


def short_cut_of_id(column: str, dtype: pl.DataType, missing: Sequence[str]) -> ShortCut | None:
    """The short cut of the customer's id, which must not be missing."""
    if not _is_text(dtype):
        return None
    return ShortCut(
        column,
        pl.col(column).cast(pl.String),
        lambda values: not values.null_count() and _are_clean(values, missing),
    )


def _fit_numbers(values: pl.Series, feature: Feature) -> bool:
    if not math.isfinite(values.sum()):  # it is finite only if all of them are
        return False
    least, greatest = cast("tuple[float | None, float | None]", (values.min(), values.max()))
    if least is None or greatest is None:
        return feature.nullable
    is_within = (feature.min is None or least >= feature.min) and (feature.max is None or greatest <= feature.max)
    return is_within and (feature.nullable or not values.null_count())


def _fit_categories(values: pl.Series, feature: Feature, missing: Sequence[str]) -> bool:
    levels = values.unique().drop_nulls()
    if feature.categories is not None and not levels.is_in(list(feature.categories)).all():
        return False
    return _are_clean(levels, missing) and (feature.nullable or not values.null_count())


def _are_clean(texts: pl.Series, missing: Sequence[str]) -> bool:
    """No blanks around a text, and none that means "no value"."""
    return not texts.is_in(list(missing)).any() and bool((texts == texts.str.strip_chars()).all())


def _has_numbers(missing: Sequence[str]) -> bool:
    """Whether a text that means "no value" would be read as a number all the same, such as -999."""
    return bool(pl.Series(missing, dtype=pl.String).cast(pl.Float64, strict=False).is_finite().any())


def _is_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum)
