"""Where a batch came from, the challenger that scored along, who was contacted, the slices of a family, and
requests to a person that are answered as one.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("origin", sa.Text))
    op.add_column("batches", sa.Column("challenger", sa.Integer))
    op.create_table(
        "contacts",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("group", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer),
        sa.Column("contacted_on", sa.Date, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("value_at_risk", sa.Float),
    )
    op.create_index("contacts_by_date", "contacts", ["model", "contacted_on"])
    op.create_index("contacts_by_customer", "contacts", ["model", "customer_id", "contacted_on"])
    op.create_table(
        "variants",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("dimensions", sa.JSON, nullable=False),
        sa.Column("first_as_of", sa.Date, nullable=False),
    )
    op.create_index("variants_by_family", "variants", ["family", "model"])
    op.add_column("approvals", sa.Column("bundle", sa.Text))
    op.create_index("approvals_by_bundle", "approvals", ["bundle"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER approvals_keep_the_bundle BEFORE UPDATE OF bundle ON approvals "
        "BEGIN SELECT RAISE(ABORT, 'what an approval was asked for cannot be changed'); END"
    )
    for name, when, done in (("stay", "DELETE", "deleted"), ("are_final", "UPDATE", "changed")):
        op.execute(
            f"CREATE TRIGGER contacts_{name} BEFORE {when} ON contacts "
            f"BEGIN SELECT RAISE(ABORT, 'a contact cannot be {done}'); END"
        )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER approvals_keep_the_bundle BEFORE UPDATE OF bundle ON approvals FOR EACH ROW "
        "EXECUTE FUNCTION ledger_refuse('what an approval was asked for cannot be changed')"
    )
    for name, when, each, done in (
        ("stay", "DELETE", "ROW", "deleted"),
        ("stay_all", "TRUNCATE", "STATEMENT", "deleted"),
        ("are_final", "UPDATE", "ROW", "changed"),
    ):
        op.execute(
            f"CREATE TRIGGER contacts_{name} BEFORE {when} ON contacts FOR EACH {each} "
            f"EXECUTE FUNCTION ledger_refuse('a contact cannot be {done}')"
        )
