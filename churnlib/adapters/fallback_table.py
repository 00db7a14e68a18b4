"""Rows on S3, and on the local disk for as long as S3 cannot be reached."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.adapters.durable import file_errors
from churnlib.adapters.parquet_layout import Part, Staged, rows_of, staged, steadily
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.s3_table import S3Table, StoredPart
from churnlib.errors import ServiceUnavailable
from churnlib.variants import safe_name


class FallbackTable:
    """Fulfils `ports.BatchTable` with an S3 table first, and a local one where S3 cannot be reached.

    A batch that is in both counts once, as it was written last. Each copy says when its rows were complete by
    its writer's clock: the object in its metadata, the file in its time. S3's clock and the order in which
    uploads arrive do not matter, and an upload that went through although its answer was lost has the time of
    the local copy that was made instead. Between machines it is their clocks that have to agree, to within
    the time between two writings of one batch.
    """

    def __init__(self, primary: S3Table, local: ParquetTable) -> None:
        """Join two tables; rows that lie in the local one from earlier count, and move at `catch_up`."""
        self._primary, self._local = primary, local

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, made once, replacing what an earlier try left; atomic.

        Returns:
            Where they are: an `s3://` address, or a path where S3 could not be reached.

        Raises:
            ChurnError: S3 refuses for good, or the model's or the batch's name could leave its folder.
            ServiceUnavailable: the disk is full.
        """
        safe_name(model, what="model")
        safe_name(batch_id, what="batch")
        with staged(frame, self._primary.cache.folder, batch_id, as_of) as rows, self._alone(model):
            try:
                place = self._primary.put(model, batch_id, as_of, rows)
            except ServiceUnavailable:
                return self._local.put(model, batch_id, as_of, rows)
            self._local.remove(model, batch_id)
            return place

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out of both; nothing happens when there are none.

        Raises:
            ServiceUnavailable: S3 cannot be reached; nothing is removed then.
        """
        with self._alone(safe_name(model, what="model")):
            self._primary.remove(model, batch_id)
            self._local.remove(model, batch_id)

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, ordered by the batch's `as_of`, then batch.

        Returns:
            None when no batch can have such rows.

        Raises:
            ServiceUnavailable: S3 cannot be reached: a part of the rows would pass for all of them.
            ChurnError: S3 refuses for good, or a file in the range is damaged.
        """
        first, last = since or date.min, until or date.max

        def look() -> pl.LazyFrame | None:
            parts = [part for part in self._parts(model) if part.overlaps(first, last)]
            return rows_of(parts, self._files(model, parts), since=first, until=last)

        return steadily(look, f"The rows of {model}")

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None:
        """The batch's rows as they were written last; None when there are none.

        Raises:
            ServiceUnavailable: S3 cannot be reached, and they are not here.
        """
        safe_name(batch_id, what="batch")

        def look() -> pl.LazyFrame | None:
            part = self._part(model, batch_id)
            return None if part is None else rows_of([part], self._files(model, [part]))

        return steadily(look, f"The rows of batch {batch_id[:12]}")

    def catch_up(self, model: str) -> dict[str, str]:
        """Move what had to be written here to S3; stops where S3 cannot be reached, the rest waits.

        Returns:
            Where batches are now, by id.

        Raises:
            ChurnError: S3 refuses for good.
        """
        moved: dict[str, str] = {}
        for waiting in self._local.parts(model):
            with self._alone(model):
                near = self._local.part(model, waiting.batch_id)
                if near is None:  # another run was faster
                    continue
                try:
                    moved[near.batch_id] = self._move(model, near)
                except (ServiceUnavailable, FileNotFoundError):  # the latter: another machine writes it right now
                    break
        return moved

    def _move(self, model: str, near: Part) -> str:
        far = self._primary.part(model, near.batch_id)
        rows = Staged.of(self._local.path(model, near), near.as_of)
        if far is None or self._primary.written(far) < rows.written:
            place = self._primary.put(model, near.batch_id, near.as_of, rows)
        else:
            place = self._primary.address(far)
        self._local.remove(model, near.batch_id)
        return place

    def _parts(self, model: str) -> list[Part]:
        """One a batch, ordered by `as_of`, then batch."""
        chosen: dict[str, Part] = {part.batch_id: part for part in self._local.parts(model)}
        for far in self._primary.parts(model):
            near = chosen.get(far.batch_id)
            chosen[far.batch_id] = far if near is None else self._later(model, near, far)
        return sorted(chosen.values(), key=lambda part: part.order)

    def _part(self, model: str, batch_id: str) -> Part | None:
        near = self._local.part(model, batch_id)
        try:
            far = self._primary.part(model, batch_id)
            return self._later(model, near, far) if near and far else near or far
        except ServiceUnavailable:
            if near is None:
                raise
            return near  # S3 could not be reached when it was written either

    def _later(self, model: str, near: Part, far: StoredPart) -> Part:
        here = self._local.path(model, near).stat().st_mtime_ns
        return far if self._primary.written(far) > here else near

    def _files(self, model: str, parts: Sequence[Part]) -> list[Path]:
        stored = [part for part in parts if isinstance(part, StoredPart)]
        files: dict[Part, Path] = dict(zip(stored, self._primary.files(stored), strict=True))
        hold = self._primary.cache.hold
        return [files.get(part) or hold(self._local.path(model, part)) for part in parts]

    @contextmanager
    def _alone(self, model: str) -> Iterator[None]:
        """One writer a model on this machine, lest an older copy arrive on S3 after a newer one."""
        folder = self._primary.cache.folder
        with file_errors(f"{folder} cannot be written"):
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / f".{model}.lock").open("w")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield
