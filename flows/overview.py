"""The fleet at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from churnlib.settings import Settings
from churnlib.usecases.overview import Line, overview
from flows.commands import open_services
from flows.output import counted, next_step, print_json, print_table, progress, say

MOST_SLICES, MOST_STEPS = 20, 5
"""So many slices of a family are shown where no family is asked for, and so many next steps."""

_SEEN = frozenset({"drifted", "inputs moved", "broken data"})
"""What the column about drift says."""


def models(family: str | None = None, *, as_json: bool) -> None:
    """One row a model, what needs attention first; slices below their base model."""
    services = open_services(Settings())
    with progress() as shown:
        shown.step("looking at the models")
        lines = overview(services, family=family)
    now = services.clock()
    if as_json:
        return print_json({"models": [row_of(line, now) for line in lines]})
    if not lines:
        say("There are no models yet.")
        return next_step("init", "<FILE>", "--id", "<COLUMN>", "--label", "<COLUMN>")
    kept, left_out = (lines, []) if family is not None else shown_lines(lines)
    print_table("", [for_people(row_of(line, now)) for line in kept])
    for text in left_out:
        say(text)
    return _next_steps(lines)


def row_of(line: Line, now: datetime) -> dict[str, object]:
    """The model as JSON has it; `since` is when its champion became that."""
    return {
        "model": line.model,
        "family": line.family,
        "variant": line.variant,
        "champion": line.champion,
        "falls_back": line.falls_back,
        "since": None if line.since is None else line.since.isoformat(timespec="seconds"),
        "age_days": None if line.since is None else (now - line.since).days,
        "by_hand": line.by_hand,
        "challenger": line.challenger,
        "last_batch": None if line.last_batch is None else str(line.last_batch),
        "rows": line.rows,
        "metrics": {"test_auc": line.test_auc, "live_auc": line.live_auc},
        "drift": line.drift,
        "performance": line.performance,
        "approval": None if line.approval is None else line.approval.approval_id,
        "attention": line.attention[1] or None,
    }


def for_people(row: dict[str, object]) -> dict[str, object]:
    """The row as a table has it; which approval is open is told below the table."""
    metrics = row["metrics"]
    assert isinstance(metrics, dict)
    nobody = "none: base" if row["falls_back"] else "none yet"
    return {
        "model": f"  {row['model']}" if row["variant"] else row["model"],
        "champion": nobody if row["champion"] is None else f"v{row['champion']}, {row['age_days']} d",
        "AUC test": metrics["test_auc"],
        "AUC live": metrics["live_auc"],
        "last batch": row["last_batch"],
        "drift": row["drift"],
        "needs": None if row["attention"] in _SEEN else row["attention"],
    }


def shown_lines(lines: Sequence[Line]) -> tuple[list[Line], list[str]]:
    """The lines that fit on a screen, family by family, and a sentence about those of each that do not."""
    kept: list[Line] = []
    left_out: list[str] = []
    for family in dict.fromkeys(line.family for line in lines):
        base, *slices = [line for line in lines if line.family == family]
        own = [line for line in slices if not line.falls_back]
        kept += [base, *own[:MOST_SLICES]]
        said = []
        if more := own[MOST_SLICES:]:
            waiting = sum(line.attention[0] < 9 for line in more)
            said.append(f"{counted(len(more), 'more slice')}, of which {waiting} need attention")
        if fallen := len(slices) - len(own):
            said.append(f"{counted(fallen, 'slice')} without a model, scored by {base.model}")
        if said:
            left_out.append(f"{family}: {'; '.join(said)} (churn models --family {family}).")
    return kept, left_out


def _next_steps(lines: Sequence[Line]) -> None:
    steps: list[tuple[tuple[str, ...], str]] = []
    bundles: set[str] = set()
    for line in lines:
        if line.by_hand:
            steps.append((("alias", line.model), "   (its champion was moved by hand)"))
        elif line.champion is None and not line.variant:
            steps.append((("train", line.model, "--data", "<FILE>"), ""))
        if line.approval is None or line.approval.bundle in bundles:
            continue
        what = f"{line.model} v{line.challenger} waits"
        if line.approval.bundle is not None:
            bundles.add(line.approval.bundle)
            same = sum(
                each.approval is not None and each.approval.bundle == line.approval.bundle for each in lines
            )
            what = f"{what}, with {same - 1} more" if same > 1 else what
        steps.append((("approve", line.approval.approval_id[:8]), f"   ({what})"))
    for command, note in steps[:MOST_STEPS]:
        next_step(*command, note=note)
    if len(steps) > MOST_STEPS:
        say(f"And {counted(len(steps) - MOST_STEPS, 'more step')} of this kind: churn models --json.")
