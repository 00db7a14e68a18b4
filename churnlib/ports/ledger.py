"""The SQL record of everything that happened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from churnlib.events import Event
from churnlib.records import (
    Approval,
    ApprovalStatus,
    Batch,
    Claim,
    Contact,
    Decision,
    KnownVariant,
    OutcomeFile,
    Report,
    ReportKind,
    Transition,
)


class LedgerTransaction(Protocol):
    """Reads and writes of one transaction. All of it is kept, or none."""

    # batches
    def batch(self, model: str, batch_id: str) -> Batch | None: ...
    def batches(self, model: str | None = None, *, until: date | None = None) -> list[Batch]:
        """Ordered by `as_of` (nulls last), then arrival. `until` is inclusive."""
        ...

    def family_batches(self, family: str, *, batch_id: str | None = None) -> list[Batch]:
        """Batches of a base model and of its slices, in the same order; of one delivered file, or all."""
        ...

    def newest_batches(self) -> dict[str, Batch]:
        """By model, the last of those that count: scored, and not superseded."""
        ...

    def save_batch(self, batch: Batch) -> None:
        """Insert or replace by (`model`, `batch_id`)."""
        ...

    # outcomes
    def outcome_file(self, model: str, file_id: str) -> OutcomeFile | None: ...
    def save_outcome_file(self, file: OutcomeFile) -> None: ...

    # slices
    def save_variants(self, variants: Sequence[KnownVariant]) -> None:
        """Insert; one that is there already stays as it is."""
        ...

    def variant(self, model: str) -> KnownVariant | None:
        """The slice of that registered model; None for a base model."""
        ...

    def variants(self, family: str | None = None) -> list[KnownVariant]:
        """Ordered by family, then model."""
        ...

    # contacts
    def save_contacts(self, contacts: Sequence[Contact]) -> int:
        """Insert, and return how many were new; one with the same key stays as it is."""
        ...

    def contacts(self, model: str, *, since: date | None = None, customer_id: str | None = None) -> list[Contact]:
        """Ordered by date, campaign, then rank; `since` is inclusive."""
        ...

    # outbox
    def publish(self, event: Event) -> bool:
        """Put the event into the outbox; False when its key is there already."""
        ...

    def event(self, key: str) -> Event | None: ...
    def unsent(self, *, limit: int = 100) -> list[Event]:
        """Oldest first."""
        ...

    def mark_sent(self, event_id: UUID, at: datetime) -> None: ...
    def mark_failed(self, event_id: UUID, error: str) -> None:
        """Count a failed attempt and keep its message."""
        ...

    def lost(self, name: str, *, sent_before: datetime, now: datetime) -> list[Event]:
        """Events of that name, sent before the time, whose key nobody claimed, or whose claim ran out undone."""
        ...

    # work, done once a key
    def claim(self, key: str, *, owner: str, now: datetime, lease_seconds: float) -> Claim:
        """Take the key: `mine` when free, when the lease ran out or when the owner holds it already."""
        ...

    def finish(self, key: str, *, result: str, now: datetime) -> None:
        """Mark the key as done for ever (inserting it where it was never claimed)."""
        ...

    def release(self, key: str, *, owner: str) -> None:
        """Give the key back undone."""
        ...

    # measurements and decisions
    def save_report(self, report: Report) -> None:
        """Insert or replace by (`model`, `kind`, `batch_id`, `version`)."""
        ...

    def reports(self, model: str, kind: ReportKind, *, version: int | None = None) -> list[Report]:
        """Ordered by `as_of`, then creation."""
        ...

    def newest_reports(self, kind: ReportKind) -> list[Report]:
        """Of each model and version, the last on a counting batch whose verdict is not `unknown`.

        Ordered by model, then `as_of`; their bodies are empty.
        """
        ...

    def save_decision(self, decision: Decision) -> None: ...
    def decisions(self, model: str) -> list[Decision]:
        """Ordered by creation."""
        ...

    # approvals and promotions
    def approval(self, approval_id: str) -> Approval | None: ...
    def approvals(
        self, model: str | None = None, *, status: ApprovalStatus | None = None, bundle: str | None = None
    ) -> list[Approval]:
        """Ordered by creation."""
        ...

    def open_approval(self, approval: Approval) -> bool:
        """Insert; False when the id is there already. Older pending ones of the model become superseded."""
        ...

    def settle(
        self,
        approval_id: str,
        status: ApprovalStatus,
        *,
        who: str,
        source: str,
        reason: str | None,
        now: datetime,
    ) -> bool:
        """Compare-and-set from `pending`; False when it was not pending any more."""
        ...

    def annotate_approval(
        self,
        approval_id: str,
        *,
        flow_run_id: str | None = None,
        outcome: str | None = None,
        woken_at: datetime | None = None,
    ) -> None:
        """Set what is given; the decision itself cannot be changed."""
        ...

    def append_transition(self, transition: Transition) -> None: ...
    def transitions(self, model: str | None = None, *, every: bool = False) -> list[Transition]:
        """Moves of the champion alias, with `every` those of challengers and of the archive too; by `seq`."""
        ...


class Ledger(Protocol):
    """The SQL record of everything that happened."""

    def begin(self) -> AbstractContextManager[LedgerTransaction]:
        """Open a write transaction; commits at the end of the block, rolls back on an exception.

        Raises:
            ServiceUnavailable: the database cannot be reached or stays locked.
        """
        ...
