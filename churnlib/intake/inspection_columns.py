"""A file's columns as inspection finds them: type, range, frequent values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from churnlib.intake.cells import Kind, given, is_nested, text, value

TOP = 12
"""So many of a column's most frequent values are kept."""


@dataclass(frozen=True)
class Column:
    """What one delivered column holds, over all rows.

    Attributes:
        kind: type for the spec; None for lists, structs and bytes.
        values: the cells as values of that type, null where missing; of text the stripped text.
        missing: rows without a value.
        distinct: different values, missing not counted.
        blanks: cells that hold nothing but blanks.
        odd: in a column of text that is nearly all numbers, the cells that are none; otherwise 0.
        example: one of those cells.
        top: the most frequent values of a category or boolean with their rows, most frequent first.
    """

    name: str
    kind: Kind | None
    values: pl.Series
    missing: int
    distinct: int
    blanks: int = 0
    odd: int = 0
    example: str = ""
    top: tuple[tuple[str, int], ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return self.values.len()

    @property
    def extent(self) -> tuple[float, float] | None:
        """Least and greatest value of a number column that has any."""
        if self.kind != "number" or not self.distinct:
            return None
        return float(self.values.min()), float(self.values.max())  # type: ignore[arg-type]

    @property
    def is_whole(self) -> bool:
        """A number column without fractions."""
        return self.kind == "number" and bool((self.values == self.values.floor()).all())


def read_columns(raw: pl.DataFrame, names: Sequence[str], missing: Sequence[str]) -> list[Column]:
    """Look at columns of a raw frame, in the order given."""
    return [_read(raw, name, missing) for name in names]


def _read(raw: pl.DataFrame, name: str, missing: Sequence[str]) -> Column:
    dtype = raw.schema[name]
    if is_nested(dtype):
        return Column(name, None, raw[name], raw[name].null_count(), 0)
    facts = _text_facts(raw, name, missing) if dtype == pl.String else {}
    kind = _kind_of_text(facts) if facts else _kind_of_type(dtype)
    cell = given(name, dtype, kind, missing)
    values = raw.select(value(cell, dtype, kind)).to_series()
    odd = facts.get("cells", 0) - facts.get("numbers", 0) if kind == "category" else 0
    is_odd = 0 < odd <= 0.05 * facts.get("cells", 0)
    return Column(
        name=name,
        kind=kind,
        values=values,
        missing=values.null_count(),
        distinct=values.drop_nulls().n_unique(),
        blanks=facts.get("blanks", 0),
        odd=odd if is_odd else 0,
        example=(facts.get("example") or "") if is_odd else "",
        top=_top(values) if kind in ("category", "boolean") else (),
    )


def _text_facts(raw: pl.DataFrame, name: str, missing: Sequence[str]) -> dict[str, Any]:
    """How many cells of a text column could be read as which type."""
    cell, column = text(name, pl.String(), missing), pl.col(name)
    numbers = value(cell, pl.String(), "number")
    return raw.select(
        cells=cell.count(),
        numbers=numbers.count(),
        codes=cell.str.contains(r"^0\d").sum(),
        words=cell.str.to_lowercase().is_in(["true", "false"]).sum(),
        days=value(cell, pl.String(), "date").count(),
        blanks=((column.str.len_bytes() > 0) & (column.str.strip_chars() == "")).sum(),
        example=cell.filter(numbers.is_null()).drop_nulls().first(),
    ).row(0, named=True)


def _kind_of_text(facts: dict[str, Any]) -> Kind:
    """The narrowest type that fits every cell; `007` is a code and no number."""
    cells = facts["cells"]
    if cells and facts["numbers"] == cells and not facts["codes"]:
        return "number"
    if cells and facts["words"] == cells:
        return "boolean"
    return "date" if cells and facts["days"] == cells else "category"


def _kind_of_type(dtype: pl.DataType) -> Kind:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_numeric():
        return "number"
    return "date" if dtype == pl.Date or isinstance(dtype, pl.Datetime) else "category"


def _top(values: pl.Series) -> tuple[tuple[str, int], ...]:
    counted = (
        values.drop_nulls()
        .alias("value")
        .to_frame()
        .group_by("value")
        .agg(pl.len().alias("rows"))
        .sort(["rows", "value"], descending=[True, False])
        .head(TOP)
    )
    return tuple((_shown(value), int(rows)) for value, rows in counted.iter_rows())


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
