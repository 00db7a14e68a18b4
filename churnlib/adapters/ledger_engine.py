"""Connections to the ledger: one writer at a time on SQLite and PostgreSQL alike, outages in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from churnlib.errors import ChurnError, ServiceUnavailable

READING: Final = {"ledger_reading": True}
"""Execution options of a connection that only looks and so waits for nobody."""

_WRITER_LOCK: Final = 0x636875726E
_IDLE_MILLISECONDS: Final = 60_000

_HINTS: Final = (
    ("locked", "Another process keeps it open for writing: let that finish or end it, then repeat."),
    ("lock timeout", "Another process keeps it open for writing: let that finish or end it, then repeat."),
    ("full", "Free some disk space there, then repeat."),
    ("readonly", "Give this user the right to write to it."),
    ("unable to open", "Check that its folder is there and that this user may write to it."),
    ("not a database", "Point CHURN_LEDGER_URL at the ledger, or put a backup of it there."),
    ("malformed", "Put a backup of it there."),
    ("authentication", "Correct the user or the password in CHURN_LEDGER_URL."),
)
_DEFAULT_HINT: Final = "Start its server or correct CHURN_LEDGER_URL, then repeat."


def open_engine(url: str, *, lock_seconds: float) -> Engine:
    """Make an engine whose transactions are serial: each waits for the one before, at most `lock_seconds`.

    Whatever goes wrong with the connection itself is raised as ServiceUnavailable, from any statement.

    Raises:
        ChurnError: the URL is none, or is for neither a SQLite file nor PostgreSQL.
        ServiceUnavailable: the folder of the SQLite file cannot be made.
    """
    parsed = _parse(url)
    try:
        is_sqlite = parsed.get_backend_name() == "sqlite"
        engine = (_open_sqlite if is_sqlite else _open_postgresql)(parsed, lock_seconds)
    except ModuleNotFoundError as error:
        raise ChurnError(
            f"The ledger {place(parsed)} needs the Python package {error.name!r}.",
            hint="Install it: pip install 'churnlib[postgres]'.",
        ) from error
    event.listen(engine, "handle_error", _outage(parsed))
    return engine


def place(url: URL) -> str:
    """Where the ledger is, for people: without user, password and parameters."""
    if url.get_backend_name() == "sqlite":
        return f"{url.database}"
    host = url.host or url.query.get("host") or "localhost"
    return f"postgresql://{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # its text would repeat the URL with its password
        backend = "none"
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite")
    raise ChurnError(
        "CHURN_LEDGER_URL is the URL of neither a SQLite file nor a PostgreSQL database.",
        hint="Write sqlite:////folder/ledger.db or postgresql://user:password@host/database.",
    )


def _open_sqlite(url: URL, lock_seconds: float) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceUnavailable(
            f"The folder {folder} of the ledger cannot be made: {error.strerror}.",
            hint="Check the rights on it, or set CHURN_LEDGER_URL or CHURN_HOME.",
        ) from error
    # threads that wait for the lock hold a connection each, so their number has no bound here
    engine = create_engine(
        url, connect_args={"timeout": lock_seconds}, poolclass=QueuePool, max_overflow=-1, pool_timeout=0
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    # sqlite3 would begin by itself, late and deferred: SQLAlchemy's recipe leaves BEGIN to the hook below
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("ledger_reading", False)
    connection.exec_driver_sql("BEGIN DEFERRED" if is_reading else "BEGIN IMMEDIATE")


def _open_postgresql(url: URL, lock_seconds: float) -> Engine:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": max(2, round(lock_seconds))}
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, max_overflow=-1, pool_timeout=0)

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("ledger_reading", False):
            return
        # a host that went away in the middle gives the lock back after a minute
        limits = {
            "lock_timeout": round(lock_seconds * 1000),
            "idle_in_transaction_session_timeout": _IDLE_MILLISECONDS,
        }
        connection.execute(select(*(func.set_config(name, str(ms), True) for name, ms in limits.items())))
        # what BEGIN IMMEDIATE is on SQLite: a check and the write after it cannot be overtaken
        connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))

    event.listen(engine, "begin", begin)
    return engine


def _is_outage(context: ExceptionContext) -> bool:
    error = context.sqlalchemy_exception
    # sqlite3 calls a mistake in a statement operational as well; only its code tells them apart
    if getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError


def _outage(url: URL) -> Callable[[ExceptionContext], None]:
    def handle(context: ExceptionContext) -> None:
        if context.is_pre_ping or not (context.is_disconnect or _is_outage(context)):
            return
        lines = str(context.original_exception).strip().splitlines() or ["no answer"]
        said = lines[0].replace(url.password, "***") if url.password else lines[0]
        hint = next((hint for needle, hint in _HINTS if needle in said.lower()), _DEFAULT_HINT)
        raise ServiceUnavailable(f"The ledger {place(url)} cannot be used: {said}.", hint=hint)

    return handle
