"""Parquet in chunks, with memory that grows neither with the file nor with its row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

import polars as pl

from churnlib.intake.delivery import with_rows
from churnlib.intake.kinds import READ_FAULTS, unreadable

LARGE_GROUP = 128 << 20
"""Compressed bytes of a row group from which it is streamed. polars reads the whole group for each of its
slices: 10 million rows of 40 columns in one group cost 1.0 CPU-s per million and at times 0.9 GB (streamed:
0.5 CPU-s, 0.3 GB), in usual groups 0.2 to 0.4 CPU-s and 0.25 GB."""
_BATCH_ROWS = 65_536
_SLICE_ROWS = 131_072
"""Rows that are read together. Half as many cost half as much again: each slice reads its row group anew."""
MOST_CELLS = 1 << 23
"""Of a chunk: a file of very many columns comes in chunks of fewer rows."""


@dataclass(frozen=True)
class Part:
    """One file of a delivery, with its own types."""

    path: Path
    schema: pl.Schema
    rows: int


def chunks_of(parts: Sequence[Part], schema: pl.Schema, *, rows: int, source: str) -> Iterator[pl.DataFrame]:
    """The rows of all parts one after another, in chunks of at most so many, cast to the schema.

    Raises:
        FileRefused: a damaged page shows when it is read.
    """
    most = MOST_CELLS // len(schema) or 1
    rows = min(rows, most)
    try:
        for is_large, group in groupby(parts, _has_large_group):
            if is_large:
                for part in group:
                    yield from with_rows(_streamed(part, schema, min(rows, _BATCH_ROWS)))
            else:
                for frame in _sliced(list(group), schema, max(rows, min(_SLICE_ROWS, most))):
                    yield from with_rows(frame.iter_slices(rows))
    except READ_FAULTS as error:
        raise unreadable(source, error) from error


def _sliced(parts: Sequence[Part], schema: pl.Schema, rows: int) -> Iterator[pl.DataFrame]:
    """Rows by slices; one may take in several small parts."""
    ends = list(accumulate(part.rows for part in parts))

    def chunk(start: int) -> pl.DataFrame:
        pieces = [
            _slice(part, schema, max(start - (end - part.rows), 0), min(end, start + rows) - (end - part.rows))
            for part, end in zip(parts, ends, strict=True)
            if start < end and end - part.rows < start + rows
        ]
        return pl.concat(pieces, rechunk=True).collect()

    return map(chunk, range(0, ends[-1], rows))


def _slice(part: Part, schema: pl.Schema, start: int, stop: int) -> pl.LazyFrame:
    rows = pl.scan_parquet(part.path, glob=False).slice(start, stop - start)
    return rows.select(_as(name, part.schema[name], dtype) for name, dtype in schema.items())


def _as(name: str, own: pl.DataType, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if own == dtype else pl.col(name).cast(dtype)


def _streamed(part: Part, schema: pl.Schema, rows: int) -> Iterator[pl.DataFrame]:
    """Chunks of a file whose row groups are too large for slices, page by page."""
    from pyarrow import parquet
    from pyarrow.lib import ArrowException, RecordBatch

    def chunk(batch: RecordBatch) -> pl.DataFrame:
        frame = pl.DataFrame(batch)
        return frame.select(_as(name, frame.schema[name], dtype) for name, dtype in schema.items())

    try:
        with parquet.ParquetFile(  # type: ignore[no-untyped-call]
            part.path, pre_buffer=False, buffer_size=1 << 20
        ) as file:
            yield from map(chunk, file.iter_batches(rows, use_threads=False))
    except ArrowException as error:
        raise OSError(str(error)) from error


def _has_large_group(part: Part) -> bool:
    """Whether a row group is too large for slices, if the bytes are spread evenly over the rows."""
    size = part.path.stat().st_size
    # pyarrow does not read every array, list and struct that polars writes
    if size <= LARGE_GROUP or any(dtype.is_nested() for dtype in part.schema.dtypes()):
        return False
    from pyarrow import parquet
    from pyarrow.lib import ArrowException

    try:
        facts = parquet.read_metadata(part.path)  # type: ignore[no-untyped-call]
    except ArrowException:  # polars has read it
        return False
    most = max((facts.row_group(group).num_rows for group in range(facts.num_row_groups)), default=0)
    return bool(most * size > LARGE_GROUP * part.rows)
