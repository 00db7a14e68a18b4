"""Objects below `s3://bucket/prefix`: listed, read, written, copied and deleted; errors in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final

from churnlib.adapters.durable import file_errors, put_in_place, temporary_beside
from churnlib.adapters.s3_client import aws_client, aws_errors, check_aws, code_of, passes
from churnlib.errors import ChurnError

PART_BYTES: Final = 32 * 1024**2
"""What is larger goes up and comes down in pieces of this size, `_THREADS` at a time."""

_BLOCK_BYTES: Final = 1024**2
_THREADS: Final = 4
_STREAM_ATTEMPTS: Final = 3
_SETTING: Final = "CHURN_STORE_URL"
_URL: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<path>(/[^/?#\s]+( +[^/?#\s]+)*)*)/?"
)
_KEPT_HEADERS: Final = ("ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage")
_CHANGED: Final = frozenset({"PreconditionFailed", "412", "NoSuchKey", "404"})


@dataclass(frozen=True)
class StoredObject:
    """One object as it was listed.

    Attributes:
        key: below the prefix.
        etag: changes with the content, in S3's quotes.
        age_seconds: since it was written, by S3's own clock.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    age_seconds: float


@dataclass(frozen=True)
class Facts:
    """What an object says about itself; `metadata` is what its writer said."""

    etag: str
    modified: datetime
    metadata: Mapping[str, str]


