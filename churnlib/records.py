"""What the ledger keeps: one class a kind of record, all frozen, all times UTC."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal, get_args

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
        origin: where it was taken from, a path or an `s3://` address; None for one recorded before that was kept.
        rows: rows in the file; `accepted` + `quarantined` once it was checked.
        quarantined_by: rows by reason; a row with two reasons counts in both.
        version: registered version that scored it, the champion then.
        challenger: version that scored along, for a share of the customers or in the shadow.
        run_id: the flow run (or command) that scored it.
        output: where the predictions are.
        reason: why it was refused.
    """

    model: str
    batch_id: str
    source: str
    origin: str | None = None
    as_of: date | None = None
    status: BatchStatus = BatchStatus.ARRIVED
    rows: int = 0
    accepted: int = 0
    quarantined: int = 0
    quarantined_by: dict[str, int] = {}
    version: int | None = None
    challenger: int | None = None
    run_id: str | None = None
    output: str | None = None
    seconds: float | None = None
    received_at: datetime
    scored_at: datetime | None = None
    reason: str | None = None


class KnownVariant(Record):
    """One slice of a family's customers that a delivered file had. Key: `model`.

    Attributes:
        model: name of the registered model that it has, or would have.
        family: name of the spec.
        dimensions: value by dimension.
        first_as_of: of the batch that had it first.
    """

    model: str
    family: str
    dimensions: dict[str, str]
    first_as_of: date


class OutcomeFile(Record):
    """One delivered file of outcomes. Key: (`model`, `file_id`), `file_id` the SHA-256 of its content."""

    model: str
    file_id: str
    source: str
    rows: int
    first_as_of: date
    last_as_of: date
    received_at: datetime


class Contact(Record):
    """One customer chosen by a campaign. Key: (`model`, `campaign_id`, `customer_id`).

    Attributes:
        campaign_id: of the list that was written.
        batch_id: of the scores it was made from; `as_of` is theirs.
        group: `contact` is on the list; `holdout` would have been, and is left alone to be compared with.
        rank: place on the list from 1 on; None in the holdout.
        contacted_on: date of the list.
        probability: of churning, 0 to 1, as scored.
    """

    model: str
    campaign_id: str
    customer_id: str
    batch_id: str
    as_of: date
    group: Literal["contact", "holdout"]
    rank: int | None = None
    contacted_on: date
    probability: float
    value_at_risk: float | None = None


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
        bundle: requests of one bundle are put before a person as one, and one answer decides them all.
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
    bundle: str | None = None


ChampionKind = Literal["initial", "promotion", "rollback", "adoption", "reversal"]
TransitionKind = ChampionKind | Literal["challenger", "withdrawal", "archive", "restoration"]

CHAMPION_KINDS: frozenset[str] = frozenset(get_args(ChampionKind))
"""Transitions after which `to_version` is champion."""


class Transition(Record):
    """One move of an alias, or of the tag that archives a version: the promotion ledger. Ordered by `seq`.

    Attributes:
        kind: of the champion alias: `initial` (the first one), `promotion`, `rollback`, `adoption` of a move
            that somebody made by hand, `reversal` of one. Beside it: `challenger` (the version has that alias
            now), `withdrawal` (it has it no more), `archive`, `restoration`.
        from_version: the version that had the alias before; None where there was none.
        to_version: the version that the move is about.
        who: the person whose word it was.
        approval_id: of the request, with its evidence, that it acts on; None for a move by hand.
    """

    seq: int | None = None
    model: str
    kind: TransitionKind
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
