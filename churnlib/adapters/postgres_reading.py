"""Reading predictions from PostgreSQL: when they are collected, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl
from polars.io.plugins import register_io_source

from churnlib.adapters.postgres_predicate import customers_of
from churnlib.adapters.postgres_schema import (
    BATCHES,
    ROW,
    batch_partition,
    column_types,
    literal,
    quoted,
    restored,
)
from churnlib.adapters.postgres_session import Database, Session
from churnlib.spec import AS_OF, ID

_FIND: Final = f"""SELECT batch_id, first_as_of, last_as_of, columns FROM {BATCHES}
    WHERE model = $1 AND last_as_of >= $2 AND first_as_of <= $3 AND $4 IN ('', batch_id)
    ORDER BY as_of, batch_id"""  # noqa: S608 the names are constants


@dataclass(frozen=True)
class Dates:
    """From the first to the last, both inclusive."""

    first: date = date.min
    last: date = date.max

    def cover(self, other: Dates) -> bool:
        """Whether all of the other's days are among these."""
        return self.first <= other.first and other.last <= self.last


@dataclass(frozen=True)
class Part:
    """One batch on record, the dates its rows lie between and the columns it was written with."""

    table: str
    dates: Dates
    schema: pl.Schema


def find_parts(session: Session, model: str, dates: Dates, batch_id: str | None) -> list[Part]:
    """The model's batches, or that one, with rows that may lie between the dates, by `as_of`, then batch."""
    if not column_types(session, BATCHES):
        return []
    found = session.rows(_FIND, model, dates.first, dates.last, batch_id or "")
    return [_part(model, *row) for row in found]


def scan_parts(database: Database, parts: Sequence[Part], dates: Dates) -> pl.LazyFrame:
    """The parts' rows between the dates, one part after the other; columns that a part lacks are null.

    Nothing is read before the frame is collected; then only the columns that are asked for, a part at a time,
    and of a filter on customers only theirs.
    """
    schema = pl.concat([part.schema.to_frame() for part in parts], how="diagonal_relaxed").schema

    def read(
        names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = schema if names is None else pl.Schema({name: schema[name] for name in names})
        left = n_rows
        only = customers_of(predicate) if n_rows is None else None
        with database.session("read") as session:
            for part in parts:
                rows = _read(session, part, wanted, dates, left, only)
                left = None if left is None else left - rows.height
                yield rows if predicate is None else rows.filter(predicate)
                if left == 0:
                    return

    return register_io_source(read, schema=schema)


def _part(model: str, batch_id: object, first: object, last: object, columns: object) -> Part:
    assert isinstance(first, date)
    assert isinstance(last, date)
    schema = pl.Schema({name: restored(dtype) for name, dtype in json.loads(str(columns)).items()})
    return Part(batch_partition(model, str(batch_id)), Dates(first, last), schema)


def _read(
    session: Session,
    part: Part,
    wanted: pl.Schema,
    dates: Dates,
    limit: int | None,
    only: Sequence[str] | None,
) -> pl.DataFrame:
    """The part's rows between the dates, in their order, at most `limit`, with exactly the wanted columns.

    With `only` it is the rows of these customers.
    """
    is_inside = dates.cover(part.dates)
    needed = set(wanted) if is_inside else {*wanted, AS_OF}
    kept = pl.Schema({name: dtype for name, dtype in part.schema.items() if name in needed})
    query = f"SELECT {', '.join(map(quoted, [ROW, *kept]))} FROM {quoted(part.table)}"  # noqa: S608
    if only is not None:
        query += f" WHERE {quoted(ID)} IN ({', '.join(map(literal, only)) or 'NULL'})"
    if is_inside and limit is not None:
        query += f" ORDER BY {ROW} LIMIT {limit:d}"
    rows = session.frame(query).sort(ROW)  # sorted here: the server would sort on its disk
    if not is_inside:
        rows = rows.filter(pl.col(AS_OF).is_between(dates.first, dates.last))
    # through the part's own types: what was widened since comes back as it was written
    narrow = [pl.col(name).cast(dtype) for name, dtype in kept.items()]
    absent = [pl.lit(None).alias(name) for name in wanted if name not in kept]
    return rows.slice(0, limit).with_columns(*narrow, *absent).select(wanted.names()).cast(wanted)
