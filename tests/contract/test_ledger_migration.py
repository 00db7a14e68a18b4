"""How a ledger comes to be and stays up to date, over SQLite and a real PostgreSQL server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from churnlib.adapters import ledger_migration
from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.ledger_engine import open_engine
from churnlib.adapters.ledger_migration import alembic_config, migrate
from churnlib.adapters.ledger_schema import HEAD, METADATA, VERSION_TABLE
from churnlib.errors import ChurnError

ROOT = Path(__file__).resolve().parents[2]
OPEN = "import sys; from churnlib.adapters.ledger import SqlLedger; SqlLedger.open(sys.argv[1]).close()"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'folder' / 'ledger.db'}"
    database: str = request.getfixturevalue("postgres").new_database()
    return database


def change(url: str, statement: str) -> None:
    engine = open_engine(url, lock_seconds=5)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def tables(url: str) -> set[str]:
    engine = open_engine(url, lock_seconds=5)
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
    engine.dispose()
    return names


FIRST_ROWS = (
    """INSERT INTO batches VALUES ('telco', 'b1', 'w.csv', '2026-03-02', 'scored', 12, 11, 1, '{"a: b": 1}', 3,
    'r', '/x', 0.5, '2026-03-02T12:00:00.000000+00:00', '2026-03-02T12:00:01.000000+00:00', NULL)""",
    """INSERT INTO transitions VALUES
    (1, 'telco', 'initial', NULL, 3, 'ann', 'first', NULL, '2026-03-02T12:00:00.000000+00:00')""",
)
"""As the first version of the tables had them."""


def test_a_ledger_of_the_first_version_keeps_its_rows_and_its_guards(url: str) -> None:
    engine = open_engine(url, lock_seconds=5)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    with engine.begin() as connection:
        for statement in FIRST_ROWS:
            connection.exec_driver_sql(statement)
    engine.dispose()
    with SqlLedger.open(url) as ledger, ledger.begin() as work:
        (batch,) = work.batches("telco")
        assert (batch.batch_id, batch.rows, batch.version, batch.quarantined_by) == ("b1", 12, 3, {"a: b": 1})
        assert (batch.origin, batch.challenger) == (None, None)
        assert [one.who for one in work.transitions("telco")] == ["ann"]
        work.save_batch(batch.model_copy(update={"origin": "/in/w.csv", "challenger": 4}))
        kept = work.batch("telco", "b1")
        assert kept is not None
        assert (kept.origin, kept.challenger) == ("/in/w.csv", 4)
        assert work.contacts("telco") == []
    with pytest.raises(IntegrityError, match="cannot be deleted"):
        change(url, "DELETE FROM transitions")


def test_a_missing_ledger_is_created_with_its_folder(url: str) -> None:
    migrate(url)
    assert tables(url) == {*METADATA.tables, VERSION_TABLE}


def test_the_migrated_tables_are_those_the_code_expects(url: str) -> None:
    migrate(url)
    engine = open_engine(url, lock_seconds=5)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_code_expects_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_a_ledger_that_is_up_to_date_is_opened_without_alembic_and_without_waiting(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqlLedger.open(url) as first, first.begin():
        monkeypatch.setattr(ledger_migration, "_upgrade", lambda *_: pytest.fail("migrates again"))
        migrate(url)
        SqlLedger.open(url, lock_seconds=0.2).close()


def test_a_ledger_that_is_newer_than_the_code_is_refused_and_left_alone(url: str) -> None:
    migrate(url)
    change(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for attempt in (migrate, SqlLedger.open):
        with pytest.raises(ChurnError, match="version 9999, newer than this code's") as refusal:
            attempt(url)
        assert "Update churnlib" in refusal.value.hint
    assert tables(url) == {*METADATA.tables, VERSION_TABLE}


def test_a_database_with_tables_of_something_else_is_refused_and_left_alone(url: str) -> None:
    change(url, "CREATE TABLE events (id INTEGER)")
    with pytest.raises(ChurnError, match="tables of something else: events"):
        migrate(url)
    assert tables(url) == {"events"}


def test_a_migration_that_fails_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = command.upgrade

    def fails_late(*arguments: object) -> None:
        whole(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    monkeypatch.setattr(command, "upgrade", fails_late)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(url)
    assert tables(url) == set()
    monkeypatch.undo()
    migrate(url)


def test_several_processes_may_create_the_ledger_at_once(url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    assert said == [""] * len(started)
    assert tables(url) == {*METADATA.tables, VERSION_TABLE}
