"""What goes wrong between the ledger's code and its database is said in words, and without passwords."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.ledger_engine import open_engine
from churnlib.adapters.ledger_schema import HEAD
from churnlib.errors import ChurnError, ServiceUnavailable

SECRET = "sesame-7Hq"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///:memory:",
        f"mysql://u:{SECRET}@h/d",
        f"nothing://u:{SECRET}@h/d",
    ],
)
def test_a_url_of_something_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ChurnError, match="neither a SQLite file nor a PostgreSQL database") as refusal:
        open_engine(url, lock_seconds=1)
    assert SECRET not in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_that_is_not_there_is_named_without_its_password(scheme: str) -> None:
    pytest.importorskip("psycopg")
    url = f"{scheme}://churn:{SECRET}@127.0.0.1:1/ledger?application_name={SECRET}"
    with pytest.raises(ServiceUnavailable, match=r"postgresql://127\.0\.0\.1:1/ledger") as refusal:
        SqlLedger.open(url)
    assert SECRET not in str(refusal.value)
    assert "Start its server" in refusal.value.hint
    assert refusal.value.exit_code == 3


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"customer_id,tenure\n" * 100)
    with pytest.raises(ServiceUnavailable, match="not a database") as refusal:
        SqlLedger.open(f"sqlite:///{path}")
    assert str(path) in refusal.value.message
    assert "backup" in refusal.value.hint


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match=r"folder .*/file/below of the ledger cannot be made"):
        SqlLedger.open(f"sqlite:///{tmp_path / 'file' / 'below' / 'ledger.db'}")


def test_a_full_disk_takes_back_the_whole_transaction(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = open_engine(url, lock_seconds=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE filled (body TEXT)"))
        connection.execute(text("INSERT INTO filled VALUES ('small')"))
    with pytest.raises(ServiceUnavailable, match="full") as refusal, engine.begin() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
        connection.execute(text("DELETE FROM filled"))
        connection.execute(text("INSERT INTO filled VALUES (hex(zeroblob(1000000)))"))
    assert "Free some disk space" in refusal.value.hint
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT body FROM filled")) == "small"
    engine.dispose()


def test_a_fault_of_our_own_is_no_outage(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}", lock_seconds=1)
    with pytest.raises(OperationalError, match="no such table"), engine.begin() as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    with pytest.raises(ProgrammingError), engine.begin() as connection:
        connection.exec_driver_sql("SELECT ?", (1, 2))
    engine.dispose()


def test_the_file_keeps_a_write_ahead_log_and_foreign_keys_count(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with SqlLedger.open(f"sqlite:///{path}"):
        engine = open_engine(f"sqlite:///{path}", lock_seconds=1.5)
        with engine.connect() as connection:
            pragmas = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
            values = [connection.scalar(text(f"PRAGMA {pragma}")) for pragma in pragmas]
        engine.dispose()
    assert values == ["wal", 1, 2, 1500]


def test_a_folder_with_odd_characters_holds_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "50% off [x] ünï #1" / "ledger.db"
    SqlLedger.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM ledger_version").fetchall() == [(HEAD,)]
    connection.close()


def test_a_reader_does_not_wait_for_the_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with SqlLedger.open(url) as ledger, ledger.begin():
        reader = threading.Thread(target=lambda: SqlLedger.open(url, lock_seconds=0.1).close())
        reader.start()
        reader.join(10)
        assert not reader.is_alive()
