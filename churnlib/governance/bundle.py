"""Several requests in words, as one question to a person."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.governance.evidence import Evidence, markdown
from churnlib.records import Approval

IN_FULL = 10
"""So many requests are laid out in full; of more, the table and the sentences have to do."""


def question(approvals: Sequence[Approval]) -> str:
    """What a person is asked, as Markdown: one request with its evidence, or a bundle that lists every model.

    Args:
        approvals: those that are open; at least one.
    """
    if len(approvals) == 1:
        (only,) = approvals
        evidence = Evidence.model_validate_json(only.evidence)
        return f"### Promote {only.model} v{only.challenger}?\n\n{only.summary}\n\n{markdown(evidence)}"
    parts = [
        f"### Promote {len(approvals)} challengers?",
        "One answer decides them all. Each is then promoted only if its champion is still the one that it was "
        "compared with.",
        _table(approvals),
        "\n".join(f"- **{each.model} v{each.challenger}** {each.summary}." for each in approvals),
    ]
    if len(approvals) <= IN_FULL:
        parts += [_in_full(each) for each in approvals]
    return "\n\n".join(parts)


def _table(approvals: Sequence[Approval]) -> str:
    lines = [
        "| model | proposed | champion | AUC | difference | later customers | calibration error |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *(_row(each) for each in approvals)])


def _row(approval: Approval) -> str:
    evidence = Evidence.model_validate_json(approval.evidence)
    old, new, gap = evidence.champion_metrics, evidence.challenger_metrics, evidence.difference
    before = "" if old is None else f"{old.auc:.3f} -> "
    span = "" if gap is None else f"{gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    champion = "none" if approval.champion is None else f"v{approval.champion}"
    cells = (
        approval.model,
        f"v{approval.challenger}",
        champion,
        f"{before}{new.auc:.3f}",
        span,
        f"{evidence.rows:,}",
        f"{new.calibration_error:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def _in_full(approval: Approval) -> str:
    evidence = Evidence.model_validate_json(approval.evidence)
    return f"#### {approval.model} v{approval.challenger}\n\n{markdown(evidence)}"
