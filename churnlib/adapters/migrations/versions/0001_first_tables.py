"""First tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# what is settled: the request itself at all times, the answer once it was given
REQUEST = (
    "approval_id", "model", "challenger", "challenger_run_id", "champion", "evidence", "summary",
    "created_at", "expires_at",
)
ANSWER = ("status", "decided_by", "source", "decided_at", "reason")


def _time() -> sa.types.TypeEngine:
    return sa.String(32).with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("accepted", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("quarantined_by", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("run_id", sa.Text),
        sa.Column("output", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("received_at", _time(), nullable=False),
        sa.Column("scored_at", _time()),
        sa.Column("reason", sa.Text),
    )
    op.create_index("batches_by_as_of", "batches", ["model", "as_of"])
    op.create_table(
        "outcome_files",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("file_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("first_as_of", sa.Date, nullable=False),
        sa.Column("last_as_of", sa.Date, nullable=False),
        sa.Column("received_at", _time(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("occurred_at", _time(), nullable=False),
        sa.Column("sent_at", _time()),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("events_by_sending", "events", ["sent_at", "occurred_at", "seq"])
    op.create_table(
        "work",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("leased_until", _time()),
        sa.Column("done_at", _time()),
        sa.Column("result", sa.Text),
    )
    op.create_table(
        "reports",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("triage", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("created_at", _time(), nullable=False),
    )
    op.create_index("reports_by_as_of", "reports", ["model", "kind", "as_of"])
    op.create_table(
        "decisions",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("created_at", _time(), nullable=False),
    )
    op.create_index("decisions_by_creation", "decisions", ["model", "created_at"])
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("challenger", sa.Integer, nullable=False),
        sa.Column("challenger_run_id", sa.Text, nullable=False),
        sa.Column("champion", sa.Integer),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("flow_run_id", sa.Text),
        sa.Column("created_at", _time(), nullable=False),
        sa.Column("expires_at", _time(), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("source", sa.Text),
        sa.Column("decided_at", _time()),
        sa.Column("reason", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("woken_at", _time()),
    )
    op.create_index("approvals_by_status", "approvals", ["model", "status"])
    op.create_table(
        "transitions",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("from_version", sa.Integer),
        sa.Column("to_version", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("approval_id", sa.Text, sa.ForeignKey("approvals.approval_id")),
        sa.Column("at", _time(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("transitions_by_model", "transitions", ["model", "seq"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_sqlite() -> None:
    _sqlite_trigger("transitions_stay", "DELETE ON transitions", "a transition cannot be deleted")
    _sqlite_trigger("transitions_are_final", "UPDATE ON transitions", "a transition cannot be changed")
    _sqlite_trigger("approvals_stay", "DELETE ON approvals", "an approval cannot be deleted")
    _sqlite_trigger(
        "approvals_keep_the_request",
        f"UPDATE OF {', '.join(REQUEST)} ON approvals",
        "what an approval was asked for cannot be changed",
    )
    _sqlite_trigger(
        "approvals_keep_the_answer",
        f"UPDATE OF {', '.join(ANSWER)} ON approvals WHEN OLD.status <> 'pending'",
        "a settled approval cannot be changed",
    )


def _sqlite_trigger(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table, one in (("transitions", "a transition"), ("approvals", "an approval")):
        _postgresql_trigger(f"{table}_stay", f"DELETE ON {table} FOR EACH ROW", f"{one} cannot be deleted")
        _postgresql_trigger(
            f"{table}_stay_all", f"TRUNCATE ON {table} FOR EACH STATEMENT", f"{one} cannot be deleted"
        )
    _postgresql_trigger(
        "transitions_are_final", "UPDATE ON transitions FOR EACH ROW", "a transition cannot be changed"
    )
    _postgresql_trigger(
        "approvals_keep_the_request",
        f"UPDATE OF {', '.join(REQUEST)} ON approvals FOR EACH ROW",
        "what an approval was asked for cannot be changed",
    )
    _postgresql_trigger(
        "approvals_keep_the_answer",
        f"UPDATE OF {', '.join(ANSWER)} ON approvals FOR EACH ROW WHEN (OLD.status <> 'pending')",
        "a settled approval cannot be changed",
    )


def _postgresql_trigger(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {when} EXECUTE FUNCTION ledger_refuse('{message}')")
