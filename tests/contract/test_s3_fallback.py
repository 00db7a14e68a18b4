"""What happens to rows and files while S3 cannot be reached, and once it can again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.io.plugins import register_io_source

from churnlib.adapters import s3_client
from churnlib.adapters.fallback_inbox import FallbackInbox
from churnlib.adapters.fallback_table import FallbackTable
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.adapters.s3_table import S3Table
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.settings import Settings
from flows import wiring

MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)


def rows(name: str = "a", as_of: date = MONDAY) -> pl.LazyFrame:
    return pl.LazyFrame({"customer_id": [name], "as_of": [as_of]})


def names(frame: pl.LazyFrame | None) -> list[str]:
    return [] if frame is None else frame.collect()["customer_id"].to_list()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)


@pytest.fixture
def url(aws: Any) -> str:
    found: str = aws.new_bucket()
    return found


@pytest.fixture
def primary(aws: Any, url: str, tmp_path: Path) -> S3Table:
    return S3Table(Bucket(url, endpoint_url=aws.endpoint), "rows", tmp_path / "cache" / "rows")


@pytest.fixture
def local(tmp_path: Path) -> ParquetTable:
    return ParquetTable(tmp_path / "rows")


@pytest.fixture
def table(primary: S3Table, local: ParquetTable) -> FallbackTable:
    return FallbackTable(primary, local)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# rows


def test_a_slice_written_here_catches_up_below_its_familys_folder(aws: Any, url: str, tmp_path: Path) -> None:
    folders = {"telco-us": "telco/geography-us"}.__getitem__
    stored = S3Table(Bucket(url, endpoint_url=aws.endpoint), "rows", tmp_path / "cache", folders)
    local = ParquetTable(tmp_path / "rows", folders)
    local.replace("telco-us", "b1", MONDAY, rows("bob"))
    moved = FallbackTable(stored, local).catch_up("telco-us")
    assert moved == {"b1": f"{url}/rows/telco/geography-us/as_of=2026-03-02/b1.parquet"}
    assert files(tmp_path / "rows") == []


def test_rows_go_to_s3_and_leave_nothing_here(table: FallbackTable, url: str, tmp_path: Path) -> None:
    place = table.replace("telco", "b1", MONDAY, rows("a"))
    assert place == f"{url}/rows/telco/as_of=2026-03-02/b1.parquet"
    assert files(tmp_path / "rows") == []


def test_while_s3_is_down_rows_are_written_here_and_read_from_here(
    table: FallbackTable, aws: Any, tmp_path: Path
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    aws.stop()
    place = table.replace("telco", "b2", MONDAY, rows("b"))
    assert place == str(tmp_path / "rows" / "telco" / "as_of=2026-03-02" / "b2.parquet")
    assert names(table.scan_batch("telco", "b2")) == ["b"]


def test_while_s3_is_down_a_part_of_the_rows_does_not_pass_for_all(table: FallbackTable, aws: Any) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    aws.stop()
    table.replace("telco", "b2", MONDAY, rows("b"))
    with pytest.raises(ServiceUnavailable):
        table.scan("telco")
    with pytest.raises(ServiceUnavailable):
        table.scan_batch("telco", "b1")
    with pytest.raises(ServiceUnavailable):
        table.remove("telco", "b2")
    assert names(table.scan_batch("telco", "b2")) == ["b"]


def test_rows_are_made_once_also_where_s3_fails(table: FallbackTable, aws: Any) -> None:
    made = 0

    def source(*_: object) -> Iterator[pl.DataFrame]:
        nonlocal made
        made += 1
        yield rows("a").collect()

    aws.stop()
    table.replace("telco", "b1", MONDAY, register_io_source(source, schema=rows().collect_schema()))
    assert made == 1


def test_once_s3_is_back_both_are_read_as_one_in_their_order(table: FallbackTable, aws: Any) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("telco", "b3", MONDAY + 2 * WEEK, rows("c", MONDAY + 2 * WEEK))
    aws.stop()
    table.replace("telco", "b2", MONDAY + WEEK, rows("b", MONDAY + WEEK))
    aws.start()
    assert names(table.scan("telco")) == ["a", "b", "c"]
    assert names(table.scan("telco", since=MONDAY + WEEK)) == ["b", "c"]
    assert names(table.scan("telco", until=MONDAY)) == ["a"]


def test_what_waits_here_moves_once_s3_is_back(
    table: FallbackTable, primary: S3Table, aws: Any, url: str, tmp_path: Path
) -> None:
    aws.stop()
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("bank", "b1", MONDAY, rows("b"))
    assert table.catch_up("telco") == {}
    aws.start()
    opened = table.scan("telco")
    assert table.catch_up("telco") == {"b1": f"{url}/rows/telco/as_of=2026-03-02/b1.parquet"}
    assert table.catch_up("telco") == {}
    assert files(tmp_path / "rows") == ["bank/as_of=2026-03-02/b1.parquet"]
    assert names(primary.scan("telco")) == ["a"]
    assert names(opened) == ["a"]


@pytest.mark.parametrize("is_rewritten_on_s3", [True, False])
def test_a_batch_in_both_counts_once_as_it_was_written_last(
    table: FallbackTable, primary: S3Table, local: ParquetTable, aws: Any, is_rewritten_on_s3: bool
) -> None:
    table.replace("telco", "b1", MONDAY, rows("first"))
    aws.stop()
    table.replace("telco", "b1", MONDAY + WEEK, rows("second", MONDAY + WEEK))
    aws.start()
    if is_rewritten_on_s3:  # and the process was killed before it removed the local ones
        primary.replace("telco", "b1", MONDAY + 2 * WEEK, rows("third", MONDAY + 2 * WEEK))
    wanted = ["third"] if is_rewritten_on_s3 else ["second"]
    assert names(table.scan("telco")) == wanted
    assert names(table.scan_batch("telco", "b1")) == wanted
    assert table.scan("telco", until=MONDAY) is None
    table.catch_up("telco")
    assert local.scan("telco") is None
    assert names(primary.scan("telco")) == wanted


def test_an_upload_whose_answer_was_lost_counts_once_and_does_not_go_up_again(
    table: FallbackTable, primary: S3Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, calls = Bucket.upload, 0

    def lost(self: Bucket, *args: Any) -> None:
        nonlocal calls
        calls += 1
        upload(self, *args)
        raise ServiceUnavailable("Connection reset.", hint="Repeat.")

    monkeypatch.setattr(Bucket, "upload", lost)
    table.replace("telco", "b1", MONDAY, rows("a"))
    assert names(primary.scan("telco")) == names(table.scan("telco")) == ["a"]
    assert list(table.catch_up("telco")) == ["b1"]
    assert calls == 1


def test_writing_to_s3_takes_away_what_waited_here(table: FallbackTable, aws: Any, tmp_path: Path) -> None:
    aws.stop()
    table.replace("telco", "b1", MONDAY, rows("a"))
    aws.start()
    table.replace("telco", "b1", MONDAY, rows("b"))
    assert files(tmp_path / "rows") == []
    assert names(table.scan("telco")) == ["b"]


def test_a_removed_batch_is_gone_from_both(table: FallbackTable, aws: Any) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    aws.stop()
    table.replace("telco", "b1", MONDAY, rows("b"))
    aws.start()
    table.remove("telco", "b1")
    assert table.scan("telco") is None
    assert table.scan_batch("telco", "b1") is None


def test_what_will_not_pass_is_raised_and_nothing_is_written_here(
    local: ParquetTable, aws: Any, tmp_path: Path
) -> None:
    nowhere = Bucket("s3://churn-nowhere", endpoint_url=aws.endpoint)
    table = FallbackTable(S3Table(nowhere, "rows", tmp_path / "cache"), local)
    with pytest.raises(ChurnError, match="bucket does not exist"):
        table.replace("telco", "b1", MONDAY, rows("a"))
    assert files(tmp_path / "rows") == []


class Unsteady(Bucket):
    """Is down when told so."""

    is_down = False

    def _errors(self, key: str, doing: str) -> Any:
        if self.is_down:
            raise ServiceUnavailable(f"{key} cannot be {doing}: down.", hint="Wait.")
        return super()._errors(key, doing)


STEPS = st.one_of(
    st.sampled_from(["down", "up", "catch up"]),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 2),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=7))
def test_whatever_happens_the_rows_are_those_written_last(
    steps: list[Any], aws: Any, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    bucket = Unsteady(f"{url}/{folder.name}", endpoint_url=aws.endpoint)
    table = FallbackTable(S3Table(bucket, "rows", folder / "cache"), ParquetTable(folder / "rows"))
    expected: dict[str, str] = {}
    for number, step in enumerate(steps):
        if step == "catch up":
            table.catch_up("telco")
        elif isinstance(step, str):
            bucket.is_down = step == "down"
        elif isinstance(step, tuple):  # batch and week
            day = MONDAY + step[1] * WEEK
            table.replace("telco", f"b{step[0]}", day, rows(str(number), day))
            expected[f"b{step[0]}"] = str(number)
        elif not bucket.is_down:
            table.remove("telco", f"b{step}")
            expected.pop(f"b{step}", None)
    bucket.is_down = False
    for batch_id in ("b0", "b1", "b2"):
        assert names(table.scan_batch("telco", batch_id)) == [*filter(None, [expected.get(batch_id)])]
    for _ in range(2):
        assert sorted(names(table.scan("telco"))) == sorted(expected.values())
        table.catch_up("telco")
    assert files(folder / "rows") == []


# files


@pytest.fixture
def deliver(aws: Any, url: str, tmp_path: Path) -> Callable[[str, str], None]:
    """Put a file into the inbox on S3, or into the local one."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")

    def put(where: str, name: str) -> None:
        content = f"{name} in {where}".encode()
        if where == "s3":
            aws.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/incoming/telco/{name}", Body=content)
        else:
            path = tmp_path / "incoming" / "telco" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return put


