"""How predictions lie in PostgreSQL: a table partitioned by model, then by batch, and a list of its batches.

A batch is a partition of its own, so that a new one is copied without an index, gets its primary key in one
sort and is attached: a row costs the same however many there are, readers wait for nothing, and old batches
go by dropping their partitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

import polars as pl

from churnlib.adapters.postgres_session import Session
from churnlib.errors import ChurnError
from churnlib.spec import ID

TABLE: Final = "predictions"
BATCHES: Final = "predictions_batches"
ROW: Final = "row_number"
"""Place of a row in its batch, from 0: a table has no order of its own."""

OWN: Final = ("model", "batch_id", "version", ID, ROW)
"""Columns that are there from the start."""

_SCHEMA_LOCK: Final = 0x636875726E31

_KEY: Final = (
    "customer_id, model, batch_id, version"  # the customer first: "every score of a customer" is a look-up
)
_CREATE: Final = (
    # collation C: ids have no language, so they sort by their bytes
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
        model text COLLATE "C" NOT NULL,
        batch_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL DEFAULT 0,
        {ID} text COLLATE "C" NOT NULL,
        {ROW} bigint NOT NULL,
        PRIMARY KEY ({_KEY})
    ) PARTITION BY LIST (model)""",
    f"""CREATE TABLE IF NOT EXISTS {BATCHES} (
        model text COLLATE "C" NOT NULL,
        batch_id text COLLATE "C" NOT NULL,
        as_of date NOT NULL,
        first_as_of date NOT NULL,
        last_as_of date NOT NULL,
        rows bigint NOT NULL,
        columns text NOT NULL,
        PRIMARY KEY (model, batch_id)
    )""",
)

_DTYPES: Final[Mapping[str, pl.DataType]] = {
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "smallint": pl.Int16(),
    "integer": pl.Int32(),
    "bigint": pl.Int64(),
    "real": pl.Float32(),
    "double precision": pl.Float64(),
    "date": pl.Date(),
    "timestamp with time zone": pl.Datetime("us", "UTC"),
}
_TYPES: Final[Mapping[pl.DataType, str]] = {
    **{dtype: name for name, dtype in _DTYPES.items()},
    pl.Int8(): "smallint",
    pl.UInt8(): "smallint",
    pl.UInt16(): "integer",
    pl.UInt32(): "bigint",
}
_RESTORED: Final = {str(dtype): dtype for dtype in _TYPES}


def column_type(name: str, dtype: pl.DataType) -> str:
    """The PostgreSQL type of a column.

    Raises:
        ChurnError: PostgreSQL has none for it here, or its name is none for PostgreSQL.
    """
    found = _TYPES.get(dtype)
    if found is None or name == ROW or not 0 < len(name.encode()) < 64 or "\0" in name:
        raise ChurnError(
            f"The column {name!r} ({dtype}) cannot be kept in the table {TABLE!r} in PostgreSQL.",
            hint="Rename or cast it, or unset CHURN_PREDICTIONS_URL to keep predictions in Parquet files.",
        )
    return found


def dtype_of(type_name: str) -> pl.DataType:
    """The data type whose values a column takes by binary COPY."""
    return _DTYPES[type_name]


def restored(name: str) -> pl.DataType:
    """The data type of which `str` made the name."""
    return _RESTORED[name]


def column_types(session: Session, table: str) -> dict[str, str]:
    """PostgreSQL types by column; empty when the default schema has no such table."""
    found = session.rows(
        """SELECT a.attname::text, format_type(a.atttypid, NULL)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped""",
        table,
    )
    return {str(name): str(type_name) for name, type_name in found}


def ensure_table(session: Session, model: str, columns: Mapping[str, str]) -> None:
    """Make whatever the rows of a model need and is not there, in a transaction of its own.

    Idempotent, and serial among all workers. It is committed before the rows are written, because a new
    column locks readers out: for a moment here, for the whole COPY there. Until rows come nobody sees it.

    Raises:
        ChurnError: a column is there with a type that cannot hold both old and new values.
    """
    if not (column_types(session, model_partition(model)) and not _changes(session, columns)):
        session.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        for statement in _CREATE:
            session.execute(statement)
        if changes := _changes(session, columns):
            session.execute(f"ALTER TABLE {TABLE} {', '.join(changes)}")
        if not column_types(session, model_partition(model)):
            _add_model(session, model)
    session.commit()