class Bucket:
    """All keys are below the prefix. Every method raises as `aws_errors` does."""

    def __init__(self, url: str, *, endpoint_url: str | None = None) -> None:
        """Remember where it is; nothing is asked before the first call.

        Args:
            url: `s3://bucket/prefix`, the prefix may be missing.
            endpoint_url: of an S3 that is not AWS's own.

        Raises:
            ChurnError: it is no such URL, or boto3 is not installed.
        """
        parsed = _URL.fullmatch(url)
        parts = parsed["path"].split("/")[1:] if parsed else []
        if parsed is None or not {".", ".."}.isdisjoint(parts):
            raise ChurnError(
                f"{_SETTING} is not the URL of an S3 bucket or of a prefix in one.",
                hint="Write s3://bucket/prefix, or unset it to keep everything in local folders.",
            )
        check_aws(_SETTING, endpoint_url)
        self.name, self._prefix = parsed["bucket"], "".join(f"{part}/" for part in parts)
        self._endpoint_url = endpoint_url
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"Bucket({self.address('')})"

    def address(self, key: str) -> str:
        """`s3://bucket/prefix/key`."""
        return f"s3://{self.name}/{self._prefix}{key}"

    def objects(self, start: str) -> list[StoredObject]:
        """All objects whose key begins so, ordered by key."""
        found: list[StoredObject] = []
        with self._errors(start, "listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=self._prefix + start
            )
            for page in pages:
                now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
                found += [self._listed(content, now) for content in page.get("Contents", ())]
        return found

    def facts(self, key: str) -> Facts | None:
        """What the object says about itself; None when there is none."""
        with self._errors(key, "read"), _unless_changed():
            answer = self._client.head_object(**self._at(key))
            return Facts(answer["ETag"], answer["LastModified"], answer.get("Metadata", {}))
        return None

    def read(self, key: str) -> bytes | None:
        """The content of a small object; None when there is none."""
        with self._errors(key, "read"), _unless_changed():
            content: bytes = self._client.get_object(**self._at(key))["Body"].read()
            return content
        return None

    def write(self, key: str, content: bytes) -> None:
        """Write a small object, replacing what is there."""
        with self._errors(key, "written"):
            self._client.put_object(**self._at(key), Body=content)

    def upload(self, path: Path, key: str, metadata: Mapping[str, str]) -> None:
        """Write a file's content, replacing what is there; nobody sees half of it."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=_THREADS
        )
        with file_errors(f"{path} cannot be read"), self._errors(key, "written"):
            self._client.upload_file(
                str(path), self.name, self._prefix + key, ExtraArgs={"Metadata": dict(metadata)}, Config=config
            )

    def copy(self, source: StoredObject, key: str, metadata: Mapping[str, str]) -> bool:
        """Copy within S3, whatever the size, with what the source says about itself and more.

        Returns:
            False when the source has changed or gone since it was listed.
        """
        with self._errors(source.key, "copied"), _unless_changed():
            head = self._client.head_object(**self._at(source.key), IfMatch=source.etag)
            given = {name: head[name] for name in _KEPT_HEADERS if head.get(name)}
            given |= {"Metadata": {**head.get("Metadata", {}), **metadata}, "MetadataDirective": "REPLACE"}
            given |= {"CopySourceIfMatch": source.etag}
            self._client.copy(self._at(source.key), self.name, self._prefix + key, ExtraArgs=given)
            return True
        return False

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Delete the object; nothing happens when there is none, or another one than given."""
        with self._errors(key, "deleted"), _unless_changed():
            self._client.delete_object(**self._at(key), **({} if etag is None else {"IfMatch": etag}))

    def download(self, wanted: Mapping[StoredObject, Path]) -> bool:
        """Fetch objects into files, complete or not at all; their folders have to be there.

        Returns:
            False when one has changed or gone since it was listed.

        Raises:
            ServiceUnavailable: also when the disk is full.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return all(list(pool.map(self._fetch, wanted.keys(), wanted.values())))

    def _fetch(self, stored: StoredObject, path: Path) -> bool:
        temporary = temporary_beside(path)
        with file_errors(f"{temporary.parent} cannot be written"), self._errors(stored.key, "read"):
            try:
                with temporary.open("wb") as file:
                    file.truncate(stored.size)
                starts = range(0, stored.size, PART_BYTES)
                with _unless_changed(), ThreadPoolExecutor(_THREADS) as pool:
                    list(pool.map(lambda start: self._fetch_part(stored, start, temporary), starts))
                    put_in_place(temporary, path)
                    return True
            finally:
                temporary.unlink(missing_ok=True)
        return False

    def _fetch_part(self, stored: StoredObject, start: int, path: Path) -> None:
        end = min(start + PART_BYTES, stored.size)
        with path.open("r+b") as file:
            for attempt in range(1, _STREAM_ATTEMPTS + 1):
                try:
                    self._pour(stored, start, end, file)
                    return
                except Exception as error:
                    # botocore repeats requests, but not answers that break off
                    if attempt == _STREAM_ATTEMPTS or not passes(error):
                        raise

    def _pour(self, stored: StoredObject, start: int, end: int, file: BinaryIO) -> None:
        answer = self._client.get_object(
            **self._at(stored.key), IfMatch=stored.etag, Range=f"bytes={start}-{end - 1}"
        )
        file.seek(start)
        for block in answer["Body"].iter_chunks(_BLOCK_BYTES):
            file.write(block)

    @cached_property
    def _connected(self) -> Any:  # noqa: ANN401
        return aws_client("s3", self._endpoint_url)

    @property
    def _client(self) -> Any:  # noqa: ANN401
        with self._lock:
            return self._connected

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": self._prefix + key}

    def _listed(self, content: Mapping[str, Any], now: datetime) -> StoredObject:
        modified: datetime = content["LastModified"]
        key = str(content["Key"]).removeprefix(self._prefix)
        age_seconds = (now - modified).total_seconds()
        return StoredObject(key, int(content["Size"]), str(content["ETag"]), modified, age_seconds)

    @contextmanager
    def _errors(self, key: str, doing: str) -> Iterator[None]:
        with aws_errors(f"{self.address(key)} cannot be {doing}"):
            yield


@contextmanager
def _unless_changed() -> Iterator[None]:
    """End the block without a word when the object is not there, or no longer as it was listed."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if code_of(error) not in _CHANGED:
            raise
