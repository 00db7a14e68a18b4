"""What the retraining policy is asked about."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from churnlib.monitoring.policy import Situation, Trigger
from churnlib.ports import CHAMPION
from churnlib.records import Approval, ApprovalStatus, ReportKind
from churnlib.spec import Spec
from churnlib.usecases.labelled import Matured, matured_of
from churnlib.usecases.services import Services

GATE_TAG, HELD, PASSED = "churn.gate", "held", "passed"
"""Tag of a version that says what the gates said."""

COMPARED_TAG = "churn.compared_with"
"""Tag of a version that says which champion it was compared with."""


def situation_of(
    services: Services, spec: Spec, trigger: Trigger, reason: str, *, matured: Matured | None = None
) -> Situation:
    """What the ledger, the registry and the tables say at this moment.

    A slice without a model of its own is scored by the base model, whose drift says whether its data is broken.

    Args:
        services: the ports.
        spec: of a base model or of a slice.
        trigger: why a training is asked for.
        reason: the trigger in words.
        matured: what the model could learn from, where somebody has looked already.
    """
    champion = services.registry.by_alias(spec.name, CHAMPION)
    release = services.release(spec.name, champion.version) if champion else None
    version = champion.version if champion else None
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.batches(spec.family) if batch.as_of is not None]
        trainings = [entry for entry in tx.decisions(spec.name) if entry.action == "retrain"]
        approvals = tx.approvals(spec.name)
    drift = services.live_reports(spec.name if champion else spec.family, ReportKind.DRIFT, version=version)
    latest = drift[-1] if drift else None
    matured = matured or matured_of(services, spec)
    cutoff = release.cutoff if release else None
    since = _since(services, spec, version, trigger)
    dates = [batch.as_of for batch in batches if batch.as_of is not None]
    following = next((as_of for as_of in dates if not matured.dates or as_of > matured.dates[-1]), None)
    return Situation(
        trigger=trigger,
        as_of=dates[-1] if dates else services.clock().date(),
        triage=latest.triage if latest else "none",
        trigger_reason=reason,
        first_moved=since,
        champion_cutoff=cutoff,
        last_training=trainings[-1].as_of if trainings else None,
        new_matured_snapshots=_fresh(matured.dates, since, cutoff),
        open_challenger=any(_is_open(approval, services.clock()) for approval in approvals),
        rejected_in_a_row=_lost_in_a_row(services, spec, version, approvals),
        horizon_days=spec.horizon_days,
        matured_rows=matured.rows,
        matured_positives=matured.positives,
        next_maturity=following + timedelta(days=spec.horizon_days) if following else None,
    )


def _since(services: Services, spec: Spec, version: int | None, trigger: Trigger) -> date | None:
    """The `as_of` of the first batch of the run of bad ones that this trigger is about."""
    bad = {
        "drift": (ReportKind.DRIFT, {"watch", "drifted"}),
        "performance": (ReportKind.PERFORMANCE, {"low", "degraded"}),
    }
    if trigger not in bad:
        return None
    kind, verdicts = bad[trigger]
    reports = services.live_reports(spec.name, kind, version=version)
    first = None
    for report in reversed(reports):
        if report.verdict not in verdicts:
            break
        first = report.as_of
    return first


def _fresh(matured: tuple[date, ...], since: date | None, cutoff: date | None) -> tuple[date, ...]:
    if since is not None:
        return tuple(as_of for as_of in matured if as_of >= since)
    return tuple(as_of for as_of in matured if cutoff is None or as_of > cutoff)


def _is_open(approval: Approval, now: datetime) -> bool:
    """Whether somebody can still answer; one that ran out blocks nothing, even before it is closed."""
    return approval.status is ApprovalStatus.PENDING and approval.expires_at > now


def _lost_in_a_row(services: Services, spec: Spec, champion: int | None, approvals: list[Approval]) -> int:
    """Versions after the champion that the gates held or a person rejected."""
    rejected = {each.challenger for each in approvals if each.status is ApprovalStatus.REJECTED}
    later = [each for each in services.registry.versions(spec.name) if each.version > (champion or 0)]
    return sum(each.version in rejected or each.tags.get(GATE_TAG) == HELD for each in later)
