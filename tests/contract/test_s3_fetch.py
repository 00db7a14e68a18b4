"""One file comes from any bucket by its address, complete or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churnlib.adapters.s3_fetch import fetch
from churnlib.errors import ChurnError, ServiceUnavailable


def put(aws: Any, key: str, content: bytes) -> str:
    """An address of an object of that content, in a bucket of its own."""
    url: str = aws.new_bucket()
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    whole = "/".join(part for part in (prefix.strip("/"), key) if part)
    aws.client("s3").put_object(Bucket=bucket, Key=whole, Body=content)
    return f"s3://{bucket}/{whole}"


def test_a_file_comes_under_its_own_name(aws: Any, tmp_path: Path) -> None:
    address = put(aws, "geography-us/model 1.ubj", b"{" + bytes(70_000))
    put(aws, "geography-us/model 1.ubj.old", b"other")
    path = fetch(address, tmp_path, endpoint_url=aws.endpoint)
    assert path == tmp_path / "model 1.ubj"
    assert path.read_bytes() == b"{" + bytes(70_000)


def test_an_object_that_only_begins_so_is_not_taken(aws: Any, tmp_path: Path) -> None:
    address = put(aws, "m/model.ubj.old", b"other")
    with pytest.raises(ChurnError, match=r"There is no object s3://.*/m/model\.ubj\. Check"):
        fetch(address.removesuffix(".old"), tmp_path, endpoint_url=aws.endpoint)
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_answers_that_is_said(aws: Any, tmp_path: Path) -> None:
    address = put(aws, "m/model.ubj", b"{")
    aws.stop()
    with pytest.raises(ServiceUnavailable):
        fetch(address, tmp_path, endpoint_url=aws.endpoint)
