"""A file of a whole family of models: the rows of slices that have a model of their own are taken out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import polars as pl

from churnlib.intake.delivery import CHUNK_ROWS
from churnlib.intake.sorting import Sorted
from churnlib.intake.stream import Totals
from churnlib.spec import AS_OF
from churnlib.usecases.flowing import Spill, sliced
from churnlib.variants import Variant, slug

_HELD_ROWS = 65_536
"""Rows of a slice that wait in memory together before they go to disk."""


class Parts(Protocol):
    """Rows that the contract has sorted, a chunk at a time."""

    @property
    def totals(self) -> Totals:
        """Of all of them, once the parts are through."""
        ...

    def parts(self) -> Iterator[Sorted]:
        """From the first on, at each call."""
        ...


class Split:
    """What is left of a stream for the base model; the other slices' rows are set aside.

    Attributes:
        own: by registered model, the rows of slices that have a model of their own, once the stream is through.
        seen: by prefix, each slice that the file has.
    """

    def __init__(
        self, stream: Parts, columns: Mapping[str, str], *, stem: str, models: Collection[str], folder: Path
    ) -> None:
        """Begin.

        Args:
            stream: the whole file.
            columns: delivered column by dimension.
            stem: of the registered models' names.
            models: those that have a champion.
            folder: an empty one, for rows that are set aside.
        """
        self.own: dict[str, Spill] = {}
        self.seen: dict[str, Variant] = {}
        self._stream, self._columns, self._stem = stream, dict(columns), stem
        self._models, self._folder = models, folder

    @property
    def totals(self) -> Totals:
        """Of the whole file."""
        return self._stream.totals

    def parts(self) -> Iterator[Sorted]:
        """The base model's rows, and every refused one."""
        for spill in self.own.values():
            spill.clear()
        self.seen.clear()
        for part in self._stream.parts():
            slices = self._slices(part.accepted)
            rest = [rows for variant, rows in slices if not self._is_taken(variant, rows)]
            left = pl.concat(rest) if rest else part.accepted.clear()
            yield Sorted(left, part.quarantined, part.by_reason)

    def _slices(self, accepted: pl.DataFrame) -> Iterator[tuple[Variant, pl.DataFrame]]:
        names = list(self._columns.values())
        for values, rows in accepted.partition_by(names, as_dict=True, maintain_order=True).items():
            variant = variant_of(dict(zip(self._columns, values, strict=True)))
            self.seen[variant.prefix()] = variant
            yield variant, rows

    def _is_taken(self, variant: Variant, rows: pl.DataFrame) -> bool:
        model = variant.registered_model(self._stem)
        if model not in self._models:
            return False
        if model not in self.own:
            folder = self._folder / model
            folder.mkdir()
            self.own[model] = Spill(folder, held_rows=_HELD_ROWS)
        self.own[model].add(rows)
        return True


class Kept:
    """Rows that passed the contract before and were set aside, as parts again."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill

    @property
    def totals(self) -> Totals:
        """All are accepted."""
        as_of = self._spill.scan().select(AS_OF).head(1).collect().item()
        return Totals(self._spill.rows, self._spill.rows, 0, {}, as_of)

    def parts(self) -> Iterator[Sorted]:
        """Chunks in the order in which they were set aside."""
        for chunk in sliced(self._spill.scan(), step=CHUNK_ROWS):
            yield Sorted(chunk, chunk.clear(), {})


def label_of(columns: Mapping[str, str]) -> pl.Expr:
    """The slice of a row as text, such as `geography-us/company-clienta`; empty for a row of none.

    Args:
        columns: delivered column by dimension.
    """
    parts = [pl.lit(f"{slug(name)}-") + slugs(pl.col(column)) for name, column in columns.items()]
    return pl.concat_str(parts, separator="/", ignore_nulls=True).alias("variant")


def slugs(text: pl.Expr) -> pl.Expr:
    """`variants.slug` of a column; null stays null."""
    return text.cast(pl.String).str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "-").str.strip_chars("-")


def variant_of(values: Mapping[str, object]) -> Variant:
    """The slice of a row; a dimension without a value is none."""
    return Variant(dimensions={name: str(value) for name, value in values.items() if value is not None})
