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
from churnlib.governance.evidence import Evidence, markdown
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.promotion import attach, conclude, find_approval, settle
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
def act(services: Services, approval_id: str, key: str | None) -> Approval:
    """Promote, or record why not; repeating it changes nothing."""
    return conclude(services, this_run(), approval_id, key=key)


@flow(name="churn-promotion", flow_run_name="promote {model} v{version}")
def promotion(model: str, version: int, approval_id: str, key: str | None = None) -> State[Any]:
    """Wait for a person's answer to a challenger, then move the champion alias or leave it.

    The answer can be given in this run's "Resume" form, by `churn approve` or by any other door of the
    approvals service: the first one counts. When the champion moved, the version is gone, or the answer
    came too late, nothing is promoted and the reason is recorded.

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
    approval = attach(services, approval_id, flow_run_id=str(flow_run.get_id()))
    if approval.status is ApprovalStatus.PENDING:
        evidence = Evidence.model_validate_json(approval.evidence)
        text = f"### Promote {model} v{version}?\n\n{approval.summary}\n\n{markdown(evidence)}"
        show_text(f"approval {model}", text)
        remaining = (approval.expires_at - services.clock()).total_seconds()
        answer = suspend_flow_run(
            wait_for_input=Answer.with_initial_data(description=text),
            timeout=int(max(remaining, 0)) + GRACE_SECONDS,
            key=f"promotion-{approval_id[:8]}",
        )
        _take_form(services, approval_id, answer)
    done = act(services, approval_id, key)
    return Completed(message=f"{done.outcome} ({done.status.value} by {done.decided_by})", data=done.outcome)


def _take_form(services: Services, approval_id: str, answer: Answer) -> None:
    """The form counts only where nobody answered by another door first."""
    approval = find_approval(services, approval_id)
    if approval.status is not ApprovalStatus.PENDING:
        return
    if not services.spec(approval.model).approval.prefect_form:
        raise DecisionRefused(
            f"{approval.model} does not take answers from the Prefect form.",
            hint="Answer by `churn approve`, or set approval.prefect_form = true in the spec.",
        )
    approve = answer.decision == "approve"
    settle(
        services,
        approval_id,
        approve=approve,
        who=answer.approver,
        source="prefect_ui",
        reason=answer.reason or None,
    )
