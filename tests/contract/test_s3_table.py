"""How batches lie on S3, what is fetched and what is not, and what S3 says when it cannot."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.adapters import s3_bucket, s3_client
from churnlib.adapters.s3_bucket import Bucket, StoredObject
from churnlib.adapters.s3_table import S3Table
from churnlib.errors import ChurnError, ServiceUnavailable

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def rows(name: str = "a", as_of: date = MONDAY) -> pl.LazyFrame:
    return pl.LazyFrame({"customer_id": [name], "as_of": [as_of]})


def names(frame: pl.LazyFrame | None) -> list[str]:
    assert frame is not None
    return frame.collect()["customer_id"].to_list()


@pytest.fixture
def url(aws: Any) -> str:
    found: str = aws.new_bucket()
    return found


@pytest.fixture
def table(aws: Any, url: str, tmp_path: Path) -> S3Table:
    return S3Table(Bucket(url, endpoint_url=aws.endpoint), "predictions", tmp_path / "cache")


@pytest.fixture
def other(aws: Any, url: str, tmp_path: Path) -> S3Table:
    """The same table on another machine, whose cache is empty."""
    return S3Table(Bucket(url, endpoint_url=aws.endpoint), "predictions", tmp_path / "other")


@pytest.fixture
def put(aws: Any, url: str) -> Callable[[str, bytes], None]:
    """Write an object as somebody else would."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return lambda key, body: aws.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=body)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of what is fetched from now on."""
    keys: list[str] = []
    download = Bucket.download

    def counted(self: Bucket, wanted: dict[StoredObject, Path]) -> bool:
        keys.extend(stored.key.rpartition("/")[2] for stored in wanted)
        return download(self, wanted)

    monkeypatch.setattr(Bucket, "download", counted)
    return keys


def test_a_batch_is_one_object_under_its_date_and_says_where(table: S3Table, aws: Any, url: str) -> None:
    place = table.replace("telco", "b1", MONDAY, rows())
    assert place == f"{url}/predictions/telco/as_of=2026-03-02/b1.parquet"
    assert aws.keys(url) == ["predictions/telco/as_of=2026-03-02/b1.parquet"]


def test_the_rows_of_a_slice_lie_below_its_familys_and_do_not_mix(aws: Any, url: str, tmp_path: Path) -> None:
    folders = {"telco": "telco", "telco-us": "telco/geography-us"}
    bucket = Bucket(url, endpoint_url=aws.endpoint)
    table = S3Table(bucket, "predictions", tmp_path / "cache", folders.__getitem__)
    table.replace("telco", "b1", MONDAY, rows("ann"))
    place = table.replace("telco-us", "b1", MONDAY, rows("bob"))
    assert place == f"{url}/predictions/telco/geography-us/as_of=2026-03-02/b1.parquet"
    assert names(table.scan("telco")) == ["ann"]
    assert names(table.scan_batch("telco-us", "b1")) == ["bob"]
    table.remove("telco", "b1")
    assert aws.keys(url) == ["predictions/telco/geography-us/as_of=2026-03-02/b1.parquet"]
    astray = S3Table(bucket, "predictions", tmp_path / "cache", lambda model: f"../{model}")
    with pytest.raises(ChurnError, match="cannot be the name of a folder"):
        astray.scan("telco")


def test_a_batch_of_several_dates_says_so_in_its_name(table: S3Table, aws: Any, url: str) -> None:
    table.replace("telco", "b1", TUESDAY, pl.concat([rows(as_of=TUESDAY), rows(as_of=MONDAY)]))
    assert aws.keys(url) == ["predictions/telco/as_of=2026-03-03/b1.2026-03-02.2026-03-03.parquet"]
    table.replace("telco", "b1", TUESDAY, rows(as_of=TUESDAY))
    assert aws.keys(url) == ["predictions/telco/as_of=2026-03-03/b1.parquet"]


