"""What the use cases need from the outside, as protocols. Adapters fulfil them; fakes in tests do too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import polars as pl

from churnlib.events import Event
from churnlib.records import (
    Approval,
    ApprovalStatus,
    Batch,
    Claim,
    Decision,
    OutcomeFile,
    Report,
    ReportKind,
    Transition,
)

CHAMPION, CHALLENGER, FORMER_CHAMPION = "champion", "challenger", "former-champion"


class LedgerTransaction(Protocol):
    """Reads and writes of one transaction. All of it is kept, or none."""

    # batches
    def batch(self, model: str, batch_id: str) -> Batch | None: ...
    def batches(self, model: str | None = None, *, until: date | None = None) -> list[Batch]:
        """Ordered by `as_of` (nulls last), then arrival. `until` is inclusive."""
        ...

    def save_batch(self, batch: Batch) -> None:
        """Insert or replace by (`model`, `batch_id`)."""
        ...

    # outcomes
    def outcome_file(self, model: str, file_id: str) -> OutcomeFile | None: ...
    def save_outcome_file(self, file: OutcomeFile) -> None: ...

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

    def save_decision(self, decision: Decision) -> None: ...
    def decisions(self, model: str) -> list[Decision]:
        """Ordered by creation."""
        ...

    # approvals and promotions
    def approval(self, approval_id: str) -> Approval | None: ...
    def approvals(self, model: str | None = None, *, status: ApprovalStatus | None = None) -> list[Approval]:
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
    def transitions(self, model: str | None = None) -> list[Transition]:
        """Ordered by `seq`."""
        ...


class Ledger(Protocol):
    """The SQL record of everything that happened."""

    def begin(self) -> AbstractContextManager[LedgerTransaction]:
        """Open a write transaction; commits at the end of the block, rolls back on an exception.

        Raises:
            ServiceUnavailable: the database cannot be reached or stays locked.
        """
        ...


class BatchTable(Protocol):
    """A table of rows that come and go by the batch. Key: (`model`, `batch_id`)."""

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, replacing what an earlier try left; atomic. Returns where they are."""
        ...

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out; nothing happens when there are none."""
        ...

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, lazily; None when there is no batch."""
        ...

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None: ...


@dataclass(frozen=True)
class ModelVersion:
    """One registered version.

    Attributes:
        metrics: of its MLflow run; test metrics are named as in `Metrics`.
        tags: of the version.
    """

    model: str
    version: int
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registration:
    """Everything a registry needs to make a version of a release.

    Attributes:
        key: registering the same key again returns the version that is there.
        release: folder with the complete release.
        plots: folder with pictures and reports for people; may be empty.
        inputs: delivered columns by name: `double`, `string`, `boolean` or `datetime`, and whether
            the column has to be there.
        source: where the training rows came from, for MLflow's dataset record.
    """

    model: str
    experiment: str
    key: str
    release: Path
    plots: Path | None
    inputs: Mapping[str, tuple[str, bool]]
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    source: str
    source_digest: str
    training_rows: int


class ModelRegistry(Protocol):
    """Versions, aliases and the runs they came from.

    Every method raises ServiceUnavailable when the registry cannot be reached.
    """

    def register(self, registration: Registration) -> ModelVersion: ...
    def versions(self, model: str) -> list[ModelVersion]:
        """Newest first; empty for an unknown model."""
        ...

    def models(self) -> list[str]: ...
    def version(self, model: str, version: int) -> ModelVersion | None:
        """None when there is none, or it was deleted."""
        ...

    def by_alias(self, model: str, alias: str) -> ModelVersion | None: ...
    def set_alias(self, model: str, alias: str, version: int) -> None: ...
    def delete_alias(self, model: str, alias: str) -> None: ...
    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None: ...
    def fetch(self, model: str, version: int) -> Path:
        """A local folder with the release's files, unverified; kept between calls."""
        ...

    def log_metrics(self, model: str, version: int, metrics: Mapping[str, float], *, step: int) -> None:
        """Write measurements to the version's run, one point a step."""
        ...

    def log_artifact(self, model: str, version: int, file: Path, folder: str) -> None: ...


class EventBus(Protocol):
    """Carries events to whoever is triggered by them."""

    def emit(self, event: Event) -> None:
        """Deliver one event, confirmed.

        Raises:
            ServiceUnavailable: the bus cannot be reached or did not take it.
        """
        ...


class DriftReporter(Protocol):
    """Makes the drift report that people look at."""

    def write(self, reference: pl.DataFrame, current: pl.DataFrame, destination: Path) -> Path:
        """Write one self-contained HTML page about two samples with the same columns."""
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def step(self, text: str) -> None:
        """Say what is being done now."""
        ...

    def advance(self, done: int, total: int, unit: str) -> None: ...


class Silent:
    """A `Progress` that says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int, unit: str) -> None:
        """Say nothing."""


class Inbox(Protocol):
    """The folders through which files come and go: incoming/, processed/, failed/."""

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait, oldest name first."""
        ...

    def pending_outcomes(self, model: str) -> Sequence[Path]: ...
    def resolve(self, model: str, file: str) -> Path:
        """The path of a file of that model's inbox.

        Raises:
            ChurnError: the name leads out of the inbox, or there is no such file in it or in processed/.
        """
        ...

    def name_of(self, model: str, path: Path) -> str:
        """The name of a waiting file by which `resolve` finds it, wherever it has been moved since."""
        ...

    def owns(self, path: Path) -> bool:
        """Whether the file lies in the inbox (others are never moved)."""
        ...

    def accept(self, model: str, path: Path) -> Path:
        """Move to processed/; a file that was moved already is left where it is."""
        ...

    def refuse(self, model: str, path: Path, error: Mapping[str, object]) -> Path:
        """Move to failed/ with `<name>.error.json` beside it."""
        ...
