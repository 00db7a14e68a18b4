"""Files of objects on the local disk, so that they are fetched once and stay as they are while they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from churnlib.adapters.durable import delete, file_errors
from churnlib.adapters.s3_bucket import Bucket, StoredObject

KEPT_SECONDS: Final = 2 * 24 * 3600.0
_SUFFIXES: Final = (".parquet", ".tmp")


class ObjectCache:
    """One file an object and content (its ETag); files not used for two days go.

    Why not read from S3 directly: polars asks S3 again at every slice of a batch, with other credentials,
    retries and errors than boto3, and only when the rows are collected. A file stays what it is, is read in
    slices as fast as the local tables are, and what was just written is there already.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, bucket: Bucket, wanted: Sequence[StoredObject]) -> list[Path]:
        """A file for each object, fetched where it is not there yet.

        Raises:
            FileNotFoundError: an object has changed or gone since it was listed.
            ServiceUnavailable, ChurnError: it cannot be fetched, or the disk is full.
        """
        places = {stored: self._place(bucket, stored.key, stored.etag) for stored in wanted}
        missing = {stored: path for stored, path in places.items() if not use(path)}
        if missing:
            with file_errors(f"{self.folder} cannot be made"):
                self.folder.mkdir(parents=True, exist_ok=True)
            if not bucket.download(missing):
                raise FileNotFoundError(bucket.address(""))
            self._remove_unused()
        return list(places.values())

    def keep(self, bucket: Bucket, key: str, etag: str, path: Path) -> None:
        """Take a file in the cache's folder, which stays too, for the content of an object just written."""
        if path.parent == self.folder:
            with suppress(OSError):  # then it is fetched when it is asked for
                os.link(path, self._place(bucket, key, etag))
                self._remove_unused()

    def hold(self, path: Path) -> Path:
        """A second name for a file that may be moved away while it is read.

        Raises:
            FileNotFoundError: it has gone.
        """
        name = self.folder / f"{uuid4().hex}.parquet"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.link(path, name)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or one without second names
            return path
        return name

    def forget(self, files: Sequence[Path]) -> None:
        """Have these fetched again when they are next asked for."""
        for path in files:
            path.unlink(missing_ok=True)

    def _place(self, bucket: Bucket, key: str, etag: str) -> Path:
        return self.folder / f"{sha256(f'{bucket.address(key)} {etag}'.encode()).hexdigest()[:40]}.parquet"

    def _remove_unused(self) -> None:
        with suppress(FileNotFoundError):
            remove_unused(path for path in self.folder.iterdir() if path.suffix in _SUFFIXES)


def remove_unused(paths: Iterable[Path]) -> None:
    """Delete files or folders that were last used two days before the one used last.

    The time of the last change of any kind, not that of the content, says when that was.
    """
    with suppress(FileNotFoundError):  # another process tidies up as well
        ages = {path: path.stat().st_ctime for path in paths}
        now = max(ages.values(), default=0.0)
        for path, used in ages.items():
            if now - used > KEPT_SECONDS:
                delete(path)


def use(path: Path) -> bool:
    """Whether it is there; then it is in use from now on. Its own time stays: a table's file may share it."""
    try:
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True
