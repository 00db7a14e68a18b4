"""What `churn setup` says: a line a part."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.usecases.setting_up import PartReport, State, exit_code
from flows.output import counted, next_step, print_json, say


def setup_result(reports: Sequence[PartReport], *, as_json: bool) -> None:
    """Every part with what it is, or what is wrong with it and how to mend that."""
    code = exit_code(reports)
    if as_json:
        parts = [
            {"part": each.part, "state": each.state.value, "said": each.said, "hint": each.hint}
            for each in reports
        ]
        return print_json({"parts": parts, "is_ready": code == 0})
    width = max(len(state) for state in State), max(len(each.part) for each in reports)
    for each in reports:
        head = f"{each.state:<{width[0]}}  {each.part:<{width[1]}}  "
        say(f"{head}{each.said}" if each.hint is None else f"{head}{each.said} {each.hint}")
    wrong = [each for each in reports if each.hint is not None]
    if wrong:
        say(f"{counted(len(wrong), 'part')} to mend; churn setup can be repeated.")
        return None
    return next_step("up")
