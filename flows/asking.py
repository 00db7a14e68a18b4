"""Ask the person at the terminal, while the other doors stay open."""

from __future__ import annotations

import getpass
import select
import sys

from churnlib.errors import DecisionRefused
from churnlib.governance.evidence import Evidence, markdown
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.promotion import find_approval, settle
from churnlib.usecases.services import Services
from flows.output import console, print_markdown

POLL_SECONDS = 0.5


def is_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def ask(services: Services, approval: Approval, form_url: str) -> None:
    """Show the evidence and wait for an answer: here, in the Prefect form, or by `churn approve`."""
    out = console(to_stderr=True)
    out.rule(f"Approve {approval.model} v{approval.challenger}?")
    print_markdown(markdown(Evidence.model_validate_json(approval.evidence)), to_stderr=True)
    out.print(f"{approval.summary}\n")
    out.print(f"Answer here, or press Resume in the Prefect form: {form_url}")
    out.print("[bold](a)[/]pprove or [bold](r)[/]eject? ", end="")
    while find_approval(services, approval.approval_id).status is ApprovalStatus.PENDING:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        if readable:
            _answer(services, approval, sys.stdin.readline().strip().lower())
    settled = find_approval(services, approval.approval_id)
    out.print(f"\n{settled.status.value} by {settled.decided_by} ({settled.source})")


def _answer(services: Services, approval: Approval, said: str) -> None:
    out = console(to_stderr=True)
    if said[:1] not in {"a", "r"}:
        out.print("Type a or r: ", end="")
        return
    reason = None
    if said[:1] == "r":
        out.print("Why? ", end="")
        reason = sys.stdin.readline().strip() or "no reason given"
    try:
        settle(
            services,
            approval.approval_id,
            approve=said[:1] == "a",
            who=getpass.getuser(),
            source="demo",
            reason=reason,
        )
    except DecisionRefused as error:
        out.print(str(error))