@pytest.fixture
def inbox(aws: Any, url: str, tmp_path: Path) -> FallbackInbox:
    stored = S3Inbox(Bucket(url, endpoint_url=aws.endpoint), tmp_path / "cache" / "inbox", settle_seconds=0)
    return FallbackInbox(stored, LocalInbox(tmp_path, settle_seconds=0))


def test_files_of_both_wait_and_say_where_they_are(
    inbox: FallbackInbox, deliver: Callable[[str, str], None], url: str, tmp_path: Path
) -> None:
    for where, name in (("here", "a.csv"), ("s3", "b.csv"), ("s3", "outcomes/o.csv"), ("here", "outcomes/p.csv")):
        deliver(where, name)
    waiting = inbox.pending("telco")
    assert [inbox.origin("telco", path) for path in waiting] == [
        f"{url}/incoming/telco/b.csv",
        str(tmp_path / "incoming" / "telco" / "a.csv"),
    ]
    assert [path.name for path in inbox.pending_outcomes("telco")] == ["o.csv", "p.csv"]
    assert inbox.outage is None
    for path in waiting:
        assert inbox.owns(path)
        inbox.accept("telco", path)
    assert list(inbox.pending("telco")) == []
    assert (tmp_path / "processed" / "telco" / "a.csv").exists()


