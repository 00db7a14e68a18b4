"""The ledger's tables. What changes here needs a migration beside it (a test compares the two)."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from churnlib.adapters.plain_text import storable

HEAD = "0001"
"""The newest migration: a ledger that says so is up to date."""

VERSION_TABLE = "ledger_version"
"""Alembic's own table; not `alembic_version`, which MLflow and Prefect use in their databases."""


class UtcTime(TypeDecorator[datetime]):
    """A point in time, aware and in UTC on both sides; a naive one is refused.

    SQLite keeps ISO text of fixed width, which sorts as the times do.
    """

    impl = String(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """`timestamptz` where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(32))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Refuse a naive time; raises ValueError."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{value!r} has no time zone")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.isoformat(timespec="microseconds")

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        """Back to UTC, whatever the session's zone is."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text from outside; characters that no database takes become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Also turn a member of an enumeration into its value."""
        return None if value is None else storable(str(value))


class Json(TypeDecorator[object]):
    """A JSON value; NaN and infinities, which JSON has not, become null."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> object:
        """Make the value one that JSON can say."""
        return _json_value(value)


def _json_value(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(name)): _json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    return value


METADATA = MetaData()

BATCHES = Table(
    "batches",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("batch_id", Words, primary_key=True),
    Column("source", Words, nullable=False),
    Column("as_of", Date),
    Column("status", Words, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("quarantined_by", Json, nullable=False),
    Column("version", Integer),
    Column("run_id", Words),
    Column("output", Words),
    Column("seconds", Float),
    Column("received_at", UtcTime, nullable=False),
    Column("scored_at", UtcTime),
    Column("reason", Words),
    Index("batches_by_as_of", "model", "as_of"),
)

OUTCOME_FILES = Table(
    "outcome_files",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("file_id", Words, primary_key=True),
    Column("source", Words, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first_as_of", Date, nullable=False),
    Column("last_as_of", Date, nullable=False),
    Column("received_at", UtcTime, nullable=False),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("key", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("payload", Json, nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Words),
    Index("events_by_sending", "sent_at", "occurred_at", "seq"),
)

WORK = Table(
    "work",
    METADATA,
    Column("key", Words, primary_key=True),
    Column("owner", Words),
    Column("leased_until", UtcTime),
    Column("done_at", UtcTime),
    Column("result", Words),
)

REPORTS = Table(
    "reports",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("batch_id", Words, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("as_of", Date, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("triage", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("values", Json, nullable=False),
    Column("body", Words, nullable=False),
    Column("run_id", Words),
    Column("created_at", UtcTime, nullable=False),
    Index("reports_by_as_of", "model", "kind", "as_of"),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("key", Words, primary_key=True),
    Column("model", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("trigger", Words, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("reasons", Json, nullable=False),
    Column("run_id", Words),
    Column("created_at", UtcTime, nullable=False),
    Index("decisions_by_creation", "model", "created_at"),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("approval_id", Words, primary_key=True),
    Column("model", Words, nullable=False),
    Column("challenger", Integer, nullable=False),
    Column("challenger_run_id", Words, nullable=False),
    Column("champion", Integer),
    Column("evidence", Words, nullable=False),
    Column("summary", Words, nullable=False),
    Column("flow_run_id", Words),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("status", Words, nullable=False),
    Column("decided_by", Words),
    Column("source", Words),
    Column("decided_at", UtcTime),
    Column("reason", Words),
    Column("outcome", Words),
    Column("woken_at", UtcTime),
    Index("approvals_by_status", "model", "status"),
)

TRANSITIONS = Table(
    "transitions",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("model", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer, nullable=False),
    Column("who", Words, nullable=False),
    Column("why", Words, nullable=False),
    Column("approval_id", Words, ForeignKey("approvals.approval_id")),
    Column("at", UtcTime, nullable=False),
    Index("transitions_by_model", "model", "seq"),
    sqlite_autoincrement=True,
)
