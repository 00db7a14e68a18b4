"""Facts in the ledger: batches, outcome files, the slices of families, reports, decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, select

from churnlib.adapters.ledger_rows import insert_many, read_all, read_one, save
from churnlib.adapters.ledger_schema import BATCHES, DECISIONS, OUTCOME_FILES, REPORTS, VARIANTS
from churnlib.records import Batch, Decision, KnownVariant, OutcomeFile, Report, ReportKind

BATCH_ORDER = (BATCHES.c.as_of.is_(None), BATCHES.c.as_of, BATCHES.c.received_at, BATCHES.c.batch_id)
"""By `as_of` (nulls last), then arrival."""


class Facts:
    """The part of a transaction that keeps what was measured and done; saving twice keeps the later."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def batch(self, model: str, batch_id: str) -> Batch | None:
        """One batch."""
        mine = (BATCHES.c.model == model) & (BATCHES.c.batch_id == batch_id)
        return read_one(self._connection, Batch, select(BATCHES).where(mine))

    def batches(self, model: str | None = None, *, until: date | None = None) -> list[Batch]:
        """Ordered by `as_of` (nulls last), then arrival; with `until` only batches that have an `as_of`."""
        query = select(BATCHES)
        if model is not None:
            query = query.where(BATCHES.c.model == model)
        if until is not None:
            query = query.where(BATCHES.c.as_of <= until)
        return read_all(self._connection, Batch, query.order_by(*BATCH_ORDER))

    def save_batch(self, batch: Batch) -> None:
        """Insert or replace by (`model`, `batch_id`)."""
        save(self._connection, BATCHES, batch.model_dump())

    def outcome_file(self, model: str, file_id: str) -> OutcomeFile | None:
        """One file of outcomes."""
        mine = (OUTCOME_FILES.c.model == model) & (OUTCOME_FILES.c.file_id == file_id)
        return read_one(self._connection, OutcomeFile, select(OUTCOME_FILES).where(mine))

    def save_outcome_file(self, file: OutcomeFile) -> None:
        """Insert or replace by (`model`, `file_id`)."""
        save(self._connection, OUTCOME_FILES, file.model_dump())

    def save_variants(self, variants: Sequence[KnownVariant]) -> None:
        """Insert; one that is there already stays as it is."""
        insert_many(self._connection, VARIANTS, [variant.model_dump() for variant in variants])

    def variant(self, model: str) -> KnownVariant | None:
        """The slice of that registered model; None for a base model."""
        return read_one(self._connection, KnownVariant, select(VARIANTS).where(VARIANTS.c.model == model))

    def variants(self, family: str | None = None) -> list[KnownVariant]:
        """Ordered by family, then model."""
        query = select(VARIANTS)
        if family is not None:
            query = query.where(VARIANTS.c.family == family)
        return read_all(self._connection, KnownVariant, query.order_by(VARIANTS.c.family, VARIANTS.c.model))

    def save_report(self, report: Report) -> None:
        """Insert or replace by (`model`, `kind`, `batch_id`, `version`)."""
        save(self._connection, REPORTS, report.model_dump())

    def reports(self, model: str, kind: ReportKind, *, version: int | None = None) -> list[Report]:
        """Ordered by `as_of`, then creation."""
        query = select(REPORTS).where(REPORTS.c.model == model, REPORTS.c.kind == kind)
        if version is not None:
            query = query.where(REPORTS.c.version == version)
        order = (REPORTS.c.as_of, REPORTS.c.created_at, REPORTS.c.batch_id, REPORTS.c.version)
        return read_all(self._connection, Report, query.order_by(*order))

    def save_decision(self, decision: Decision) -> None:
        """Insert or replace by `key`: what a repeated run decided last is what it did."""
        save(self._connection, DECISIONS, decision.model_dump())

    def decisions(self, model: str) -> list[Decision]:
        """Ordered by creation."""
        query = select(DECISIONS).where(DECISIONS.c.model == model)
        return read_all(self._connection, Decision, query.order_by(DECISIONS.c.created_at, DECISIONS.c.key))
