"""How a batch of rows lies in one Parquet file: its name, how it is written, how several are read as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import polars as pl

from churnlib.adapters.durable import file_errors, temporary_beside
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.spec import AS_OF
from churnlib.variants import safe_name

T = TypeVar("T")

FolderOf = Callable[[str], str]
"""Where a registered model's rows lie below a table: a folder's name, or several with slashes between them."""

_LOOKS = 3
_NAME = re.compile(
    r"as_of=(?P<as_of>\d{4}-\d\d-\d\d)/(?P<batch>[A-Za-z0-9][A-Za-z0-9_-]*)"
    r"(\.(?P<first>\d{4}-\d\d-\d\d)\.(?P<last>\d{4}-\d\d-\d\d))?\.parquet"
)


@dataclass(frozen=True)
class Part:
    """One batch's file: `as_of=YYYY-MM-DD/<batch_id>.parquet` below its model.

    A batch whose rows have other dates than its own `as_of` says so in its file's name
    (`<batch_id>.<first>.<last>.parquet`), so that ranges are exact without opening a file.

    Attributes:
        name: below the model's folder.
        first: earliest date of its rows; `last` the latest, both inclusive.
    """

    name: str
    batch_id: str
    as_of: date
    first: date
    last: date

    @property
    def order(self) -> tuple[date, str]:
        """Its place among the batches of a model."""
        return self.as_of, self.batch_id

    def overlaps(self, first: date, last: date) -> bool:
        """Whether it may have rows of these dates."""
        return self.first <= last and self.last >= first


@dataclass(frozen=True)
class Staged:
    """The rows of a batch, complete in a file that has not got its name yet.

    Attributes:
        span: what the name has to say about dates.
        written: when the rows were complete, by this machine's clock, in nanoseconds since 1970. A file
            keeps it as its time; of two copies of one batch, the one written later counts.
    """

    path: Path
    span: str
    written: int

    @classmethod
    def of(cls, path: Path, as_of: date) -> Staged:
        """Rows that lie in a file already."""
        return cls(path, _span(path, as_of), path.stat().st_mtime_ns)


def part_of(name: str) -> Part | None:
    """What a name below a model's folder says; None for a file that is not the table's."""
    said = _NAME.fullmatch(name)
    if said is None:
        return None
    as_of, first, last = (date.fromisoformat(said[end] or said["as_of"]) for end in ("as_of", "first", "last"))
    return Part(name, said["batch"], as_of, first, last)


def name_of(batch_id: str, as_of: date, span: str) -> str:
    """The name of a batch's file below its model's folder."""
    return f"as_of={as_of.isoformat()}/{batch_id}{span}.parquet"


def by_name(model: str) -> str:
    """A folder for each model, of its name."""
    return model


def folder_below(folder_of: FolderOf, model: str) -> str:
    """Where the model's rows lie below a table; never outside, and never where a date's folder could be.

    Raises:
        ChurnError: the model's name, or one of its folders', could leave the table.
    """
    folders = folder_of(safe_name(model, what="model")).split("/")
    return "/".join(safe_name(name, what="folder") for name in folders)


@contextmanager
def staged(frame: pl.LazyFrame, folder: Path, batch_id: str, as_of: date) -> Iterator[Staged]:
    """Write rows, as they are made, to a hidden file in the folder, which is made; it is gone after the block.

    Raises:
        ServiceUnavailable: the disk is full or not writable.
    """
    temporary = temporary_beside(folder / f"{batch_id}.parquet")
    with file_errors(f"The rows of batch {batch_id[:12]} cannot be written to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _sink(frame, temporary)
            yield Staged.of(temporary, as_of)
        finally:
            temporary.unlink(missing_ok=True)


def rows_of(
    parts: Sequence[Part], files: Sequence[Path], *, since: date = date.min, until: date = date.max
) -> pl.LazyFrame | None:
    """The rows of files in their order, `since <= as_of <= until`; a column that a file lacks is null.

    Args:
        parts: what each file is.
        files: where each file is.
        since: inclusive.
        until: inclusive.

    Returns:
        None when there is no file.

    Raises:
        ChurnError: a file is damaged.
        FileNotFoundError: a file has gone since it was listed.
    """
    frame = _scan(files)
    if frame is None or all(part.first >= since and part.last <= until for part in parts):
        return frame
    return frame.filter(pl.col(AS_OF).is_between(since, until))


def steadily(look: Callable[[], T], what: str) -> T:
    """What `look` finds; it looks again where a file has gone between its listing and its opening.

    Raises:
        ServiceUnavailable: time and again.
    """
    for _ in range(_LOOKS):
        with suppress(FileNotFoundError):
            return look()
    raise ServiceUnavailable(f"{what} change while they are read.", hint="Repeat when their writer has finished.")


def _span(path: Path, as_of: date) -> str:
    """The part of the file's name that says between which dates the rows lie; empty for `as_of` itself."""
    rows = _scan_file(path)
    if rows.collect_schema().get(AS_OF) != pl.Date:
        return ""
    first, last = rows.select(pl.col(AS_OF).min().alias("first"), pl.col(AS_OF).max()).collect().row(0)
    return "" if (first or as_of, last or as_of) == (as_of, as_of) else f".{first}.{last}"


def _sink(frame: pl.LazyFrame, path: Path) -> None:
    try:
        # every engine reads it, and it takes half of the time of zstd, for files 1.7 times as large
        frame.sink_parquet(path, compression="snappy")
    except pl.exceptions.ComputeError as error:
        if "os error" not in str(error):  # a fault in the frame, not of the disk
            raise
        raise ServiceUnavailable(
            f"{path.parent} cannot be written to: {error}.", hint="Free some disk space there, then repeat."
        ) from error


def _scan_file(path: Path) -> pl.LazyFrame:
    # without glob=False a folder with [brackets] in its name is a pattern that matches nothing
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _scan(files: Sequence[Path]) -> pl.LazyFrame | None:
    if not files:
        return None
    schemas = [_schema(path) for path in files]
    if all(schema == schemas[0] for schema in schemas):
        return pl.scan_parquet(list(files), glob=False, hive_partitioning=False)
    return pl.concat([_scan_file(path) for path in files], how="diagonal_relaxed")


def _schema(path: Path) -> pl.Schema:
    try:
        return _scan_file(path).collect_schema()
    except FileNotFoundError:
        raise
    except (pl.exceptions.ComputeError, OSError) as error:
        raise ChurnError(
            f"{path} is damaged: {str(error).splitlines()[0]}.",
            hint="Delete the file and score its batch again.",
        ) from error
