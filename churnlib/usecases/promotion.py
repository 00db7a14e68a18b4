"""Record a person's answer, and move the champion alias where the answer still holds."""

from __future__ import annotations

from datetime import datetime

from churnlib.errors import ChurnError, DecisionRefused
from churnlib.events import APPROVAL_EXPIRED, CHAMPION_CHANGED, make_event
from churnlib.governance.approvals import check_still_valid, may_settle, validate_answer
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION, LedgerTransaction
from churnlib.records import Approval, ApprovalStatus, Transition
from churnlib.usecases.services import Run, Services, dispatch

LEASE_SECONDS = 120.0


def find_approval(services: Services, approval_id: str) -> Approval:
    """The approval of that id, or of the one id that begins with it.

    Raises:
        DecisionRefused: there is none, or several begin so.
    """
    with services.ledger.begin() as tx:
        exact = tx.approval(approval_id)
        several = [] if exact else tx.approvals()
    found = [exact] if exact else [each for each in several if each.approval_id.startswith(approval_id)]
    if len(found) == 1 and approval_id:
        return found[0]
    raise DecisionRefused(
        f"{'Several approvals begin' if found else 'No approval begins'} with {approval_id!r}.",
        hint="`churn approve` without an id lists the open ones.",
    )


def settle(
    services: Services, approval_id: str, *, approve: bool, who: str, source: str, reason: str | None
) -> Approval:
    """Record the answer: the one compare-and-set that every door ends in.

    Raises:
        DecisionRefused: unknown, decided already (by whom and when), expired or superseded.
    """
    validate_answer(who, reason)
    approval = find_approval(services, approval_id)
    now = services.clock()
    may_settle(approval, now)
    status = ApprovalStatus.APPROVED if approve else ApprovalStatus.REJECTED
    with services.ledger.begin() as tx:
        won = tx.settle(approval.approval_id, status, who=who, source=source, reason=reason, now=now)
    settled = find_approval(services, approval.approval_id)
    if not won:
        may_settle(settled, now)
        raise DecisionRefused(
            f"Approval {approval.approval_id[:8]} changed while you answered.", hint="Look at it again."
        )
    return settled


def attach(services: Services, approval_id: str, *, flow_run_id: str) -> Approval:
    """Note which suspended run waits for this answer; returns the approval as it stands."""
    with services.ledger.begin() as tx:
        tx.annotate_approval(approval_id, flow_run_id=flow_run_id)
    return find_approval(services, approval_id)


def conclude(services: Services, run: Run, approval_id: str, *, key: str | None = None) -> Approval:
    """Act on the answer once: promote, or say why not. Repeating it changes nothing.

    Raises:
        ChurnError: another run is moving this model's alias right now.
    """
    approval = find_approval(services, approval_id)
    if approval.status is ApprovalStatus.PENDING:
        raise ChurnError(
            f"Approval {approval.approval_id[:8]} was not answered yet.",
            hint="Answer it first: churn approve.",
        )
    outcome = approval.outcome or _act(services, run, approval)
    with services.ledger.begin() as tx:
        tx.annotate_approval(approval.approval_id, outcome=outcome)
        if key is not None:
            tx.finish(key, result=outcome, now=services.clock())
    dispatch(services)
    return find_approval(services, approval.approval_id)


def expire_due(services: Services) -> list[Approval]:
    """Close every pending approval whose time is over; returns those closed now."""
    now = services.clock()
    closed = []
    with services.ledger.begin() as tx:
        for approval in tx.approvals(status=ApprovalStatus.PENDING):
            if approval.expires_at <= now and _expire(tx, approval, now):
                closed.append(approval)
    if closed:
        dispatch(services)
    return closed


def _expire(tx: LedgerTransaction, approval: Approval, now: datetime) -> bool:
    event = make_event(
        APPROVAL_EXPIRED,
        model=approval.model,
        subject=approval.approval_id,
        occurred_at=now,
        approval_id=approval.approval_id,
        version=approval.challenger,
    )
    tx.publish(event)
    status = ApprovalStatus.EXPIRED
    return tx.settle(approval.approval_id, status, who="churn", source="clock", reason=None, now=now)


def _act(services: Services, run: Run, approval: Approval) -> str:
    if approval.status is not ApprovalStatus.APPROVED:
        _drop_challenger(services, approval)
        return f"not promoted: {approval.status.value}"
    work = f"alias:{approval.model}"
    with services.ledger.begin() as tx:
        claim = tx.claim(work, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"The champion of {approval.model} is being moved by {claim.owner}.",
            hint="Try again in a minute.",
        )
    try:
        # another run may have ended since the approval was read
        return find_approval(services, approval.approval_id).outcome or _promote(services, approval)
    finally:
        with services.ledger.begin() as tx:
            tx.release(work, owner=run.run_id)


def _promote(services: Services, approval: Approval) -> str:
    """Move the alias, from the champion that the evidence was measured against and from no other."""
    registry, model, new = services.registry, approval.model, approval.challenger
    champion = registry.by_alias(model, CHAMPION)
    current = champion.version if champion else None
    if current != new:  # equal: killed after the alias moved; only the record is missing
        version = registry.version(model, new)
        stale = check_still_valid(
            approval, champion_now=current, challenger_run_id_now=version.run_id if version else None
        )
        if stale is not None:
            return f"not promoted: {stale}"
        services.release(model, new)  # a release that does not verify is not promoted
        if current is not None:
            registry.set_alias(model, FORMER_CHAMPION, current)
        registry.set_alias(model, CHAMPION, new)
    _drop_challenger(services, approval)
    _record(services, approval)
    return _promoted(approval)


def _record(services: Services, approval: Approval) -> None:
    event = make_event(
        CHAMPION_CHANGED,
        model=approval.model,
        subject=approval.approval_id,
        occurred_at=services.clock(),
        version=approval.challenger,
        from_version=approval.champion,
        kind="promotion",
    )
    with services.ledger.begin() as tx:
        done = any(entry.approval_id == approval.approval_id for entry in tx.transitions(approval.model))
        if not done:
            tx.append_transition(
                Transition(
                    model=approval.model,
                    kind="promotion",
                    from_version=approval.champion,
                    to_version=approval.challenger,
                    who=approval.decided_by or "",
                    why=approval.reason or approval.summary,
                    approval_id=approval.approval_id,
                    at=services.clock(),
                )
            )
        tx.publish(event)
        # with the transition, so that a repetition after a rollback does not promote again
        tx.annotate_approval(approval.approval_id, outcome=_promoted(approval))


def _promoted(approval: Approval) -> str:
    return f"promoted v{approval.challenger}"


def _drop_challenger(services: Services, approval: Approval) -> None:
    challenger = services.registry.by_alias(approval.model, CHALLENGER)
    if challenger is not None and challenger.version == approval.challenger:
        services.registry.delete_alias(approval.model, CHALLENGER)
