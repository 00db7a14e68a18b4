"""Rows by the batch in Parquet files, laid out so that any engine prunes them by date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.adapters.durable import file_errors, put_in_place, temporary_beside
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.spec import AS_OF
from churnlib.variants import safe_name

_FOLDER = re.compile(r"as_of=(\d{4}-\d{2}-\d{2})")
_FILE = re.compile(
    r"(?P<batch>[A-Za-z0-9][A-Za-z0-9_-]*)(\.(?P<first>\d{4}-\d\d-\d\d)\.(?P<last>\d{4}-\d\d-\d\d))?\.parquet"
)
_LEFTOVER_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class _Part:
    """One batch's file and the dates its rows lie between, both inclusive."""

    path: Path
    batch_id: str
    as_of: date
    first: date
    last: date


class ParquetTable:
    """Fulfils `ports.BatchTable`: `<root>/<model>/as_of=YYYY-MM-DD/<batch_id>.parquet`.

    A batch whose rows have other dates than its own `as_of` says so in its file's name
    (`<batch_id>.<first>.<last>.parquet`), so that ranges are exact without opening a file.
    Files of different ages may have different columns: a column that a file lacks is null.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, replacing what an earlier try left; atomic. Returns the file's path.

        Raises:
            ChurnError: the model's or the batch's name could leave its folder.
            ServiceUnavailable: the disk is full or not writable.
        """
        folder = self._folder(model) / f"as_of={as_of.isoformat()}"
        safe_name(batch_id, what="batch")
        temporary = temporary_beside(folder / f"{batch_id}.parquet")
        with file_errors(f"The rows of batch {batch_id[:12]} cannot be written to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _sink(frame, temporary)
                path = folder / f"{batch_id}{_span(temporary, as_of)}.parquet"
                self._remove_leftovers(model, now=temporary.stat().st_mtime)
                put_in_place(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
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
        parts = [part for part in self._parts(model) if part.first <= last and part.last >= first]
        frame = _scan([part.path for part in parts])
        if frame is None or all(part.first >= first and part.last <= last for part in parts):
            return frame
        return frame.filter(pl.col(AS_OF).is_between(first, last))

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None:
        """The batch's rows as they were written; None when there are none."""
        safe_name(batch_id, what="batch")
        return _scan([part.path for part in self._parts(model) if part.batch_id == batch_id])

    def _folder(self, model: str) -> Path:
        return self._root / safe_name(model, what="model")

    def _parts(self, model: str) -> list[_Part]:
        """One a batch, ordered by `as_of`, then batch."""
        newest: dict[str, _Part] = {}
        # a crash may leave a batch under its former date as well: the file written last counts
        for part in sorted(self._files(model), key=lambda part: part.path.stat().st_mtime_ns):
            newest[part.batch_id] = part
        return sorted(newest.values(), key=lambda part: (part.as_of, part.batch_id))

    def _files(self, model: str) -> list[_Part]:
        found = (_part(path) for path in self._folder(model).glob("as_of=*/*.parquet"))
        return [part for part in found if part is not None]

    def _unlink(self, model: str, batch_id: str, *, but: Path | None) -> None:
        for part in self._files(model):
            if part.batch_id == batch_id and part.path != but:
                part.path.unlink(missing_ok=True)

    def _remove_leftovers(self, model: str, *, now: float) -> None:
        """Remove what killed writers left; `now` is the time of the file just written."""
        for path in self._folder(model).glob("as_of=*/.*.tmp"):
            if now - path.stat().st_mtime > _LEFTOVER_SECONDS:
                path.unlink(missing_ok=True)


def _part(path: Path) -> _Part | None:
    """What the path says; None for a file that is not the table's."""
    folder, name = _FOLDER.fullmatch(path.parent.name), _FILE.fullmatch(path.name)
    if folder is None or name is None:
        return None
    as_of = date.fromisoformat(folder[1])
    first, last = (date.fromisoformat(name[end]) if name[end] else as_of for end in ("first", "last"))
    return _Part(path, name["batch"], as_of, first, last)


def _span(path: Path, as_of: date) -> str:
    """The part of the file's name that says between which dates the rows lie; empty for `as_of` itself."""
    rows = _scan_file(path)
    if rows.collect_schema().get(AS_OF) != pl.Date:
        return ""
    first, last = rows.select(pl.col(AS_OF).min().alias("first"), pl.col(AS_OF).max()).collect().row(0)
    return "" if (first or as_of, last or as_of) == (as_of, as_of) else f".{first}.{last}"


def _sink(frame: pl.LazyFrame, path: Path) -> None:
    try:
        frame.sink_parquet(path, compression="zstd")
    except pl.exceptions.ComputeError as error:
        if "os error" not in str(error):  # a fault in the frame, not of the disk
            raise
        raise ServiceUnavailable(
            f"{path.parent} cannot be written to: {error}.", hint="Free some disk space there, then repeat."
        ) from error


def _scan_file(path: Path) -> pl.LazyFrame:
    # without glob=False a folder with [brackets] in its name is a pattern that matches nothing
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _scan(paths: Sequence[Path]) -> pl.LazyFrame | None:
    if not paths:
        return None
    schemas = [_schema(path) for path in paths]
    if all(schema == schemas[0] for schema in schemas):
        return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False)
    return pl.concat([_scan_file(path) for path in paths], how="diagonal_relaxed")


def _schema(path: Path) -> pl.Schema:
    try:
        return _scan_file(path).collect_schema()
    except (pl.exceptions.ComputeError, OSError) as error:
        raise ChurnError(
            f"{path} is damaged: {str(error).splitlines()[0]}.",
            hint="Delete the file and score its batch again.",
        ) from error
