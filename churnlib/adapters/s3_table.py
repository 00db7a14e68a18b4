"""Rows by the batch in Parquet files on S3, laid out as the local ones are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Final

import polars as pl

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
from churnlib.adapters.s3_bucket import Bucket, StoredObject
from churnlib.adapters.s3_cache import ObjectCache
from churnlib.errors import ChurnError
from churnlib.variants import safe_name

_WRITTEN: Final = "churn-written"


@dataclass(frozen=True)
class StoredPart(Part):
    """One batch's object."""

    stored: StoredObject


class S3Table:
    """Fulfils `ports.BatchTable`: `s3://bucket/prefix/<table>/<folder>/as_of=YYYY-MM-DD/<batch_id>.parquet`.

    Rows are written to a local file first and go up in one piece, so a batch is there as a whole or not at
    all; they are read from files that a cache keeps, which stay as they are when the batch is replaced.
    """

    def __init__(self, bucket: Bucket, table: str, cache: Path, folder_of: FolderOf = by_name) -> None:
        """Remember where it is; nothing is asked.

        Args:
            bucket: holds the table.
            table: its folder below the bucket's prefix.
            cache: folder of its own for files; may be lost at any time.
            folder_of: says where a model's rows lie below the table.
        """
        self.cache = ObjectCache(cache)
        self._bucket, self._table, self._folder_of = bucket, safe_name(table, what="table"), folder_of

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, replacing what an earlier try left; atomic. Returns the object's address.

        Raises:
            ChurnError: S3 refuses for good, or the model's or the batch's name could leave its folder.
            ServiceUnavailable: S3 cannot be reached, or the disk is full.
        """
        safe_name(model, what="model")
        with staged(frame, self.cache.folder, safe_name(batch_id, what="batch"), as_of) as rows:
            return self.put(model, batch_id, as_of, rows)

    def put(self, model: str, batch_id: str, as_of: date, rows: Staged) -> str:
        """Write rows that lie in a local file, which stays; see `replace`."""
        key = self._folder(model) + name_of(safe_name(batch_id, what="batch"), as_of, rows.span)
        written = str(rows.written)
        self._bucket.upload(rows.path, key, {_WRITTEN: written})
        self._delete(model, batch_id, but=key)
        with suppress(ChurnError):  # all is done; only the cache would like to know
            facts = self._bucket.facts(key)
            if facts is not None and facts.metadata.get(_WRITTEN) == written:  # nobody else's by now
                self.cache.keep(self._bucket, key, facts.etag, rows.path)
        return self._bucket.address(key)

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out; nothing happens when there are none."""
        self._delete(model, safe_name(batch_id, what="batch"), but=None)

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, ordered by the batch's `as_of`, then batch.

        What is not in the cache is fetched now.

        Returns:
            None when no object can have such rows.

        Raises:
            ChurnError: S3 refuses for good, or an object in the range is damaged.
            ServiceUnavailable: S3 cannot be reached, or the disk is full.
        """
        first, last = since or date.min, until or date.max

        def look() -> pl.LazyFrame | None:
            parts = [part for part in self.parts(model) if part.overlaps(first, last)]
            return rows_of(parts, self.files(parts), since=first, until=last)

        return steadily(look, f"The rows in {self._bucket.address(self._folder(model))}")

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None:
        """The batch's rows as they were written; None when there are none."""
        safe_name(batch_id, what="batch")

        def look() -> pl.LazyFrame | None:
            part = self.part(model, batch_id)
            return None if part is None else rows_of([part], self.files([part]))

        return steadily(look, f"The rows of batch {batch_id[:12]}")

    def parts(self, model: str) -> list[StoredPart]:
        """One a batch, ordered by `as_of`, then batch."""
        everything = sorted(self._listed(model), key=lambda part: part.batch_id)
        batches = (list(same) for _, same in groupby(everything, key=lambda part: part.batch_id))
        # a crash may leave a batch under its former date as well: the one written last counts
        newest = (same[0] if len(same) == 1 else max(same, key=self.written) for same in batches)
        return sorted(newest, key=lambda part: part.order)

    def part(self, model: str, batch_id: str) -> StoredPart | None:
        """The batch's object; None when there is none."""
        return next((part for part in self.parts(model) if part.batch_id == batch_id), None)

    def files(self, parts: Sequence[StoredPart]) -> list[Path]:
        """Local files with the content of the objects as they were listed.

        Raises:
            FileNotFoundError: an object has changed or gone since.
            ChurnError: an object is no Parquet file, or cut off.
        """
        files = self.cache.files(self._bucket, [part.stored for part in parts])
        for part, path in zip(parts, files, strict=True):
            if not _is_whole(path):
                self.cache.forget([path])
                raise ChurnError(
                    f"{self.address(part)} is damaged: it has not the two ends of a Parquet file.",
                    hint="Try again; if it stays so, delete the object and score its batch again.",
                )
        return files

    def address(self, part: StoredPart) -> str:
        """Where the part is, for people and the record."""
        return self._bucket.address(part.stored.key)

    def written(self, part: StoredPart) -> int:
        """When the rows were complete, by their writer's clock; see `Staged.written`.

        Raises:
            FileNotFoundError: the object has gone since it was listed.
        """
        facts = self._bucket.facts(part.stored.key)
        if facts is None:
            raise FileNotFoundError(self.address(part))
        said = facts.metadata.get(_WRITTEN, "")
        # somebody else's object only has S3's own time, in whole seconds
        return int(said) if said.isdecimal() else int(facts.modified.timestamp()) * 10**9

    def _folder(self, model: str) -> str:
        return f"{self._table}/{folder_below(self._folder_of, model)}/"

    def _listed(self, model: str) -> list[StoredPart]:
        folder = self._folder(model)
        found = (
            (stored, part_of(stored.key.removeprefix(folder)))
            for stored in self._bucket.objects(f"{folder}as_of=")
        )
        return [StoredPart(**vars(part), stored=stored) for stored, part in found if part is not None]

    def _delete(self, model: str, batch_id: str, *, but: str | None) -> None:
        for part in self._listed(model):
            if part.batch_id == batch_id and part.stored.key != but:
                self._bucket.delete(part.stored.key)


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(size - 4, 0))
        return size >= 12 and head == file.read(4) == b"PAR1"