def _add_model(session: Session, model: str) -> None:
    name = quoted(model_partition(model))
    # made, then attached: PARTITION OF would wait for every reader and writer of the table
    session.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL) PARTITION BY LIST (batch_id)")
    session.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES IN ({literal(model)})")


def _changes(session: Session, columns: Mapping[str, str]) -> list[str]:
    """What ALTER TABLE has to do so that every column is there and wide enough."""
    present = column_types(session, TABLE)
    changes = []
    for name, wanted in columns.items():
        if name not in present:
            changes.append(f"ADD COLUMN {quoted(name)} {wanted}")
        elif (common := _common(name, present[name], wanted)) != present[name]:
            changes.append(f"ALTER COLUMN {quoted(name)} TYPE {common}")
    return changes


def _common(name: str, present: str, wanted: str) -> str:
    """The narrower of the types that hold both; whole numbers and fractions meet in double precision."""
    whole, fraction = ["smallint", "integer", "bigint"], ["real", "double precision"]
    if present == wanted:
        return present
    for ladder in (whole, fraction):
        if present in ladder and wanted in ladder:
            return max(present, wanted, key=ladder.index)
    if {present, wanted} <= {*whole, *fraction}:
        return "double precision"
    raise ChurnError(
        f"The column {name!r} is {present} in the table {TABLE!r} in PostgreSQL, its new values are {wanted}.",
        hint="Rename the column, or point CHURN_PREDICTIONS_URL at another database.",
    )


def add_batch(session: Session, model: str, batch_id: str) -> None:
    """Make the table of a batch that has none; `attach_batch` makes it part of the whole."""
    name = batch_partition(model, batch_id)
    session.execute(f"CREATE TABLE {quoted(name)} (LIKE {TABLE} INCLUDING DEFAULTS)")
    set_defaults(session, name, {"model": model, "batch_id": batch_id})


def set_defaults(session: Session, table: str, defaults: Mapping[str, str]) -> None:
    """Let columns of a table that is not attached have these values in rows that do not say theirs.

    What is the same in every row then is not sent with each: less to encode, to send and to parse.
    """
    if defaults:
        changes = (f"ALTER {quoted(name)} SET DEFAULT {literal(value)}" for name, value in defaults.items())
        session.execute(f"ALTER TABLE {quoted(table)} {', '.join(changes)}")


def attach_batch(session: Session, model: str, batch_id: str, *, defaults: Iterable[str]) -> None:
    """Add the primary key, forget these defaults and show the rows to readers, once committed."""
    name = quoted(batch_partition(model, batch_id))
    changes = [f"ADD PRIMARY KEY ({_KEY})", *(f"ALTER {quoted(column)} DROP DEFAULT" for column in defaults)]
    session.execute(f"ALTER TABLE {name} {', '.join(changes)}")
    session.execute(
        f"ALTER TABLE {quoted(model_partition(model))} ATTACH PARTITION {name} FOR VALUES IN ({literal(batch_id)})"
    )


def model_partition(model: str) -> str:
    """Name of the partition of a model."""
    return _name(model[:32], digest_of=[model])


def batch_partition(model: str, batch_id: str) -> str:
    """Name of the partition of a batch."""
    return _name(model[:20], batch_id[:12], digest_of=[model, batch_id])


def _name(*parts: str, digest_of: Iterable[str]) -> str:
    """Readable, at most 63 bytes, and another one for everything else."""
    readable = re.sub("[^a-z0-9]", "_", "_".join([TABLE, *parts]).lower())
    return f"{readable}_{sha256('/'.join(digest_of).encode()).hexdigest()[:12]}"


def quoted(name: str) -> str:
    """An identifier for a statement."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text for a statement that takes no bound values, as those that define tables."""
    return "'" + value.replace("'", "''") + "'"
