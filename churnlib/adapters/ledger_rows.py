"""Rows of the ledger's tables as records, and the ways of writing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, CursorResult, Select, Table, Update
from sqlalchemy.dialects import sqlite

from churnlib.records import Record

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

R = TypeVar("R", bound=Record)


def read_all(connection: Connection, kind: type[R], query: Select[Any]) -> list[R]:
    """The rows as records, in the query's order."""
    return [kind.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def read_one(connection: Connection, kind: type[R], query: Select[Any]) -> R | None:
    """The first row as a record."""
    row = connection.execute(query).mappings().first()
    return None if row is None else kind.model_validate(dict(row))


def save(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    """Insert the row, or put these values into the row with the same primary key."""
    keys = table.primary_key.columns.keys()
    statement = _insert(connection, table).values(values)
    changed = {name: statement.excluded[name] for name in values if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def insert_once(connection: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert the row; False, and nothing changes, where a unique value of it is taken."""
    statement = _insert(connection, table).values(values).inline().on_conflict_do_nothing()
    # the count of an insert is not kept on PostgreSQL unless it is asked for
    return connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount == 1


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert the rows in one go, leaving alone those whose key is taken; returns how many were new."""
    if not rows:  # no parameters would mean one row of defaults
        return 0
    statement = _insert(connection, table).on_conflict_do_nothing()
    return connection.execute(statement.execution_options(preserve_rowcount=True), list(rows)).rowcount


def changed(connection: Connection, statement: Update) -> bool:
    """Run an update that means one row; whether it found it."""
    result: CursorResult[Any] = connection.execute(statement)
    return result.rowcount == 1


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    # the same clauses on both, which SQLAlchemy offers by dialect only
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)
