"""Predictions in PostgreSQL: a batch's rows come by binary COPY, all at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import polars as pl
import polars.selectors as cs

from churnlib.adapters.postgres_reading import Dates, find_parts, scan_parts
from churnlib.adapters.postgres_schema import (
    BATCHES,
    OWN,
    ROW,
    add_batch,
    attach_batch,
    batch_partition,
    column_type,
    column_types,
    dtype_of,
    ensure_table,
    quoted,
    set_defaults,
)
from churnlib.adapters.postgres_session import Database, Session
from churnlib.errors import ChurnError
from churnlib.spec import AS_OF, ID
from churnlib.variants import safe_name

_CHUNK_ROWS = 131_072


@dataclass
class _Written:
    """What went into a batch so far; `constants` are what its table fills in where a chunk does not say it."""

    constants: Mapping[str, object]
    first: date | None = None
    last: date | None = None
    rows: int = 0

    def add(self, chunk: pl.DataFrame) -> None:
        self.rows += chunk.height
        if chunk.schema.get(AS_OF) == pl.Date:
            low, high = chunk.select(pl.col(AS_OF).min().alias("low"), pl.col(AS_OF).max()).row(0)
            self.first = min((day for day in (self.first, low) if day is not None), default=None)
            self.last = max((day for day in (self.last, high) if day is not None), default=None)


class PostgresTable:
    """Fulfils `ports.BatchTable` for predictions: the table `predictions` of the URL's default schema.

    Key: (`model`, `batch_id`, `version`, `customer_id`), so a customer is in a batch once. Tables, columns and
    partitions are made when they are first needed. `model` and `batch_id` are the batch's in every row,
    `version` is 0 in rows of a frame that has none; `predictions_batches` says which columns a batch has.
    Frames are read when they are collected, a batch at a time and only the columns asked for.
    """

    def __init__(self, url: str) -> None:
        """Remember where; nothing connects before it has to.

        Raises:
            ChurnError: the URL is not for PostgreSQL.
        """
        self._database = Database.at(url)

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows in one transaction, replacing what an earlier try left.

        Rows are streamed: memory holds a few chunks of them. Returns a URL without secrets.

        Raises:
            ChurnError: names or types that cannot be, a customer twice, no right, no space.
            ServiceUnavailable: PostgreSQL cannot be reached, or gave up on this transaction.
        """
        _check(model, batch_id)
        schema = frame.collect_schema()
        if ID not in schema:
            raise ChurnError(f"Predictions without the column {ID!r} have no key.", hint=f"Add {ID!r}.")
        columns = {name: column_type(name, dtype) for name, dtype in schema.items()}
        with self._database.session("written") as session:
            ensure_table(session, model, columns)
            _lock(session, model, batch_id)
            is_new = _clear(session, model, batch_id)
            written = _copy(session, model, batch_id, frame, is_new=is_new)
            if is_new:
                attach_batch(session, model, batch_id, defaults=written.constants)
            _record(session, model, batch_id, as_of, schema, written)
            session.commit()
        return f"{self._database.place}#predictions/{model}/{batch_id}"

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out; nothing happens when there are none."""
        _check(model, batch_id)
        with self._database.session("removed") as session:
            if not column_types(session, batch_partition(model, batch_id)):
                return
            _lock(session, model, batch_id)
            # its empty partition stays: to drop it would wait for every reader of the table
            _clear(session, model, batch_id)
            session.execute(f"DELETE FROM {BATCHES} WHERE model = $1 AND batch_id = $2", model, batch_id)  # noqa: S608
            session.commit()

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, ordered by the batch's `as_of`, then batch, as written.

        Returns:
            None when no batch can have such rows. Collecting raises what `replace` may raise.
        """
        safe_name(model, what="model")
        return self._frame(model, Dates(since or date.min, until or date.max))

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None:
        """The batch's rows as they were written; None when there are none."""
        _check(model, batch_id)
        return self._frame(model, Dates(), batch_id)

    def _frame(self, model: str, dates: Dates, batch_id: str | None = None) -> pl.LazyFrame | None:
        with self._database.session("read") as session:
            parts = find_parts(session, model, dates, batch_id)
        return scan_parts(self._database, parts, dates) if parts else None