def test_other_engines_read_the_objects_as_a_hive_table(table: S3Table, aws: Any, url: str) -> None:
    table.replace("telco", "b1", MONDAY, rows().drop("as_of"))
    options = {"aws_endpoint_url": aws.endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"}
    secret = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing-9Kd"}
    read = pl.scan_parquet(
        f"{url}/predictions/telco/**/*.parquet", hive_partitioning=True, storage_options=options | secret
    )
    assert read.collect()["as_of"].to_list() == [MONDAY]


def test_a_large_batch_goes_up_and_comes_down_in_parts(
    table: S3Table, other: S3Table, aws: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket, "PART_BYTES", 5 * 1024**2)  # the least that S3 takes
    noise = np.random.default_rng(1).integers(0, 2**62, 1_500_000)
    written = pl.LazyFrame({"customer_id": noise})
    table.replace("telco", "b1", MONDAY, written)
    (stored,) = Bucket(url, endpoint_url=aws.endpoint).objects("predictions/")
    assert stored.size > 10 * 1024**2
    assert stored.etag.endswith('-3"')
    read = other.scan_batch("telco", "b1")
    assert read is not None
    assert_frame_equal(read.collect(), written.collect())


def test_an_answer_that_breaks_off_is_taken_up_again(
    table: S3Table, other: S3Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import IncompleteReadError

    pour, calls = Bucket._pour, 0

    def broken(self: Bucket, stored: StoredObject, start: int, end: int, file: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            file.write(b"half of it")
            raise IncompleteReadError(actual_bytes=10, expected_bytes=end - start)
        pour(self, stored, start, end, file)

    table.replace("telco", "b1", MONDAY, rows("a"))
    monkeypatch.setattr(Bucket, "_pour", broken)
    assert names(other.scan("telco")) == ["a"]
    assert calls == 3


def test_a_batch_that_fails_halfway_leaves_nothing_behind(
    table: S3Table, aws: Any, url: str, tmp_path: Path
) -> None:
    broken = rows("x").with_columns(pl.col("customer_id").cast(pl.Int64))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        table.replace("telco", "b1", MONDAY, broken)
    assert aws.keys(url) == []
    assert [*(tmp_path / "cache").iterdir()] == []


# the cache


def test_what_was_just_written_is_not_fetched(table: S3Table, fetched: list[str]) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    assert names(table.scan_batch("telco", "b1")) == ["a"]
    assert fetched == []


def test_an_object_is_fetched_once_and_again_when_it_was_replaced(
    table: S3Table, other: S3Table, fetched: list[str]
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("telco", "b2", TUESDAY, rows("b", TUESDAY))
    assert names(other.scan("telco", until=MONDAY)) == ["a"]
    assert names(other.scan("telco")) == ["a", "b"]
    assert fetched == ["b1.parquet", "b2.parquet"]
    table.replace("telco", "b1", MONDAY, rows("corrected"))
    assert names(other.scan("telco")) == ["corrected", "b"]
    assert fetched[2:] == ["b1.parquet"]


def test_a_frame_keeps_its_rows_when_the_batch_is_replaced_or_removed(table: S3Table, other: S3Table) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    read = other.scan("telco")
    table.replace("telco", "b1", TUESDAY, rows("b", TUESDAY))
    table.remove("telco", "b1")
    assert names(read) == ["a"]


def test_a_batch_replaced_between_the_listing_and_the_fetching_is_read_as_it_is_now(
    table: S3Table, other: S3Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.replace("telco", "b1", MONDAY, rows("former"))
    listed = Bucket.objects

    def overtaken(self: Bucket, start: str) -> list[StoredObject]:
        found = listed(self, start)
        monkeypatch.setattr(Bucket, "objects", listed)
        table.replace("telco", "b1", TUESDAY, rows("later", TUESDAY))
        return found

    monkeypatch.setattr(Bucket, "objects", overtaken)
    assert names(other.scan("telco")) == ["later"]


def test_an_object_that_changed_since_it_was_listed_is_not_fetched(
    aws: Any, url: str, put: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    bucket = Bucket(url, endpoint_url=aws.endpoint)
    put("a", b"former")
    (listed,) = bucket.objects("a")
    put("a", b"later!")
    assert bucket.download({listed: tmp_path / "a"}) is False
    assert bucket.copy(listed, "b", {}) is False
    bucket.delete("a", etag=listed.etag)
    assert [*tmp_path.iterdir()] == []
    assert aws.keys(url) == ["a"]


def test_a_lost_cache_is_filled_again(table: S3Table, tmp_path: Path) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    assert names(table.scan("telco")) == ["a"]


def test_files_that_nobody_used_for_two_days_go(
    table: S3Table, other: S3Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    other.scan("telco")
    (former,) = (tmp_path / "other").glob("*.parquet")
    monkeypatch.setattr("churnlib.adapters.s3_cache.KEPT_SECONDS", 0.0)
    table.replace("telco", "b1", MONDAY, rows("b"))
    other.scan_batch("telco", "b1")
    assert not former.exists()


# what somebody else did


@pytest.mark.parametrize("days", [(MONDAY, TUESDAY), (TUESDAY, MONDAY)])
def test_of_two_objects_of_one_batch_the_one_written_later_counts(
    table: S3Table, other: S3Table, monkeypatch: pytest.MonkeyPatch, days: tuple[date, date]
) -> None:
    former, later = days
    table.replace("telco", "b1", former, rows("former", former))
    with monkeypatch.context() as patched:  # as if the process had been killed before it removed the former one
        patched.setattr(S3Table, "_delete", lambda *_, **__: None)
        table.replace("telco", "b1", later, rows("later", later))
    assert names(other.scan("telco")) == ["later"]
    assert names(other.scan_batch("telco", "b1")) == ["later"]
    assert other.scan("telco", since=former, until=former) is None


def test_what_is_not_the_tables_is_left_alone(
    table: S3Table, aws: Any, url: str, put: Callable[[str, bytes], None]
) -> None:
    strange = ["telco/README", "telco/as_of=soon/b1.parquet", "telco/as_of=2026-03-02/b1 (copy).parquet"]
    for key in strange:
        put(f"predictions/{key}", b"x")
    table.replace("telco", "b1", MONDAY, rows())
    table.remove("telco", "b1")
    assert table.scan("telco") is None
    assert len(aws.keys(url)) == len(strange)


def test_a_damaged_object_in_the_range_is_named_and_read_again_once_it_is_mended(
    table: S3Table, url: str, put: Callable[[str, bytes], None]
) -> None:
    key = "predictions/telco/as_of=2026-03-02/b1.parquet"
    content = io.BytesIO()
    rows("a").collect().write_parquet(content)
    put(key, content.getvalue()[:-9])
    assert table.scan("telco", since=TUESDAY) is None
    with pytest.raises(ChurnError, match="is damaged") as refusal:
        table.scan("telco")
    assert f"{url}/{key}" in refusal.value.message
    put(key, content.getvalue())
    assert names(table.scan("telco")) == ["a"]


# when S3 cannot


def test_an_s3_that_is_down_passes_within_seconds(table: S3Table, aws: Any) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    aws.stop()
    with pytest.raises(ServiceUnavailable, match=r"s3://.* cannot be listed: Could not connect") as raised:
        table.scan("telco")
    assert aws.endpoint in raised.value.message
    assert "list-type" not in raised.value.message
    with pytest.raises(ServiceUnavailable, match="cannot be written"):
        table.replace("telco", "b2", MONDAY, rows("b"))
    aws.start()
    assert names(table.scan("telco")) == ["a"]


def test_an_s3_that_never_answers_passes_within_seconds(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import time

    monkeypatch.setattr(s3_client, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="Read timeout"):
            S3Table(Bucket(url, endpoint_url=endpoint), "predictions", tmp_path).scan("telco")
    assert time.monotonic() - started < 8


def test_a_bucket_that_is_not_there_does_not_pass_and_names_the_setting(aws: Any, tmp_path: Path) -> None:
    table = S3Table(Bucket("s3://churn-nowhere", endpoint_url=aws.endpoint), "predictions", tmp_path)
    for act in (lambda: table.scan("telco"), lambda: table.replace("telco", "b1", MONDAY, rows())):
        with pytest.raises(ChurnError, match="bucket does not exist") as refusal:
            act()
        assert not isinstance(refusal.value, ServiceUnavailable)
        assert "CHURN_STORE_URL" in refusal.value.hint


def test_a_full_disk_is_said_and_leaves_nothing(
    table: S3Table, other: S3Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Bucket, "_pour", full)
    with pytest.raises(ServiceUnavailable, match="No space left"):
        other.scan("telco")
    assert [*(tmp_path / "other").iterdir()] == []
