"""What predictions in PostgreSQL do beyond every table of batches, over a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.postgres_session import Database, Session
from churnlib.adapters.postgres_table import PostgresTable
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.settings import ROOT, Settings
from churnlib.spec import AS_OF, ID
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import score_file
from flows.wiring import predictions_table
from tests import builders
from tests.killing import Killed
from tests.loops import MODEL, Loop, as_delivered, batch_frame, make_loop, outcomes_of, run, week

MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)
NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)


def rows(*names: str, as_of: date = MONDAY, **more: object) -> pl.LazyFrame:
    columns = {"customer_id": names, "as_of": [as_of] * len(names), "probability": [0.5] * len(names)}
    return pl.LazyFrame({**columns, **{name: [value] * len(names) for name, value in more.items()}})


def many(count: int, prefix: str = "c") -> pl.LazyFrame:
    return pl.LazyFrame({"number": range(count)}).select(
        pl.format("{}{}", pl.lit(prefix), "number").alias("customer_id"), pl.lit(MONDAY).alias("as_of")
    )


def names(frame: pl.LazyFrame | None) -> list[str] | None:
    return None if frame is None else frame.collect()["customer_id"].to_list()


@pytest.fixture
def url(postgres: Any) -> str:
    made: str = postgres.new_database()
    return made


@pytest.fixture
def table(url: str) -> PostgresTable:
    return PostgresTable(url)


@pytest.fixture
def ask(url: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Runs SQL as another program would."""
    import psycopg

    def asked(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    return asked


def on_copy(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Do something after the copy with this number, counted from 1."""
    copy, copies = Session.copy, [0]

    def watched(self: Session, name: str, chunk: pl.DataFrame) -> None:
        copy(self, name, chunk)
        copies[0] += 1
        if copies[0] == number:
            act()

    monkeypatch.setattr(Session, "copy", watched)


def die() -> None:
    raise Killed


def test_every_type_of_predictions_comes_back_as_it_was(table: PostgresTable) -> None:
    written = pl.DataFrame(
        {
            "customer_id": ["a", "b"],
            "as_of": [MONDAY, MONDAY],
            "probability": [0.1, None],
            "decile": pl.Series([1, None], dtype=pl.Int8),
            "small": pl.Series([-7, None], dtype=pl.Int16),
            "middle": pl.Series([2**31 - 1, None], dtype=pl.Int32),
            "single": pl.Series([0.1, None], dtype=pl.Float32),
            "is_new": [True, None],
            'a "quoted"; name': ["Ж'\"\\", None],
            "model": ["telco", "telco"],
            "version": [2**40, 2],
            "batch_id": ["b1", "b1"],
            "scored_at": pl.Series([NOON, None], dtype=pl.Datetime("us", "UTC")),
        }
    )
    table.replace("telco", "b1", MONDAY, written.lazy())
    for read in (table.scan("telco"), table.scan_batch("telco", "b1")):
        assert read is not None
        assert_frame_equal(read.collect(), written)


def test_only_what_is_asked_for_is_read_in_order(table: PostgresTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("c", "a", "b", margin=1.5))
    table.replace("telco", "b2", MONDAY + WEEK, rows("d", "e", as_of=MONDAY + WEEK))
    read = table.scan("telco")
    assert read is not None
    assert read.head(4).collect()["customer_id"].to_list() == ["c", "a", "b", "d"]
    assert read.select(pl.len()).collect().item() == 5
    assert read.select("margin").collect()["margin"].to_list() == [1.5, 1.5, 1.5, None, None]
    assert read.filter(pl.col("margin").is_null()).select("customer_id").head(1).collect().rows() == [("d",)]
    assert read.filter(customer_id="b").head(2).select("as_of").collect().rows() == [(MONDAY,)]


def test_ranges_cut_batches_of_several_dates(table: PostgresTable) -> None:
    frame = pl.concat([rows("a"), rows("b", as_of=MONDAY + WEEK)])
    table.replace("telco", "b1", MONDAY, frame)
    read = table.scan("telco", since=MONDAY + WEEK)
    assert read is not None
    assert read.select("probability").collect().height == 1
    assert read.head(1).collect()["customer_id"].to_list() == ["b"]


def test_the_key_is_the_primary_key_and_a_batch_is_a_partition(
    table: PostgresTable, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    for batch_id in ("b1", "b2"):
        table.replace("telco-us", batch_id, MONDAY, rows("a", "b"))
    key = ask(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
        " WHERE indrelid = 'predictions'::regclass AND indisprimary"
    )
    assert {name for (name,) in key} == {"model", "batch_id", "version", "customer_id"}
    assert ask("SELECT count(*), count(DISTINCT tableoid) FROM predictions") == [(4, 2)]
    plan = "\n".join(text for (text,) in ask("EXPLAIN SELECT FROM predictions WHERE batch_id = 'b1'"))
    assert plan.count("predictions_telco_us_b1") == 1
    assert "b2" not in plan


def test_what_is_the_same_in_every_row_is_kept_where_other_rows_differ(table: PostgresTable) -> None:
    last = pl.col("customer_id") == "c199999"
    first = many(200_000).with_columns(
        same=pl.lit("it's"),
        scored_at=pl.lit(NOON).cast(pl.Datetime("us", "UTC")),
        is_new=pl.lit(True),
        nothing=pl.lit(None, pl.String),
        late=pl.when(last).then(None).otherwise(pl.lit("x")),
        later=pl.when(last).then(8).otherwise(7),
    )
    for frame in (first, first.drop("same", "later").reverse(), first):
        table.replace("telco", "b1", MONDAY, frame)
        read = table.scan("telco")
        assert read is not None
        assert_frame_equal(read.collect(), frame.collect())


def test_a_column_that_a_batch_lost_is_null_in_its_rows_for_everyone(
    table: PostgresTable, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", run_id="r1"))
    table.replace("telco", "b1", MONDAY, rows("a"))
    assert ask("SELECT run_id, version FROM predictions") == [(None, 0)]


def test_a_customer_twice_in_a_batch_is_refused_and_the_former_rows_stay(table: PostgresTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    for batch_id in ("b1", "b2"):
        with pytest.raises(ChurnError, match=r"duplicate key|could not create unique index") as refused:
            table.replace("telco", batch_id, MONDAY, rows("x", "x"))
        assert not isinstance(refused.value, ServiceUnavailable)
        assert "once in a batch" in refused.value.hint
    assert names(table.scan("telco")) == ["a"]


def test_rows_of_another_batch_are_refused(table: PostgresTable) -> None:
    with pytest.raises(ChurnError, match="another 'batch_id' than 'b1'"):
        table.replace("telco", "b1", MONDAY, rows("a", batch_id="b2"))
    with pytest.raises(ChurnError, match="another 'model' than 'telco'"):
        table.replace("telco", "b1", MONDAY, rows("a", model=None).cast({"model": pl.String}))
    assert table.scan("telco") is None


@pytest.mark.parametrize(
    "frame",
    [
        rows("a", reasons=["x"]),
        rows("a", row_number=1),
        rows("a").with_columns(pl.lit(1).alias("ж" * 32)),
        rows("a", x=NOON.time()),
    ],
)
def test_a_column_that_cannot_be_kept_is_named(table: PostgresTable, frame: pl.LazyFrame) -> None:
    with pytest.raises(ChurnError, match=r"The column .* cannot be kept") as refused:
        table.replace("telco", "b1", MONDAY, frame)
    assert "CHURN_PREDICTIONS_URL" in refused.value.hint


def test_a_column_of_another_kind_is_refused_and_nothing_changes(table: PostgresTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", extra="x"))
    with pytest.raises(ChurnError, match=r"'extra' is text .* new values are double precision"):
        table.replace("telco", "b2", MONDAY, rows("b", extra=1.5))
    assert names(table.scan("telco")) == ["a"]


def test_rows_without_the_key_are_refused(table: PostgresTable) -> None:
    with pytest.raises(ChurnError, match="'customer_id'"):
        table.replace("telco", "b1", MONDAY, rows("a").drop("customer_id"))


def test_a_widened_column_keeps_what_narrow_batches_say(table: PostgresTable) -> None:
    table.replace("telco", "b1", MONDAY, rows("a", count=2))
    table.replace("telco", "b2", MONDAY, rows("b", count=1.5))
    table.replace("telco", "b3", MONDAY, rows("c", count=3))
    for batch_id, wanted in (("b1", 2), ("b2", 1.5), ("b3", 3)):
        read = table.scan_batch("telco", batch_id)
        assert read is not None
        assert read.collect()["count"].to_list() == [wanted]
        assert read.collect_schema()["count"] == (pl.Float64 if batch_id == "b2" else pl.Int64)


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_killed_in_the_middle_and_run_again_has_exactly_the_rows_once(
    table: PostgresTable, monkeypatch: pytest.MonkeyPatch, is_rewritten: bool
) -> None:
    if is_rewritten:
        table.replace("telco", "b1", MONDAY, rows("former"))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        on_copy(patched, 2, die)
        table.replace("telco", "b1", MONDAY, many(200_000))
    assert names(table.scan("telco")) == (["former"] if is_rewritten else None)
    table.replace("telco", "b1", MONDAY, many(200_000))
    read = table.scan("telco")
    assert read is not None
    assert_frame_equal(read.collect(), many(200_000).collect())


def test_a_process_ended_by_sigkill_leaves_the_former_rows(table: PostgresTable, url: str) -> None:
    table.replace("telco", "b1", MONDAY, rows("former"))
    script = f"""
        import os, signal
        from datetime import date
        import polars as pl
        from churnlib.adapters.postgres_session import Session
        from churnlib.adapters.postgres_table import PostgresTable
        commit, commits = Session.commit, [0]
        def killed(self):
            commits[0] += 1
            if commits[0] == 3:  # the session's, the schema's, the rows'
                os.kill(os.getpid(), signal.SIGKILL)
            commit(self)
        Session.commit = killed
        frame = pl.LazyFrame({{"customer_id": ["new"], "as_of": [date(2026, 3, 2)]}})
        PostgresTable({url!r}).replace("telco", "b1", date(2026, 3, 2), frame)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert names(table.scan("telco")) == ["former"]
    table.replace("telco", "b1", MONDAY, rows("new"))
    assert names(table.scan("telco")) == ["new"]


@pytest.mark.parametrize("former", [None, ["a", "b"]])
def test_readers_see_a_batch_before_or_after_never_between(
    table: PostgresTable, monkeypatch: pytest.MonkeyPatch, former: list[str] | None
) -> None:
    seen: list[list[str] | None] = []
    if former is not None:
        table.replace("telco", "b1", MONDAY, rows(*former))
    on_copy(monkeypatch, 1, lambda: seen.append(names(table.scan("telco"))))
    table.replace("telco", "b1", MONDAY, rows("new"))
    assert seen == [former]
    assert names(table.scan("telco")) == ["new"]


def test_a_new_column_does_not_lock_readers_out_while_rows_are_written(
    table: PostgresTable, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    counts: list[object] = []
    on_copy(monkeypatch, 1, lambda: counts.extend(ask("SELECT count(*) FROM predictions")))
    table.replace("telco", "b2", MONDAY, rows("b", reason_4_feature="tenure"))
    assert counts == [(1,)]


def test_workers_that_are_first_at_once_all_write(url: str) -> None:
    def write(number: int) -> str:
        frame = rows("a").with_columns(pl.lit(1.0).alias(f"x{number}"))
        return PostgresTable(url).replace(f"m{number % 2}", f"b{number}", MONDAY, frame)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(write, range(8)))) == 8
    for model in ("m0", "m1"):
        assert names(PostgresTable(url).scan(model)) == ["a"] * 4


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_of_two_workers_on_one_batch_the_last_one_has_all_rows(url: str, is_rewritten: bool) -> None:
    if is_rewritten:
        PostgresTable(url).replace("telco", "b1", MONDAY, rows("former"))

    def write(prefix: str) -> None:
        PostgresTable(url).replace("telco", "b1", MONDAY, many(20_000, prefix))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    read = PostgresTable(url).scan("telco")
    assert read is not None
    found = read.collect()
    assert_frame_equal(found, many(20_000, found.item(0, 0)[0]).collect())


def test_a_connection_lost_while_rows_are_written_passes(
    table: PostgresTable, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    on_copy(monkeypatch, 1, lambda: ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    with pytest.raises(ServiceUnavailable, match="predictions in postgresql://"):
        table.replace("telco", "b1", MONDAY, many(300_000))
    assert names(table.scan("telco")) == ["a"]


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        ("40P01", True),  # deadlock
        ("40001", True),  # serialization failure
        ("53300", True),  # too many connections
        ("55P03", True),  # lock timeout
        ("57P01", True),  # shut down
        ("08006", True),  # connection failure
        ("53100", False),  # disk full
        ("42501", False),  # permission denied
        ("22P03", False),  # wrong type
        ("23505", False),  # unique violation
    ],
)
def test_what_may_work_later_is_told_from_what_will_not(url: str, code: str, passes: bool) -> None:
    with (
        pytest.raises(ChurnError, match="cannot be written") as raised,
        Database.at(url).session("written") as session,
    ):
        session.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$")
    assert isinstance(raised.value, ServiceUnavailable) is passes
    assert passes is False or "CHURN_PREDICTIONS_URL" in raised.value.hint


def test_a_server_that_is_down_passes(tmp_path: Path) -> None:
    table = PostgresTable(f"postgresql://churn:sesame@/churn?host={tmp_path}")
    with pytest.raises(ServiceUnavailable, match=r"cannot be read: .*connection to server") as raised:
        table.scan("telco")
    assert "sesame" not in str(raised.value)


def test_a_server_that_went_away_before_a_frame_is_collected_passes(
    table: PostgresTable, url: str, postgres: Any
) -> None:
    table.replace("telco", "b1", MONDAY, rows("a"))
    read = table.scan("telco")
    assert read is not None
    database = url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    with pytest.raises(ServiceUnavailable, match="not currently accepting connections"):
        read.collect()


def test_too_many_connections_pass(url: str, postgres: Any) -> None:
    postgres.execute("CREATE ROLE crowd LOGIN PASSWORD 'sesame' CONNECTION LIMIT 0")
    with pytest.raises(ServiceUnavailable, match="too many connections"):
        PostgresTable(url.replace("churn:sesame-7Hq", "crowd:sesame")).scan("telco")


def test_no_right_to_write_does_not_pass_and_names_the_setting(url: str, postgres: Any) -> None:
    PostgresTable(url).replace("telco", "b1", MONDAY, rows("a"))
    postgres.execute("CREATE ROLE poor LOGIN PASSWORD 'sesame'")
    with pytest.raises(ChurnError, match="permission denied") as refused:
        PostgresTable(url.replace("churn:sesame-7Hq", "poor:sesame")).replace("telco", "b1", MONDAY, rows("b"))
    assert not isinstance(refused.value, ServiceUnavailable)
    assert "CHURN_PREDICTIONS_URL" in refused.value.hint


@pytest.mark.parametrize("password", ["wrong-7Hq", "pa%zz-7Hq", "two words-7Hq", "p%40-7Hq", "a@b:c-7Hq"])
def test_a_wrong_password_does_not_pass_and_is_not_repeated(postgres: Any, password: str) -> None:
    with pytest.raises(ChurnError) as refused:
        PostgresTable(postgres.url(password=password)).scan("telco")
    assert not isinstance(refused.value, ServiceUnavailable)
    assert "7Hq" not in str(refused.value)
    assert "7Hq" not in repr(refused.value.__cause__)
    assert "CHURN_PREDICTIONS_URL" in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql", "mysql://u:sesame@h/d", "", "http://[sesame"])
def test_a_url_for_something_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ChurnError, match="CHURN_PREDICTIONS_URL") as refused:
        PostgresTable(url)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_form_of_the_url_works_and_the_place_has_no_secret(url: str, scheme: str) -> None:
    table = PostgresTable(url.replace("postgresql", scheme, 1))
    place = table.replace("telco", "b1", MONDAY, rows("a"))
    assert names(table.scan("telco")) == ["a"]
    assert place.startswith("postgresql://")
    assert place.endswith("#predictions/telco/b1")
    assert "7Hq" not in place + repr(table._database)


