"""Ask a named human, wait as long as it takes, and move the champion alias on their word."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from churnlib.errors import DecisionRefused
from churnlib.governance.bundle import question
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.bundles import attach_together, conclude_together, said, settle_together, together
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_text, this_run

GRACE_SECONDS = 900
"""The run waits this much longer than the approval is valid, so that expiry ends it, not a failure."""


class Answer(RunInput):
    """The form behind "Resume" in the Prefect UI; no default, so that nothing is decided by accident."""

    decision: Literal["approve", "reject"]
    approver: str = Field(min_length=2, max_length=80, description="Your name, for the record")
    reason: str = Field(default="", max_length=500, description="Why; needed for a rejection to be useful")


@retried
def act(services: Services, approval_id: str, key: str | None) -> tuple[Approval, ...]:
    """Promote, or record why not; repeating it changes nothing."""
    return conclude_together(services, this_run(), approval_id, key=key)


@flow(name="churn-promotion", flow_run_name="promote {model} v{version}")
def promotion(model: str, version: int, approval_id: str, key: str | None = None) -> State[Any]:
    """Wait for a person's answer to a challenger, then move the champion alias or leave it.

    The answer can be given in this run's "Resume" form, by `churn approve` or by any other door of the
    approvals service: the first one counts. When the champion moved, the version is gone, or the answer
    came too late, nothing is promoted and the reason is recorded. Several slices that were retrained together are
    one question with one answer, and each of them is held against its own champion.

    Args:
        model: Name of the model, as in models/<name>.toml.
        version: Version that is proposed as champion.
        approval_id: The request in the ledger that holds the evidence and receives the answer.
        key: Key of the event that started this run; empty when started by hand.
    """
    services = open_services()
    lease = services.spec(model).approval.valid_hours * 3600 + GRACE_SECONDS
    if handled := acted_on(services, key, lease_seconds=lease):
        return Completed(message=handled)
    asked = attach_together(services, approval_id, flow_run_id=str(flow_run.get_id()))
    if waiting := [each for each in asked if each.status is ApprovalStatus.PENDING]:
        text = question(waiting)
        show_text(f"approval {model}", text)
        remaining = (max(each.expires_at for each in waiting) - services.clock()).total_seconds()
        answer = suspend_flow_run(
            wait_for_input=Answer.with_initial_data(description=text),
            timeout=int(max(remaining, 0)) + GRACE_SECONDS,
            key=f"promotion-{approval_id[:8]}",
        )
        _take_form(services, approval_id, answer)
    done = act(services, approval_id, key)
    return Completed(message=_said(done), data=said(done))


def _said(done: tuple[Approval, ...]) -> str:
    first = done[0]
    return f"{said(done)} ({first.status.value} by {first.decided_by})"


def _take_form(services: Services, approval_id: str, answer: Answer) -> None:
    """The form counts only where nobody answered by another door first."""
    waiting = [each for each in together(services, approval_id) if each.status is ApprovalStatus.PENDING]
    if not waiting:
        return
    if not services.spec(waiting[0].model).approval.prefect_form:
        raise DecisionRefused(
            f"{waiting[0].model} does not take answers from the Prefect form.",
            hint="Answer by `churn approve`, or set approval.prefect_form = true in the spec.",
        )
    approve = answer.decision == "approve"
    settle_together(
        services,
        approval_id,
        approve=approve,
        who=answer.approver,
        source="prefect_ui",
        reason=answer.reason or None,
    )
