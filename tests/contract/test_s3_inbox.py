"""What is peculiar to an inbox on S3: local copies, folders that appear by and by, names that a key may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from churnlib.adapters.s3_bucket import Bucket, StoredObject
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.intake.files import content_id

Put = Callable[..., None]


@pytest.fixture
def url(aws: Any) -> str:
    found: str = aws.new_bucket()
    return found


@pytest.fixture
def put(aws: Any, url: str) -> Put:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")

    def write(name: str, content: str = "x", **more: Any) -> None:
        key = f"{prefix}/incoming/telco/{name}"
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=content.encode(), **more)

    return write


@pytest.fixture
def new_inbox(aws: Any, url: str, tmp_path: Path) -> Callable[..., S3Inbox]:
    def make(machine: str = "here", **rules: Any) -> S3Inbox:
        bucket = Bucket(url, endpoint_url=aws.endpoint)
        return S3Inbox(bucket, tmp_path / machine, **{"settle_seconds": 0.0, **rules})

    return make


@pytest.fixture
def inbox(new_inbox: Callable[..., S3Inbox]) -> S3Inbox:
    return new_inbox()


def local_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_fetched_once_and_its_copy_goes_when_it_is_moved(
    inbox: S3Inbox, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.csv")
    (path,) = inbox.pending("telco")
    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "download", None)
        assert inbox.pending("telco") == [path]
        assert inbox.resolve("telco", "a.csv") == path
    inbox.accept("telco", path)
    assert local_files(tmp_path) == []


def test_a_file_delivered_anew_has_another_path(inbox: S3Inbox, put: Put) -> None:
    put("a.csv", "former")
    (former,) = inbox.pending("telco")
    put("a.csv", "later")
    (later,) = inbox.pending("telco")
    assert (former.read_text(), later.read_text()) == ("former", "later")


def test_what_was_read_is_kept_although_something_else_has_its_name_now(
    inbox: S3Inbox, put: Put, aws: Any, url: str
) -> None:
    put("a.csv", "former")
    (former,) = inbox.pending("telco")
    put("a.csv", "later")
    accepted = inbox.accept("telco", former)
    assert aws.keys(url) == ["incoming/telco/a.csv", "processed/telco/a.csv"]
    assert inbox.origin("telco", accepted) == f"{url}/processed/telco/a.csv"
    assert [path.read_text() for path in inbox.pending("telco")] == ["later"]


def test_a_file_that_goes_while_it_is_listed_does_not_wait(
    inbox: S3Inbox, put: Put, aws: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.csv")
    put("b.csv")
    listed = Bucket.objects

    def overtaken(self: Bucket, start: str) -> list[StoredObject]:
        found = listed(self, start)
        self.delete("incoming/telco/a.csv")
        return found

    monkeypatch.setattr(Bucket, "objects", overtaken)
    assert [path.name for path in inbox.pending("telco")] == ["b.csv"]


def test_a_folder_is_complete_once_its_newest_part_has_rested_by_the_clock_of_s3(
    new_inbox: Callable[..., S3Inbox], put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.csv")
    put("week 1/part-0.parquet")
    put("week 1/part-1.parquet")
    inbox = new_inbox(settle_seconds=60.0)
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]  # a file appears whole
    listed = Bucket._listed

    def older(self: Bucket, content: dict[str, Any], now: Any) -> StoredObject:
        from datetime import timedelta

        age = 59 if content["Key"].endswith("part-1.parquet") and not is_later else 61
        return listed(self, content, content["LastModified"] + timedelta(seconds=age))

    is_later = False
    monkeypatch.setattr(Bucket, "_listed", older)
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]
    is_later = True
    assert [path.name for path in inbox.pending("telco")] == ["a.csv", "week 1"]


@pytest.mark.parametrize(
    "name",
    [
        "../bank/a.csv",
        "../../a.csv",
        "/a.csv",
        "./a.csv",
        "x" * 250 + ".csv",
        "week 1/../../../a.parquet",
        "week 1//a.parquet",
        "week 1/./a.parquet",
    ],
)
def test_a_key_that_no_file_can_be_named_after_does_not_wait(
    inbox: S3Inbox, put: Put, tmp_path: Path, name: str
) -> None:
    put(name)
    put("b.csv")
    assert [path.name for path in inbox.pending("telco")] == ["b.csv"]
    assert [path.name for path in local_files(tmp_path)] == ["b.csv"]


def test_folders_made_in_a_console_are_no_deliveries_and_go_with_theirs(
    inbox: S3Inbox, put: Put, aws: Any, url: str
) -> None:
    for name in ("", "outcomes/", "empty/", "week 1/", "week 1/part-0.parquet"):
        put(name)
    (path,) = inbox.pending("telco")
    inbox.accept("telco", path)
    assert aws.keys(url) == [
        "incoming/telco/",
        "incoming/telco/empty/",
        "incoming/telco/outcomes/",
        "processed/telco/week 1/part-0.parquet",
    ]


def test_what_senders_said_about_a_file_stays_with_it(inbox: S3Inbox, put: Put, aws: Any, url: str) -> None:
    put("a.csv", ContentType="text/csv", Metadata={"sender": "billing"})
    inbox.accept("telco", *inbox.pending("telco"))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    head = aws.client("s3").head_object(Bucket=bucket, Key=f"{prefix}/processed/telco/a.csv")
    assert head["ContentType"] == "text/csv"
    assert head["Metadata"]["sender"] == "billing"


def test_a_folder_delivered_again_while_it_is_moved_loses_none_of_its_new_parts(
    inbox: S3Inbox, put: Put, aws: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("week 1/part-0.parquet", "former")
    put("week 1/part-1.parquet", "former too")
    (path,) = inbox.pending("telco")
    write = Bucket.write

    def overtaken(self: Bucket, key: str, content: bytes) -> None:
        write(self, key, content)
        put("week 1/part-0.parquet", "later")
        put("week 1/part-2.parquet", "later")

    monkeypatch.setattr(Bucket, "write", overtaken)
    inbox.accept("telco", path)
    monkeypatch.setattr(Bucket, "write", write)
    (later,) = inbox.pending("telco")
    assert sorted(part.name for part in later.iterdir()) == ["part-0.parquet", "part-2.parquet"]
    assert "processed/telco/week 1/part-1.parquet" in aws.keys(url)


def test_of_two_machines_with_one_file_the_slower_one_finds_it_done(
    new_inbox: Callable[..., S3Inbox], put: Put, aws: Any, url: str
) -> None:
    put("a.csv")
    here, there = new_inbox("here"), new_inbox("there")
    (mine,), (other,) = here.pending("telco"), there.pending("telco")
    assert here.origin("telco", here.accept("telco", mine)) == there.origin("telco", there.accept("telco", other))
    assert aws.keys(url) == ["processed/telco/a.csv"]


def test_a_lost_cache_does_not_keep_a_file_from_being_moved(inbox: S3Inbox, put: Put, aws: Any, url: str) -> None:
    put("a.csv")
    (path,) = inbox.pending("telco")
    path.unlink()
    inbox.accept("telco", path)
    assert aws.keys(url) == ["processed/telco/a.csv"]


def test_copies_that_nobody_asked_for_in_two_days_go(
    inbox: S3Inbox, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.csv", "former")
    (former,) = inbox.pending("telco")
    put("a.csv", "later")
    monkeypatch.setattr("churnlib.adapters.s3_cache.KEPT_SECONDS", 0.0)
    (later,) = inbox.pending("telco")
    assert later.exists()
    assert not former.exists()


def test_the_content_of_a_copy_is_that_of_the_delivery(inbox: S3Inbox, put: Put, tmp_path: Path) -> None:
    for name in ("part-1.parquet", "deep/part-0.parquet"):
        put(f"week 1/{name}", name)
        beside = tmp_path / "delivered" / name
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(name)
    put("week 1/_SUCCESS", "")
    (path,) = inbox.pending("telco")
    assert content_id(path) == content_id(tmp_path / "delivered")
