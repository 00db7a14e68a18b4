"""Bring a ledger's tables to what this code expects."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, String, column, inspect, select, table

from churnlib.adapters.ledger_engine import READING, open_engine, place
from churnlib.adapters.ledger_schema import HEAD, METADATA, VERSION_TABLE
from churnlib.errors import ChurnError

if TYPE_CHECKING:
    from alembic.config import Config

_ONE_AT_A_TIME: Final = Lock()
_LOCK_SECONDS: Final = 60.0


def migrate(url: str) -> None:
    """Create the ledger or bring it up to date; nothing happens where it is.

    Any number of processes may do so at once: the first does the work, the others wait for it.

    Raises:
        ChurnError: the ledger is newer than this code, or the database belongs to something else.
        ServiceUnavailable: the database cannot be reached.
    """
    engine = open_engine(url, lock_seconds=_LOCK_SECONDS)
    try:
        migrate_engine(engine)
    finally:
        engine.dispose()


def migrate_engine(engine: Engine) -> None:
    """Do the same with an engine of `open_engine`; costs no lock and no Alembic where it is up to date."""
    with engine.connect().execution_options(**READING) as connection:
        if _version(connection) == HEAD:
            return
    with engine.begin() as connection:
        version = _version(connection)
        if version is None:
            _check_unused(connection)
        if version != HEAD:
            _upgrade(connection, version)


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; there is no `alembic.ini`.

    A new migration: `alembic.command.revision(alembic_config(), "what it does", rev_id="0003")`.
    """
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).resolve().parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num", String)).select_from(table(VERSION_TABLE)))


def _upgrade(connection: Connection, version: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        where = place(connection.engine.url)
        raise ChurnError(
            f"The ledger {where} is at version {version}, newer than this code's {HEAD}.",
            hint="Update churnlib, or point CHURN_LEDGER_URL at a ledger of this version.",
        )
    with _ONE_AT_A_TIME:  # Alembic keeps the running migration in a global
        command.upgrade(config, "head")


def _check_unused(connection: Connection) -> None:
    if taken := sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables)):
        raise ChurnError(
            f"The database {place(connection.engine.url)} has tables of something else: {', '.join(taken)}.",
            hint="Give the ledger a database of its own (CHURN_LEDGER_URL).",
        )
