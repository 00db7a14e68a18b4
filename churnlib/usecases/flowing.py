"""Rows on their way through a file that is larger than memory: read slice by slice, or set aside on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

_SLICE_ROWS = 131_072


def sliced(rows: pl.LazyFrame, *, step: int) -> Iterator[pl.DataFrame]:
    """The rows of a stored frame in order, so many at a time.

    A slice at a time, because the streaming reader of polars holds several row groups at once; a wide one,
    because each reads its row group anew.
    """
    start, wide = 0, max(step, _SLICE_ROWS)
    while (frame := rows.slice(start, wide).collect()).height:
        start += frame.height
        yield from frame.iter_slices(step)


@dataclass
class Spill:
    """Frames set aside in Parquet files, to be read back as one.

    Attributes:
        folder: an empty folder of its own, that somebody else removes.
        held_rows: so many wait in memory before they are written.
        rows: set aside in all.
    """

    folder: Path
    held_rows: int = 1
    rows: int = 0
    _files: list[Path] = field(default_factory=list)
    _held: list[pl.DataFrame] = field(default_factory=list)

    def add(self, frame: pl.DataFrame) -> None:
        """Set rows aside; none are nothing."""
        if not frame.height:
            return
        self.rows += frame.height
        self._held.append(frame)
        if sum(each.height for each in self._held) >= self.held_rows:
            self._write()

    def clear(self) -> None:
        """Forget all rows."""
        for file in self._files:
            file.unlink()
        self._files.clear()
        self._held.clear()
        self.rows = 0

    def scan(self) -> pl.LazyFrame:
        """All rows, in the order in which they came; there has to be one."""
        held = [frame.lazy() for frame in self._held]
        files = [pl.scan_parquet(file, glob=False) for file in self._files]
        return pl.concat([*files, *held], how="vertical_relaxed")

    def _write(self) -> None:
        self._files.append(self.folder / f"{len(self._files):06}.parquet")
        pl.concat(self._held, how="vertical_relaxed").write_parquet(self._files[-1], compression="lz4")
        self._held.clear()