def test_while_s3_is_down_only_local_files_wait_and_it_is_said(
    inbox: FallbackInbox, deliver: Callable[[str, str], None], aws: Any
) -> None:
    deliver("here", "a.csv")
    deliver("s3", "b.csv")
    aws.stop()
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]
    assert inbox.outage is not None
    assert "Could not connect" in inbox.outage
    assert inbox.resolve("telco", "a.csv").read_text() == "a.csv in here"
    with pytest.raises(ServiceUnavailable, match="Could not connect"):
        inbox.resolve("telco", "b.csv")
    aws.start()
    assert [path.name for path in inbox.pending("telco")] == ["b.csv", "a.csv"]
    assert inbox.outage is None


def test_a_file_that_cannot_be_moved_now_waits_until_it_can(
    inbox: FallbackInbox, deliver: Callable[[str, str], None], aws: Any, url: str
) -> None:
    deliver("s3", "a.csv")
    deliver("s3", "b.csv")
    good, bad = inbox.pending("telco")
    aws.stop()
    assert inbox.accept("telco", good) == good
    assert inbox.refuse("telco", bad, {"error": "no"}) == bad
    aws.start()
    assert inbox.pending("telco") == [good, bad]
    inbox.accept("telco", good)
    inbox.refuse("telco", bad, {"error": "no"})
    wanted = ["failed/telco/b.csv", "failed/telco/b.csv.error.json", "processed/telco/a.csv"]
    assert aws.keys(url) == wanted


# wiring


def test_the_settings_decide_where_everything_is(aws: Any, url: str, tmp_path: Path) -> None:
    local = wiring.services(Settings(home=tmp_path / "local"))
    assert isinstance(local.inbox, LocalInbox)
    assert isinstance(local.shadows, ParquetTable)
    assert wiring.catch_up(local) == []
    stored = wiring.services(Settings(home=tmp_path / "s3", store_url=url, s3_endpoint_url=aws.endpoint))
    assert isinstance(stored.inbox, FallbackInbox)
    for name in ("snapshots", "outcomes", "predictions", "shadows", "quarantine"):
        place = getattr(stored, name).replace("telco", "b1", MONDAY, rows("a"))
        assert place == f"{url}/{name}/telco/as_of=2026-03-02/b1.parquet"


def test_what_was_written_during_an_outage_is_moved_and_told(aws: Any, url: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "telco.toml").touch()
    wired = wiring.services(Settings(home=tmp_path, store_url=url, s3_endpoint_url=aws.endpoint))
    aws.stop()
    for batch_id in ("b1", "b2"):
        wired.predictions.replace("telco", batch_id, MONDAY, rows("a"))
    aws.start()
    (said,) = wiring.catch_up(wired)
    assert "2 batches" in said
    assert f"{url}/predictions/telco" in said
    assert wiring.catch_up(wired) == []


@pytest.mark.parametrize("store_url", ["/data", "http://minio:9000/churn"])
def test_a_store_that_is_none_is_refused_before_anything_is_opened(tmp_path: Path, store_url: str) -> None:
    with pytest.raises(ChurnError, match="CHURN_STORE_URL"):
        wiring.services(Settings(home=tmp_path, store_url=store_url))
    assert files(tmp_path) == []