def _check(model: str, batch_id: str) -> None:
    safe_name(model, what="model")
    safe_name(batch_id, what="batch")


def _lock(session: Session, model: str, batch_id: str) -> None:
    """Let one worker at a time write the batch, until the transaction ends."""
    key = sha256(f"{model}/{batch_id}".encode()).digest()[:8]
    session.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(key, signed=True))


def _clear(session: Session, model: str, batch_id: str) -> bool:
    """Make the batch's table empty for this transaction; readers go on seeing the former rows.

    Returns:
        Whether the table is new, and nobody's until it is attached.
    """
    partition = batch_partition(model, batch_id)
    if column_types(session, partition):
        session.execute(f"DELETE FROM {quoted(partition)}")  # noqa: S608
        return False
    add_batch(session, model, batch_id)
    return True


def _copy(session: Session, model: str, batch_id: str, frame: pl.LazyFrame, *, is_new: bool) -> _Written:
    partition, written = batch_partition(model, batch_id), _Written({})
    types = column_types(session, partition)
    for chunk in frame.collect_batches(chunk_size=_CHUNK_ROWS, maintain_order=True):
        _check_constants(chunk, model=model, batch_id=batch_id)
        if is_new and written.rows == 0:
            written.constants = _constants(chunk)
            set_defaults(session, partition, {name: _text(value) for name, value in written.constants.items()})
        left_out = {"model", "batch_id", *_filled_in(chunk, written.constants)}
        casts = [pl.col(name).cast(dtype_of(types[name])) for name in chunk.columns if name not in left_out]
        session.copy(partition, chunk.select(pl.int_range(pl.len()).add(written.rows).alias(ROW), *casts))
        written.add(chunk)
    return written


def _constants(chunk: pl.DataFrame) -> dict[str, object]:
    """Values by column that every row has, as run, time and date do; none for fractions and the table's own."""
    found = chunk.head(1).select(~cs.float()).drop(*OWN, strict=False)
    values = {name: found.item(0, name) for name in found.columns} if found.height else {}
    present = {name: value for name, value in values.items() if value is not None}
    return {name: present[name] for name in _filled_in(chunk, present)}


def _filled_in(chunk: pl.DataFrame, constants: Mapping[str, object]) -> list[str]:
    """The columns in which every row has the constant."""
    return [
        name
        for name, value in constants.items()
        if chunk.select(pl.col(name).eq_missing(pl.lit(value)).all()).item()
    ]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _check_constants(chunk: pl.DataFrame, **constants: str) -> None:
    """Refuse rows that say they are another batch's: the table takes the batch's word instead."""
    for name, value in constants.items():
        if name in chunk.columns and not chunk.get_column(name).eq_missing(value).all():
            raise ChurnError(
                f"Rows of the batch {constants['batch_id'][:12]} have another {name!r} than {value!r}.",
                hint=f"Write the rows of each {name!r} by themselves.",
            )


def _record(
    session: Session, model: str, batch_id: str, as_of: date, schema: pl.Schema, written: _Written
) -> None:
    columns = json.dumps({name: str(dtype) for name, dtype in schema.items()}, ensure_ascii=False)
    session.execute(
        f"""INSERT INTO {BATCHES} VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (model, batch_id) DO UPDATE SET as_of = EXCLUDED.as_of, first_as_of = EXCLUDED.first_as_of,
        last_as_of = EXCLUDED.last_as_of, rows = EXCLUDED.rows, columns = EXCLUDED.columns""",  # noqa: S608
        model,
        batch_id,
        as_of,
        written.first or as_of,
        written.last or as_of,
        written.rows,
        columns,
    )
