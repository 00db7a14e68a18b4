"""Requests that are put before a person as one: answered once, then each stands or falls by itself."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.errors import ChurnError, DecisionRefused, ServiceUnavailable
from churnlib.governance.approvals import may_settle, validate_answer
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.fleet import named
from churnlib.usecases.promotion import conclude, find_approval, settle
from churnlib.usecases.services import Run, Services


def together(services: Services, approval_id: str) -> tuple[Approval, ...]:
    """The request of that id (or of the one id that begins so), first, and those that are answered with it.

    Raises:
        DecisionRefused: there is none, or several begin so.
    """
    asked = find_approval(services, approval_id)
    if asked.bundle is None:
        return (asked,)
    with services.ledger.begin() as tx:
        same = tx.approvals(bundle=asked.bundle)
    return (asked, *(each for each in same if each.approval_id != asked.approval_id))


def settle_together(
    services: Services, approval_id: str, *, approve: bool, who: str, source: str, reason: str | None
) -> tuple[Approval, ...]:
    """Record the answer to every request of the bundle that is still open, in one transaction.

    A request that was superseded or answered alone before keeps its own end. Every door ends here, or in
    `promotion.settle` where a single request is meant.

    Returns:
        The requests that this decided.

    Raises:
        DecisionRefused: unknown, or none is open: decided already (by whom and when), expired or superseded.
    """
    asked = together(services, approval_id)
    if len(asked) == 1:
        answered = settle(services, asked[0].approval_id, approve=approve, who=who, source=source, reason=reason)
        return (answered,)
    validate_answer(who, reason)
    now = services.clock()
    opened = [each for each in asked if each.status is ApprovalStatus.PENDING and each.expires_at > now]
    if not opened:
        _refuse(services, asked)
    status = ApprovalStatus.APPROVED if approve else ApprovalStatus.REJECTED
    with services.ledger.begin() as tx:
        won = [
            each.approval_id
            for each in opened
            if tx.settle(each.approval_id, status, who=who, source=source, reason=reason, now=now)
        ]
    if not won:
        _refuse(services, together(services, approval_id))
    return tuple(each for each in together(services, approval_id) if each.approval_id in won)


def attach_together(services: Services, approval_id: str, *, flow_run_id: str) -> tuple[Approval, ...]:
    """Note at each which suspended run waits for the answer; returns them as they stand."""
    with services.ledger.begin() as tx:
        asked = tx.approval(approval_id)
        bundle = None if asked is None else asked.bundle
        same = [approval_id] if bundle is None else [each.approval_id for each in tx.approvals(bundle=bundle)]
        for each in same:
            tx.annotate_approval(each, flow_run_id=flow_run_id)
    return together(services, approval_id)


def conclude_together(
    services: Services, run: Run, approval_id: str, *, key: str | None = None
) -> tuple[Approval, ...]:
    """Act on each answer once: promote, or say why not. Repeating it changes nothing.

    Each is held against what is true for its own model now. One whose aliases somebody moves, or whose release
    does not verify, stops no other.

    Args:
        services: the ports.
        run: who is at work.
        approval_id: of any request of the bundle.
        key: of the event behind it; done once every request is.

    Raises:
        ServiceUnavailable: a service did not answer for some; the others are done.
        ChurnError: some could not be acted on, and are named; or none was answered yet.
    """
    asked = together(services, approval_id)
    if len(asked) == 1:
        return (conclude(services, run, asked[0].approval_id, key=key),)
    decided = [each for each in asked if each.status is not ApprovalStatus.PENDING]
    if not decided:
        conclude(services, run, asked[0].approval_id)
    failed: dict[str, ChurnError] = {}
    for count, each in enumerate(decided, start=1):
        try:
            conclude(services, run, each.approval_id)
        except ChurnError as error:
            failed[each.model] = error
        run.progress.advance(count, len(decided), "models")
    if failed:
        raise _failed(failed, len(decided))
    done = together(services, approval_id)
    if key is not None:
        with services.ledger.begin() as tx:
            tx.finish(key, result=said(done), now=services.clock())
    return done


def said(approvals: Sequence[Approval]) -> str:
    """What came of them, in words."""
    if len(approvals) == 1:
        return approvals[0].outcome or approvals[0].status.value
    return named({each.model: each.outcome or each.status.value for each in approvals})


def _refuse(services: Services, asked: Sequence[Approval]) -> None:
    """Say why none of them can be answered; raises DecisionRefused."""
    for each in asked:
        if each.status is not ApprovalStatus.SUPERSEDED:  # the others say more
            may_settle(each, services.clock())
    may_settle(asked[0], services.clock())
    raise DecisionRefused("These requests changed while you answered.", hint="Look at them again: churn approve.")


def _failed(failed: dict[str, ChurnError], of: int) -> ChurnError:
    kind = ServiceUnavailable if any(isinstance(e, ServiceUnavailable) for e in failed.values()) else ChurnError
    reasons = named({model: str(error) for model, error in failed.items()})
    return kind(
        f"{len(failed)} of {of} answers could not be acted on: {reasons}", hint="The others are; run it again."
    )
