"""A process that is killed between any two things that it does to S3: the next one sets everything right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.adapters.fallback_table import FallbackTable
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.adapters.s3_table import S3Table
from churnlib.errors import ServiceUnavailable
from churnlib.intake.files import content_id

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
ERROR = {"error": "no"}


class Killed(BaseException):
    """What a killed process would never see."""


class Lives:
    """What a process may still do."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left

    def spend(self) -> None:
        if self.left == 0:
            raise Killed
        if self.left is not None:
            self.left -= 1


class Mortal(Bucket):
    """Is killed before it writes, copies or deletes once too often."""

    def __init__(self, url: str, endpoint_url: str, lives: Lives) -> None:
        super().__init__(url, endpoint_url=endpoint_url)
        self.lives = lives

    def write(self, *args: Any) -> None:
        self.lives.spend()
        super().write(*args)

    def upload(self, *args: Any) -> None:
        self.lives.spend()
        super().upload(*args)

    def copy(self, *args: Any) -> bool:
        self.lives.spend()
        return super().copy(*args)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self.lives.spend()
        super().delete(*args, **kwargs)


class MortalLocal(ParquetTable):
    """So is this one."""

    def __init__(self, root: Path, lives: Lives) -> None:
        super().__init__(root)
        self.lives = lives

    def remove(self, model: str, batch_id: str) -> None:
        self.lives.spend()
        super().remove(model, batch_id)


def until_it_survives(act: Callable[[int], None]) -> Iterator[int]:
    """Do it with ever more lives; yields after every death."""
    for lives in range(30):
        try:
            act(lives)
        except Killed:
            yield lives
        else:
            assert lives > 1  # else nothing was tried
            return
    pytest.fail("it never ends")


def rows(name: str, as_of: date = MONDAY) -> pl.LazyFrame:
    return pl.LazyFrame({"customer_id": [name], "as_of": [as_of]})


def names(frame: pl.LazyFrame | None) -> list[str]:
    return [] if frame is None else frame.collect()["customer_id"].to_list()


@pytest.mark.parametrize("parts", [(), ("part-0", "deep/part-1")])
@pytest.mark.parametrize("is_refused", [False, True])
def test_a_delivery_is_moved_once_and_as_a_whole_wherever_its_mover_was_killed(
    aws: Any, tmp_path: Path, parts: tuple[str, ...], is_refused: bool
) -> None:
    url = aws.new_bucket()
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    delivered = {f"week 1/{part}.parquet": part for part in parts} or {"week.csv": "x"}
    base = "failed" if is_refused else "processed"
    wanted = [f"{base}/telco/{name}" for name in delivered]
    wanted += [f"{base}/telco/{'week 1' if parts else 'week.csv'}.error.json"] if is_refused else []

    def move(inbox: S3Inbox, path: Path) -> None:
        if is_refused:
            inbox.refuse("telco", path, ERROR)
        else:
            inbox.accept("telco", path)

    def deliver_and_move(lives: int) -> None:
        place = f"{prefix}/{lives}"
        for name, content in delivered.items():
            key = f"{place}/incoming/telco/{name}"
            aws.client("s3").put_object(Bucket=bucket, Key=key, Body=content.encode())
        left = Lives()
        mortal = Mortal(f"{url}/{lives}", aws.endpoint, left)
        inbox = S3Inbox(mortal, tmp_path / f"cache {lives}", settle_seconds=0)
        (path,) = inbox.pending("telco")
        contents.add(content_id(path))
        left.left = lives
        move(inbox, path)

    contents: set[str] = set()
    for lives in until_it_survives(deliver_and_move):
        fresh = Bucket(f"{url}/{lives}", endpoint_url=aws.endpoint)
        after = S3Inbox(fresh, tmp_path / f"cache {lives} on another machine", settle_seconds=0)
        for path in after.pending("telco"):
            contents.add(content_id(path))
            move(after, path)
        assert after.pending("telco") == []
        assert sorted(aws.keys(f"{url}/{lives}")) == sorted(wanted)
    assert len(contents) == 1  # nobody ever saw a part of it


@pytest.mark.parametrize("is_fallback", [False, True])
def test_a_batch_has_its_former_rows_or_its_later_ones_wherever_its_writer_was_killed(
    aws: Any, tmp_path: Path, is_fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = aws.new_bucket()

    def new_table(number: int, lives: Lives) -> FallbackTable | S3Table:
        bucket = Mortal(f"{url}/{number}", aws.endpoint, lives)
        stored = S3Table(bucket, "rows", tmp_path / f"cache {number}")
        if not is_fallback:
            return stored
        return FallbackTable(stored, MortalLocal(tmp_path / f"rows {number}", lives))

    def replace(number: int) -> None:
        lives = Lives()
        table = new_table(number, lives)
        table.replace("telco", "b1", MONDAY, rows("first"))
        with monkeypatch.context() as patched:
            if is_fallback:
                patched.setattr(S3Table, "put", _down)
            table.replace("telco", "b1", TUESDAY, rows("former", TUESDAY))
        lives.left = number
        table.replace("telco", "b1", MONDAY, rows("later"))

    for number in until_it_survives(replace):
        table = new_table(number, Lives())
        assert names(table.scan("telco")) == (["former"] if number == 0 else ["later"])
        table.replace("telco", "b1", MONDAY, rows("later"))
        assert names(table.scan("telco")) == ["later"]
        assert aws.keys(f"{url}/{number}") == ["rows/telco/as_of=2026-03-02/b1.parquet"]


def _down(*_: object) -> str:
    raise ServiceUnavailable("It is down.", hint="Wait.")
