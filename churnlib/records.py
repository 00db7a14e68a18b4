"""What the ledger keeps: one class a kind of record, all frozen, all times UTC."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of everything that crosses a module's border as a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchStatus(StrEnum):
    """Where a batch stands; `superseded` means a later delivery for the same `as_of` was scored."""

    ARRIVED = "arrived"
    SCORED = "scored"
    REFUSED = "refused"
    SUPERSEDED = "superseded"


class Batch(Record):
    """One delivered file of customers. Key: (`model`, `batch_id`).

    Attributes:
        batch_id: SHA-256 of the file's content, hex.
        source: the file's name as delivered.
        rows: rows in the file; `accepted` + `quarantined` once it was checked.
        quarantined_by: rows by reason; a row with two reasons counts in both.
        version: registered version that scored it.
        run_id: the flow run (or command) that scored it.
        output: where the predictions are.
        reason: why it was refused.
    """

    model: str
    batch_id: str
    source: str
    as_of: date | None = None
    status: BatchStatus = BatchStatus.ARRIVED
    rows: int = 0
    accepted: int = 0
    quarantined: int = 0
    quarantined_by: dict[str, int] = {}
    version: int | None = None
    run_id: str | None = None
    output: str | None = None
    seconds: float | None = None
    received_at: datetime
    scored_at: datetime | None = None
    reason: str | None = None


class OutcomeFile(Record):
    """One delivered file of outcomes. Key: (`model`, `file_id`), `file_id` the SHA-256 of its content."""

    model: str
    file_id: str
    source: str
    rows: int
    first_as_of: date
    last_as_of: date
    received_at: datetime


class ReportKind(StrEnum):
    """What a report is about."""

    DRIFT = "drift"
    PERFORMANCE = "performance"


class Report(Record):
    """One measurement of one version on one batch. Key: (`model`, `kind`, `batch_id`, `version`).

    Attributes:
        verdict: drift: stable, watch or drifted; performance: healthy, low or degraded.
        triage: drift: none, inputs_moved, clock or broken_data.
        reason: the verdict in words.
        values: the headline numbers by name.
        body: the full measurement as JSON text.
        run_id: the flow run that measured.
    """

    model: str
    kind: ReportKind
    batch_id: str
    version: int
    as_of: date
    verdict: str
    triage: Literal["none", "inputs_moved", "clock", "broken_data"] = "none"
    reason: str
    values: dict[str, float | None] = {}
    body: str = "{}"
    run_id: str | None = None
    created_at: datetime


class Decision(Record):
    """One answer of the retraining policy, "no" included. Key: `key`, the trigger's."""

    key: str
    model: str
    action: Literal["retrain", "wait"]
    trigger: str
    as_of: date
    reasons: tuple[str, ...]
    run_id: str | None = None
    created_at: datetime


class ApprovalStatus(StrEnum):
    """Where a request for approval stands. Only `pending` can change."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Approval(Record):
    """A request to a named human, bound to the evidence it was made on. Key: `approval_id`.

    Attributes:
        challenger: version proposed; `challenger_run_id` its MLflow run, so that a swapped version shows.
        champion: the version the evidence was measured against; None when there was none.
        evidence: the comparison as JSON text.
        flow_run_id: the suspended run that waits for the answer.
        decided_by: who answered; `source` says by which door (slack, prefect_ui, cli, demo).
        outcome: what came of it: promoted, or why not.
        woken_at: when the suspended run was told.
    """

    approval_id: str
    model: str
    challenger: int
    challenger_run_id: str
    champion: int | None
    evidence: str
    summary: str
    flow_run_id: str | None
    created_at: datetime
    expires_at: datetime
    status: ApprovalStatus = ApprovalStatus.PENDING
    decided_by: str | None = None
    source: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    outcome: str | None = None
    woken_at: datetime | None = None


class Transition(Record):
    """One move of the champion alias: the promotion ledger. Ordered by `seq`."""

    seq: int | None = None
    model: str
    kind: Literal["initial", "promotion", "rollback"]
    from_version: int | None
    to_version: int
    who: str
    why: str
    approval_id: str | None = None
    at: datetime


class Claim(Record):
    """The answer to "may I work on this key?".

    Attributes:
        state: `mine` (go on), `busy` (another run holds it), `done` (it was finished; `result` says how).
    """

    state: Literal["mine", "busy", "done"]
    result: str | None = None
    owner: str | None = None
