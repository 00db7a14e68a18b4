"""A delivered file that passed its checks, opened to be read chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
from polars.io.plugins import register_io_source

CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Delivery:
    """Rows as delivered, in the file's order.

    Attributes:
        schema: raw columns and their types: the same in every chunk.
        chunks: reads the file once from its start, each time it is called. A chunk has at least one row
            and no more than were asked for. Damage that shows only when cells are read raises FileRefused.
    """

    schema: pl.Schema
    chunks: Callable[[], Iterator[pl.DataFrame]]

    def lazy(self) -> pl.LazyFrame:
        """All rows as one lazy frame that reads them when it is collected or sunk."""
        return lazy(self.chunks, self.schema)


def with_rows(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The frames that are not empty.

    No generator, which would keep a frame while its consumer works on it and wants the memory.
    """
    return filter(len, frames)


def lazy(chunks: Callable[[], Iterator[pl.DataFrame]], schema: pl.Schema) -> pl.LazyFrame:
    """A lazy frame over chunks that follow each other; what making them raises comes out of it as it is."""

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        for chunk in chunks():
            found = chunk if rows is None else chunk.head(rows)
            rows = None if rows is None else rows - found.height
            found = found if columns is None else found.select(columns)
            yield found if predicate is None else found.filter(predicate)
            if rows == 0:
                return

    return register_io_source(source, schema=schema)
