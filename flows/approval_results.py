"""What commands print about requests to a person and their answers."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.records import Approval, ApprovalStatus
from flows.output import next_step, print_json, print_table, say


def open_approvals(approvals: Sequence[Approval], *, as_json: bool) -> None:
    """What waits for a person; requests of one bundle have one answer, and say so by the same mark."""
    marks = dict.fromkeys(each.bundle for each in approvals if each.bundle)
    bundled = {bundle: f"bundle {number}" for number, bundle in enumerate(marks, start=1)}
    if as_json:
        return print_json(
            {"approvals": [each.model_dump(mode="json", exclude={"evidence"}) for each in approvals]}
        )
    print_table(
        "Waiting for a person",
        [
            {
                "id": each.approval_id[:8],
                "model": each.model,
                "proposed": f"v{each.challenger}",
                "champion": "none" if each.champion is None else f"v{each.champion}",
                "until (UTC)": f"{each.expires_at:%Y-%m-%d %H:%M}",
                "together": bundled.get(each.bundle or ""),
            }
            for each in approvals
        ],
        empty="Nothing waits for approval.",
    )
    for each in approvals:
        say(f"{each.approval_id[:8]}: {each.model} v{each.challenger} {each.summary}.")
    if approvals:
        say("")
        note = "   (all of its bundle; or: churn reject)" if approvals[0].bundle else "   (or: churn reject)"
        next_step("approve", approvals[0].approval_id[:8], note=note)
    return None


def answer_result(settled: Sequence[Approval], *, as_json: bool) -> None:
    """What an answer led to: of one request, or of each of a bundle."""
    if as_json:
        told = [each.model_dump(mode="json", exclude={"evidence"}) for each in settled]
        return print_json(told[0] if len(told) == 1 else {"approvals": told})
    for each in settled:
        after = each.outcome or "the run that waits for it acts within seconds"
        by = f" by {each.decided_by}" if each.decided_by else ""
        say(f"{each.model} v{each.challenger}: {each.status.value}{by}; {after}.")
    if settled[0].status is ApprovalStatus.APPROVED:
        next_step("history", settled[0].model)
    return None
