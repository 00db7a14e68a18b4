"""What `churn compare` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnlib.governance.side_by_side_words import (
    NAMES,
    paragraphs,
    rows_text,
    setting_text,
    value_text,
    verdict,
)
from flows.output import counted, near, print_json, print_table, say

if TYPE_CHECKING:
    from churnlib.governance.side_by_side import CallChange, Measured, Moves, SideBySide
    from churnlib.modelling.intervals import Interval
    from churnlib.usecases.comparing import Compared

SHOWN = 8
"""Features, and groups of customers, in a table; the page and --json have all."""


def compare_result(compared: Compared, *, as_json: bool) -> None:
    """Words, then tables, then where the page is."""
    found = compared.found
    if as_json:
        return print_json(
            {
                "verdict": verdict(found),
                **found.model_dump(mode="json"),
                "page": None if compared.page is None else str(compared.page),
                "artifacts": list(compared.artifacts),
            }
        )
    say(verdict(found))
    for text in paragraphs(found):
        say(text)
    for gap in found.gaps:
        say(f"Not compared: {gap.what}. {gap.way_out}" if gap.what == "metrics" else f"{gap.why} {gap.way_out}")
    if found.measured is not None:
        _metrics(found, found.measured)
        _slices(found, found.measured)
    if found.calls is not None:
        _calls(found, found.calls)
    _importance(found)
    _footprint(found)
    if found.measured is None:
        _own(found)
    _settings(found)
    _lineage(found)
    _kept(compared)
    return None


def _metrics(found: SideBySide, measured: Measured) -> None:
    chance = measured.evidence.positives / measured.evidence.rows
    print_table(
        f"On {rows_text(measured)}; {measured.evidence.confidence:.0%} intervals",
        [
            {
                "measure": NAMES[each.key][0],
                f"v{found.first}": _with_span(each.first, each.first_interval),
                f"v{found.second}": _with_span(each.second, each.second_interval),
                "difference": _difference(each.difference),
                "what it says": NAMES[each.key][1].format(chance=chance),
            }
            for each in measured.measures
        ],
    )
    for note in measured.notes:
        say(note)


def _slices(found: SideBySide, measured: Measured) -> None:
    slices = measured.evidence.slices
    judged = sorted(
        (each for each in slices if each.difference is not None),
        key=lambda each: each.difference.estimate if each.difference else 0.0,
    )
    if not judged:
        return
    print_table(
        f"AUC where v{found.second} gains least, of {counted(len(judged), 'group')} of customers",
        [
            {
                "group": each.name,
                "customers": each.rows,
                f"v{found.first}": each.auc_champion,
                f"v{found.second}": each.auc_challenger,
                "difference": _difference(each.difference),
            }
            for each in judged[:SHOWN]
        ],
    )


def _calls(found: SideBySide, calls: CallChange) -> None:
    most = sorted(calls.segments, key=lambda each: -(each.entered + each.left))[:SHOWN]
    for title, rows in (
        (f"Call list: the riskiest tenth of {calls.source}; groups that change most", (calls.whole, *most)),
        ("Call list by value", calls.by_value),
    ):
        if rows:
            print_table(title, [_moves_row(found, each) for each in rows])


def _moves_row(found: SideBySide, each: Moves) -> dict[str, object]:
    return {
        "group": " ".join(f"{each.feature} = {each.value}".split())[:60] if each.feature else each.value,
        "customers": each.customers,
        f"v{found.first} calls": each.listed_first,
        f"v{found.second} calls": each.listed_second,
        "enter": each.entered,
        "leave": each.left,
        "value entering": None if each.value_entered is None else round(each.value_entered),
        "value leaving": None if each.value_left is None else round(each.value_left),
    }


def _importance(found: SideBySide) -> None:
    print_table(
        f"Feature importance: share of the trees' gain, first {min(SHOWN, len(found.importance))} of "
        f"{counted(len(found.importance), 'feature')}",
        [
            {"feature": each.label, f"v{found.first}": _share(each.first), f"v{found.second}": _share(each.second)}
            for each in found.importance[:SHOWN]
        ],
        empty="No tree of either version splits by any feature.",
    )


def _footprint(found: SideBySide) -> None:
    first, second = f"v{found.first}", f"v{found.second}"
    rows = [
        {"": pair.name, first: value_text(pair.first), second: value_text(pair.second)} for pair in found.footprint
    ]
    if found.speed is not None:
        speed = found.speed
        rows.append({"": "customers a CPU-second", first: f"{speed.first:,.0f}", second: f"{speed.second:,.0f}"})
        if speed.engines[0] != speed.engines[1]:
            rows.append({"": "trees evaluated by", first: speed.engines[0], second: speed.engines[1]})
    print_table("Size and speed", rows)


def _own(found: SideBySide) -> None:
    print_table(
        "As measured when they were made, each on test rows of its own",
        [
            {
                "measure": NAMES[pair.name][0],
                f"v{found.first}": value_text(pair.first, unknown="not measured"),
                f"v{found.second}": value_text(pair.second, unknown="not measured"),
            }
            for pair in found.own
        ],
    )


def _settings(found: SideBySide) -> None:
    rows = []
    for pair in found.settings:
        first, second = setting_text(pair)
        rows.append({"setting": pair.name, f"v{found.first}": first, f"v{found.second}": second})
    print_table("Parameters and spec: what differs", rows, empty="Parameters and specs are the same.")


def _lineage(found: SideBySide) -> None:
    differing = [pair for pair in found.lineage if pair.differs]
    same = len(found.lineage) - len(differing)
    print_table(
        f"Where they come from ({counted(same, 'fact')} the same)",
        [
            {
                "": pair.name,
                f"v{found.first}": value_text(pair.first),
                f"v{found.second}": value_text(pair.second),
            }
            for pair in differing
        ],
        empty="Both come from the same data, by the same libraries.",
    )


def _kept(compared: Compared) -> None:
    say("")
    if compared.page is not None:
        say(f"Page: {near(compared.page)}")
    if compared.artifacts:
        say(f"Kept in MLflow, with the run of v{compared.found.second}: {', '.join(compared.artifacts)}")
    if compared.note:
        say(compared.note)


def _with_span(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" if interval is None else f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _difference(interval: Interval | None) -> str | None:
    if interval is None:
        return None
    return f"{interval.estimate:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _share(value: float | None) -> str:
    return "not used" if value is None else f"{value:.1%}"
