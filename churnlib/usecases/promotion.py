"""Record a person's answer, and move the champion alias where the answer still holds."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from churnlib.errors import ChurnError, DecisionRefused
from churnlib.events import APPROVAL_EXPIRED, make_event
from churnlib.governance.approvals import check_still_valid, may_settle, validate_answer
from churnlib.governance.succession import recorded_champion
from churnlib.ports import CHAMPION, LedgerTransaction
from churnlib.records import Approval, ApprovalStatus, Transition
from churnlib.usecases.lifecycle import LEASE_SECONDS, move, moving, withdraw
from churnlib.usecases.services import Run, Services, dispatch


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
    outcome = _act(services, run, approval)
    with services.ledger.begin() as tx:
        tx.annotate_approval(approval.approval_id, outcome=outcome)
        if key is not None:
            tx.finish(key, result=outcome, now=services.clock())
    dispatch(services)
    return find_approval(services, approval.approval_id)


def conclude_forgotten(services: Services, run: Run) -> list[Approval]:
    """Act on answers that nobody is left to act on: no run waits for them, and the command was killed."""
    before = services.clock() - timedelta(seconds=LEASE_SECONDS)
    with services.ledger.begin() as tx:
        forgotten = [each for each in tx.approvals() if _is_forgotten(each, before)]
    concluded = []
    for approval in forgotten:
        with suppress(ChurnError):  # it stays as it is, and is tried again
            concluded.append(conclude(services, run, approval.approval_id))
    return concluded


def _is_forgotten(approval: Approval, before: datetime) -> bool:
    is_answered = approval.status in {ApprovalStatus.APPROVED, ApprovalStatus.REJECTED, ApprovalStatus.EXPIRED}
    has_nobody = approval.flow_run_id is None and approval.outcome is None
    return is_answered and has_nobody and approval.decided_at is not None and approval.decided_at <= before


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
    with moving(services, run, approval.model):
        # another run may have ended since the approval was read
        done = find_approval(services, approval.approval_id).outcome
        if done is not None:
            return done
        if approval.status is ApprovalStatus.APPROVED:
            return _promote(services, approval)
        withdraw(
            services,
            model=approval.model,
            version=approval.challenger,
            who=approval.decided_by or "churn",
            why=approval.reason or approval.status.value,
            approval_id=approval.approval_id,
        )
        return f"not promoted: {approval.status.value}"


def _promote(services: Services, approval: Approval) -> str:
    """Move the alias, from the champion that the evidence was measured against and from no other."""
    registry, model, new = services.registry, approval.model, approval.challenger
    outcome = f"promoted v{new}"
    with services.ledger.begin() as tx:
        moves = tx.transitions(model)
    if any(entry.approval_id == approval.approval_id for entry in moves):
        return outcome  # an earlier try recorded it; holding the aliases has finished it, or a later move undid it
    champion = registry.by_alias(model, CHAMPION)
    current = champion.version if champion else None
    if current != new:  # equal: somebody moved it there by hand; only the record is missing
        version = registry.version(model, new)
        stale = check_still_valid(
            approval, champion_now=current, challenger_run_id_now=version.run_id if version else None
        )
        if stale is not None:
            return f"not promoted: {stale}"
        services.release(model, new)  # a release that does not verify is not promoted
    elif recorded_champion(moves) == new:
        return f"not promoted: v{new} is champion already"
    move(
        services,
        Transition(
            model=model,
            kind="promotion",
            from_version=approval.champion,
            to_version=new,
            who=approval.decided_by or "",
            why=approval.reason or approval.summary,
            approval_id=approval.approval_id,
            at=services.clock(),
        ),
        closing=lambda tx: tx.annotate_approval(approval.approval_id, outcome=outcome),
    )
    return outcome
