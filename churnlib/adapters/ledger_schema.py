"""The ledger's tables. What changes here needs a migration beside it (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Uuid,
)

from churnlib.adapters.ledger_types import Json, UtcTime, Words

HEAD = "0002"
"""The newest migration: a ledger that says so is up to date."""

VERSION_TABLE = "ledger_version"
"""Alembic's own table; not `alembic_version`, which MLflow and Prefect use in their databases."""

METADATA = MetaData()

BATCHES = Table(
    "batches",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("batch_id", Words, primary_key=True),
    Column("source", Words, nullable=False),
    Column("origin", Words),
    Column("as_of", Date),
    Column("status", Words, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("quarantined_by", Json, nullable=False),
    Column("version", Integer),
    Column("challenger", Integer),
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

CONTACTS = Table(
    "contacts",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("campaign_id", Words, primary_key=True),
    Column("customer_id", Words, primary_key=True),
    Column("batch_id", Words, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("group", Words, nullable=False),
    Column("rank", Integer),
    Column("contacted_on", Date, nullable=False),
    Column("probability", Float, nullable=False),
    Column("value_at_risk", Float),
    Index("contacts_by_date", "model", "contacted_on"),
    Index("contacts_by_customer", "model", "customer_id", "contacted_on"),
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
    Column("bundle", Words),
    Index("approvals_by_status", "model", "status"),
    Index("approvals_by_bundle", "bundle"),
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

VARIANTS = Table(
    "variants",
    METADATA,
    Column("model", Words, primary_key=True),
    Column("family", Words, nullable=False),
    Column("dimensions", Json, nullable=False),
    Column("first_as_of", Date, nullable=False),
    Index("variants_by_family", "family", "model"),
)
