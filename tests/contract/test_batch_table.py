"""What every table of batches does. A new store joins by one line in the fixture."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from churnlib.adapters.fallback_table import FallbackTable
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.postgres_table import PostgresTable
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_table import S3Table
from churnlib.errors import ChurnError
from churnlib.ports import BatchTable

MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)


MakeTable = Callable[[], BatchTable]


@pytest.fixture(params=["parquet", "postgresql", "s3", "s3, then local"])
def new_table(request: pytest.FixtureRequest, tmp_path: Path) -> MakeTable:
    """Makes empty tables."""
    numbers = itertools.count()

    def local() -> ParquetTable:
        return ParquetTable(tmp_path / f"table [{next(numbers)}] 50%")

    if request.param == "parquet":
        return local
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        return lambda: PostgresTable(server.new_database())
    aws = request.getfixturevalue("aws")
    url = aws.new_bucket()

    def stored() -> S3Table:
        bucket = Bucket(f"{url}/{next(numbers)}", endpoint_url=aws.endpoint)
        return S3Table(bucket, "rows", tmp_path / f"cache {next(numbers)}")

    return stored if request.param == "s3" else lambda: FallbackTable(stored(), local())


@pytest.fixture
def table(new_table: MakeTable) -> BatchTable:
    return new_table()


def rows(*names: str, as_of: date = MONDAY, **more: object) -> pl.LazyFrame:
    columns = {"customer_id": names, "as_of": [as_of] * len(names), "probability": [0.5] * len(names)}
    return pl.LazyFrame({**columns, **{name: [value] * len(names) for name, value in more.items()}})


def names(frame: pl.LazyFrame | None) -> list[str] | None:
    return None if frame is None else frame.collect()["customer_id"].to_list()


def test_an_empty_table_has_no_frame(table: BatchTable) -> None:
    assert table.scan("telco") is None
    assert table.scan_batch("telco", "b1") is None


def test_rows_come_back_as_they_were_written(table: BatchTable) -> None:
    written = rows("c", "a", "b").with_columns(reason=pl.Series(["x", None, "Ж"]))
    table.replace("telco", "b1", MONDAY, written)
    for read in (table.scan("telco"), table.scan_batch("telco", "b1")):
        assert read is not None
        assert_frame_equal(read.collect(), written.collect())


def test_a_batch_without_rows_keeps_its_columns(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a").limit(0))
    read = table.scan("telco")
    assert read is not None
    assert read.collect().schema == rows("a").collect_schema()


def test_writing_a_batch_again_replaces_its_rows(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", "b"))
    table.replace("telco", "b2", MONDAY, rows("c"))
    table.replace("telco", "b1", MONDAY, rows("d"))
    assert names(table.scan("telco")) == ["d", "c"]


def test_a_batch_under_another_date_leaves_the_former_one(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("telco", "b1", MONDAY + WEEK, rows("b", as_of=MONDAY + WEEK))
    assert names(table.scan("telco")) == ["b"]
    assert table.scan("telco", until=MONDAY) is None


def test_a_frame_may_be_made_from_the_rows_it_replaces(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", "b"))
    former = table.scan_batch("telco", "b1")
    assert former is not None
    table.replace("telco", "b1", MONDAY, former.filter(pl.col("customer_id") == "b"))
    assert names(table.scan("telco")) == ["b"]


def test_a_batch_that_fails_halfway_leaves_the_former_rows(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    broken = rows("b").with_columns(pl.col("customer_id").cast(pl.Int64).alias("number"))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        table.replace("telco", "b1", MONDAY, broken)
    assert names(table.scan("telco")) == ["a"]


def test_a_removed_batch_is_gone_and_removing_it_again_is_nothing(table: BatchTable) -> None:
    for batch_id in ("b1", "b2"):
        table.replace("telco", batch_id, MONDAY, rows(batch_id))
    table.remove("telco", "b1")
    table.remove("telco", "b1")
    table.remove("unknown", "b1")
    assert names(table.scan("telco")) == ["b2"]
    assert table.scan_batch("telco", "b1") is None


def test_models_do_not_see_each_other(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("telco-us", "b1", MONDAY, rows("b"))
    table.remove("telco", "b1")
    assert table.scan("telco") is None
    assert names(table.scan("telco-us")) == ["b"]


def test_rows_are_ordered_by_date_then_batch(table: BatchTable) -> None:
    for batch_id, week in (("z", 0), ("a", 2), ("c", 1), ("b", 1)):
        table.replace("telco", batch_id, MONDAY + week * WEEK, rows(batch_id, as_of=MONDAY + week * WEEK))
    assert names(table.scan("telco")) == ["z", "b", "c", "a"]


def test_a_range_includes_both_of_its_ends(table: BatchTable) -> None:
    for week in range(5):
        table.replace("telco", f"b{week}", MONDAY + week * WEEK, rows(str(week), as_of=MONDAY + week * WEEK))
    assert names(table.scan("telco", since=MONDAY + WEEK, until=MONDAY + 3 * WEEK)) == ["1", "2", "3"]
    assert names(table.scan("telco", since=MONDAY + 4 * WEEK)) == ["4"]
    assert names(table.scan("telco", until=MONDAY)) == ["0"]
    assert table.scan("telco", since=MONDAY + 5 * WEEK) is None


def test_a_column_that_came_later_is_null_in_earlier_batches(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    table.replace("telco", "b2", MONDAY + WEEK, rows("b", as_of=MONDAY + WEEK, margin=1.5))
    read = table.scan("telco")
    assert read is not None
    assert read.collect()["margin"].to_list() == [None, 1.5]


def test_a_column_that_went_is_null_in_later_batches_and_numbers_widen(table: BatchTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", extra="x", count=1))
    table.replace("telco", "b2", MONDAY + WEEK, rows("b", as_of=MONDAY + WEEK, count=1.5))
    read = table.scan("telco")
    assert read is not None
    assert read.select("extra", "count").collect().rows() == [("x", 1.0), (None, 1.5)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True), min_size=1, max_size=4),
    since=st.integers(0, 6),
    span=st.integers(0, 6),
)
def test_a_range_is_exact_for_batches_of_several_dates(
    new_table: MakeTable, batches: list[list[int]], since: int, span: int
) -> None:
    table = new_table()
    for number, weeks in enumerate(batches):
        frame = pl.concat([rows(str(week), as_of=MONDAY + week * WEEK) for week in weeks])
        table.replace("telco", f"b{number}", MONDAY + weeks[0] * WEEK, frame)
    read = names(table.scan("telco", since=MONDAY + since * WEEK, until=MONDAY + (since + span) * WEEK))
    wanted = sorted(str(week) for weeks in batches for week in weeks if since <= week <= since + span)
    assert sorted(read or []) == wanted


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc", ".hidden", "a b", "x" * 81])
def test_a_name_that_could_leave_its_folder_is_refused(table: BatchTable, name: str) -> None:
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        table.replace(name, "b1", MONDAY, rows("a"))
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        table.scan(name)
    with pytest.raises(ChurnError, match="cannot be the name of a batch"):
        table.replace("telco", name, MONDAY, rows("a"))
    with pytest.raises(ChurnError, match="cannot be the name of a batch"):
        table.remove("telco", name)
    with pytest.raises(ChurnError, match="cannot be the name of a batch"):
        table.scan_batch("telco", name)