def test_without_the_driver_the_extra_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(ChurnError, match="'adbc_driver_postgresql'") as refused:
        PostgresTable(url).scan("telco")
    assert "churnlib[postgres]" in refused.value.hint


def test_the_setting_decides_where_predictions_are(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHURN_PREDICTIONS_URL", raising=False)
    assert isinstance(predictions_table(Settings(home=tmp_path)), ParquetTable)
    monkeypatch.setenv("CHURN_PREDICTIONS_URL", url)
    settings = Settings(home=tmp_path)
    assert isinstance(predictions_table(settings), PostgresTable)
    assert "7Hq" not in repr(settings)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loop = make_loop(tmp_path_factory.mktemp("release"))
    accepted = builders.accepted(600, seed=1, as_of=week(-2))
    path = loop.folder / "labelled.csv"
    as_delivered(accepted.join(outcomes_of(accepted), on=[ID, AS_OF])).write_csv(path)
    made = train_from_file(loop.services, run(), model=MODEL, path=path)
    return loop.registry.fetch(MODEL, made.version.version)


@pytest.fixture
def loop(tmp_path: Path, release: Path, table: PostgresTable) -> Loop:
    """A loop with a champion whose predictions are in PostgreSQL."""
    made = make_loop(tmp_path)
    made.register(release)
    return replace(made, services=replace(made.services, predictions=table))


def test_a_scored_file_has_the_rows_that_parquet_would_have(
    loop: Loop, table: PostgresTable, tmp_path: Path
) -> None:
    path = loop.deliver(batch_frame(0), "week.csv")
    beside = ParquetTable(tmp_path / "beside")
    done = score_file(loop.services, run(), model=MODEL, path=path).batch
    read = table.scan_batch(MODEL, done.batch_id)
    assert read is not None
    beside.replace(MODEL, done.batch_id, week(0), read)
    kept = beside.scan_batch(MODEL, done.batch_id)
    assert kept is not None
    assert_frame_equal(kept.collect(), read.collect())
    assert read.collect()[ID].sort().to_list() == batch_frame(0)[ID].sort().to_list()
    assert read.collect_schema()["decile"] == pl.Int8
    assert read.select("model", "version", "batch_id").unique().collect().rows() == [(MODEL, 1, done.batch_id)]


def test_scoring_killed_in_the_middle_of_the_rows_and_run_again_scores_once(
    loop: Loop, table: PostgresTable, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    path = loop.deliver(batch_frame(0), "week.csv")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        on_copy(patched, 1, die)
        score_file(loop.services, run("killed"), model=MODEL, path=path)
    assert table.scan(MODEL) is None
    done = score_file(loop.services, run("again"), model=MODEL, path=path)
    assert done.state == "scored"
    assert ask("SELECT count(*), count(DISTINCT customer_id), min(run_id), max(run_id) FROM predictions") == [
        (300, 300, "again", "again")
    ]
    assert done.batch.accepted == 300
