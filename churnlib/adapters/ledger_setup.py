"""The ledger's tables, made or brought up to date, and whether there was anything to do."""

from __future__ import annotations

from sqlalchemy import Connection, column, inspect, select, table

from churnlib.adapters.ledger_engine import READING, open_engine, place
from churnlib.adapters.ledger_migration import migrate_engine
from churnlib.adapters.ledger_schema import HEAD, VERSION_TABLE
from churnlib.ports.preparing import Prepared

_LOCK_SECONDS = 60.0


def prepare_ledger(url: str) -> Prepared:
    """Migrate the ledger; raises as `migrate` does."""
    engine = open_engine(url, lock_seconds=_LOCK_SECONDS)
    try:
        with engine.connect().execution_options(**READING) as connection:
            before = _version(connection)
        migrate_engine(engine)
        where = place(engine.url)
    finally:
        engine.dispose()
    if before == HEAD:
        return Prepared(False, f"{where} is at version {HEAD}")
    return Prepared(
        True, f"{where} {'made, at version' if before is None else f'brought from version {before} to'} {HEAD}"
    )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return None if found is None else str(found)
