"""A column's values as bars, each with its rows and its churned rows: the numbers behind a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from churnlib.intake.inspection_columns import Column
from churnlib.intake.wording import number_text

_BINS = 16
_FEW = 12
_CATEGORIES = 9
_TAIL = 0.005
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Bars:
    """Bars in the order in which they are drawn.

    Attributes:
        labels: of single values, or each bin's lower edge; `missing` and `n others` come last.
        rows: customers whose label is known.
        churned: those of them who churned.
        is_binned: labels are edges of bins of a number or date.
    """

    labels: tuple[str, ...]
    rows: tuple[int, ...]
    churned: tuple[int, ...]
    is_binned: bool


def bars_of(column: Column, churned: pl.Series) -> Bars:
    """Count a column's rows by value.

    Numbers and dates of many values are binned, with the 0.5 % at each end within the outer bins; of
    categories the most frequent stand alone.
    """
    known = churned.is_not_null()
    values, labels = column.values.filter(known), churned.filter(known)
    if column.kind in ("category", "boolean"):
        return _of_texts(column, values, labels)
    numbers = values.to_physical().cast(pl.Float64)
    if column.distinct <= _FEW:
        distinct = numbers.drop_nulls().unique().sort()
        edges = distinct.to_list()
        positions = numbers.replace_strict(edges, list(range(len(edges))), return_dtype=pl.Int64)
    else:
        edges = _edges(numbers)
        last = len(edges) - 1
        positions = pl.Series(
            (np.searchsorted(edges, numbers.fill_null(edges[0]), side="right") - 1).clip(0, last)
        )
        positions = pl.select(pl.when(numbers.is_not_null()).then(positions)).to_series()
    shown = [_shown(edge, is_date=column.kind == "date") for edge in edges]
    return _counted(positions, labels, shown, is_binned=column.distinct > _FEW)


def _edges(numbers: pl.Series) -> list[float]:
    """Lower edges of bins of one width; whole numbers get whole edges."""
    cells = numbers.drop_nulls()
    low, high = (float(cells.quantile(share) or 0.0) for share in (_TAIL, 1 - _TAIL))
    if low == high:
        low, high = float(cells.min()), float(cells.max())  # type: ignore[arg-type]
    width = (high - low) / _BINS
    if bool((cells == cells.floor()).all()):
        width = max(1.0, float(np.ceil(width)))
    return [low + width * step for step in range(_BINS) if low + width * step <= high]


def _of_texts(column: Column, values: pl.Series, labels: pl.Series) -> Bars:
    shown = [text for text, _ in column.top[:_CATEGORIES]]
    texts = values.cast(pl.String)
    others = column.distinct - len(shown)
    positions = texts.replace_strict(
        shown,
        list(range(len(shown))),
        default=pl.when(texts.is_not_null()).then(len(shown)),
        return_dtype=pl.Int64,
    )
    names = [*shown, f"{others:,} others"] if others else shown
    return _counted(positions, labels, names, is_binned=False)


def _counted(positions: pl.Series, labels: pl.Series, names: Sequence[str], *, is_binned: bool) -> Bars:
    """Count by position; a row without one is missing."""
    missing = len(names)
    at = positions.fill_null(missing).to_numpy().astype(np.int64)
    rows = np.bincount(at, minlength=missing + 1)
    churned = np.bincount(at[labels.to_numpy()], minlength=missing + 1)
    kept = missing + bool(rows[missing])
    labelled = (*names, "missing")[:kept]
    return Bars(labelled, tuple(map(int, rows[:kept])), tuple(map(int, churned[:kept])), is_binned)


def _shown(edge: float, *, is_date: bool) -> str:
    if is_date:
        return str(_EPOCH + timedelta(days=edge))
    return number_text(float(f"{edge:.3g}")) if abs(edge) < 1e5 else f"{edge:.3g}"
