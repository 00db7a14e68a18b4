"""Rows by the batch in Parquet files, laid out so that any engine prunes them by date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from churnlib.adapters.durable import file_errors, move, put_in_place, temporary_beside
from churnlib.adapters.parquet_layout import (
    FolderOf,
    Part,
    Staged,
    by_name,
    folder_below,
    name_of,
    part_of,
    rows_of,
    staged,
    steadily,
)
from churnlib.variants import safe_name

_LEFTOVER_SECONDS = 24 * 3600.0


class ParquetTable:
    """Fulfils `ports.BatchTable`: `<root>/<folder of the model>/as_of=YYYY-MM-DD/<batch_id>.parquet`.

    Files of different ages may have different columns: a column that a file lacks is null.
    """

    def __init__(self, root: Path, folder_of: FolderOf = by_name) -> None:
        self._root, self._folder_of = root, folder_of

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, replacing what an earlier try left; atomic. Returns the file's path.

        Raises:
            ChurnError: the model's or the batch's name could leave its folder.
            ServiceUnavailable: the disk is full or not writable.
        """
        folder = self._folder(model) / f"as_of={as_of.isoformat()}"
        with staged(frame, folder, safe_name(batch_id, what="batch"), as_of) as rows:
            return self.put(model, batch_id, as_of, rows)

    def put(self, model: str, batch_id: str, as_of: date, rows: Staged) -> str:
        """Give staged rows their place; see `replace`."""
        folder = self._folder(model)
        path = folder / name_of(safe_name(batch_id, what="batch"), as_of, rows.span)
        with file_errors(f"The rows of batch {batch_id[:12]} cannot be written to {path.parent}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(model, now=rows.path.stat().st_mtime)
            ready = rows.path
            if ready.parent != path.parent:  # which may be on another disk
                ready = temporary_beside(path)
                move(rows.path, ready)
            put_in_place(ready, path)
            self._unlink(model, batch_id, but=path)
        return str(path)

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out; nothing happens when there are none."""
        with file_errors(f"Batch {batch_id[:12]} cannot be removed from {self._folder(model)}"):
            self._unlink(model, safe_name(batch_id, what="batch"), but=None)

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, lazily, ordered by the batch's `as_of`, then batch.

        Returns:
            None when no file can have such rows.

        Raises:
            ChurnError: a file in the range is damaged.
        """
        first, last = since or date.min, until or date.max

        def look() -> pl.LazyFrame | None:
            parts = [part for part in self.parts(model) if part.overlaps(first, last)]
            return rows_of(parts, [self.path(model, part) for part in parts], since=first, until=last)

        return steadily(look, f"The rows in {self._folder(model)}")

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None:
        """The batch's rows as they were written; None when there are none."""
        safe_name(batch_id, what="batch")

        def look() -> pl.LazyFrame | None:
            part = self.part(model, batch_id)
            return None if part is None else rows_of([part], [self.path(model, part)])

        return steadily(look, f"The rows of batch {batch_id[:12]}")

    def part(self, model: str, batch_id: str) -> Part | None:
        """The batch's file; None when there is none."""
        return next((part for part in self.parts(model) if part.batch_id == batch_id), None)

    def parts(self, model: str) -> list[Part]:
        """One a batch, ordered by `as_of`, then batch."""
        newest: dict[str, Part] = {}
        # a crash may leave a batch under its former date as well: the file written last counts
        for part in sorted(self._files(model), key=lambda part: self.path(model, part).stat().st_mtime_ns):
            newest[part.batch_id] = part
        return sorted(newest.values(), key=lambda part: part.order)

    def path(self, model: str, part: Part) -> Path:
        """Where the part's file is."""
        return self._folder(model) / part.name

    def _folder(self, model: str) -> Path:
        return self._root / folder_below(self._folder_of, model)

    def _files(self, model: str) -> list[Part]:
        folder = self._folder(model)
        found = (part_of(path.relative_to(folder).as_posix()) for path in folder.glob("as_of=*/*.parquet"))
        return [part for part in found if part is not None]

    def _unlink(self, model: str, batch_id: str, *, but: Path | None) -> None:
        for part in self._files(model):
            if part.batch_id == batch_id and self.path(model, part) != but:
                self.path(model, part).unlink(missing_ok=True)

    def _remove_leftovers(self, model: str, *, now: float) -> None:
        """Remove what killed writers left; `now` is the time of the file just written."""
        for path in self._folder(model).glob("as_of=*/.*.tmp"):
            if now - path.stat().st_mtime > _LEFTOVER_SECONDS:
                path.unlink(missing_ok=True)
