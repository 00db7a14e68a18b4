"""A comparison of two versions in sentences that need no statistics."""

from __future__ import annotations

from churnlib.governance.side_by_side import CallChange, Measured, Pair, SideBySide, Speed, Value
from churnlib.modelling.metrics import MEANINGS

SAME_SPEED = 1.1
"""Speeds within this factor are called the same: a busy machine is not more exact."""

NAMES = {**MEANINGS, "rows": ("customers", "that it was tested on"), "positives": ("churned", "of those")}
"""Of each metric and of what it was measured on: its name, and what it says in a few words."""


def verdict(found: SideBySide) -> str:
    """Which version is better, in plain words; where that cannot be said, that."""
    if found.measured is None:
        why = next((gap.why for gap in found.gaps if gap.what == "metrics"), "")
        return f"Whether v{found.second} is better than v{found.first} cannot be said yet. {why}".strip()
    return f"{_ranking(found, found.measured)} {_caught(found, found.measured)}"


def paragraphs(found: SideBySide) -> list[str]:
    """What else a person should know, a sentence or two each, the most important first."""
    said = [] if found.measured is None else [_probabilities(found, found.measured), _gates(found, found.measured)]
    if found.calls is not None:
        said.append(_calls(found, found.calls))
    if found.speed is not None:
        said.append(_speed(found, found.speed))
    return said


def rows_text(measured: Measured) -> str:
    """Which customers both were measured on."""
    evidence = measured.evidence
    dates = f"{evidence.first_as_of}"
    if evidence.last_as_of != evidence.first_as_of:
        dates += f" to {evidence.last_as_of}"
    are = evidence.rows_are or "customers"
    return f"{evidence.rows:,} {are} ({measured.source}, {dates}), {evidence.positives:,} of whom churned"


def value_text(value: Value, *, unknown: str = "unknown") -> str:
    """A fact as people write it."""
    if value is None or value == "":
        return unknown
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def setting_text(pair: Pair) -> tuple[str, str]:
    """Both values of a setting; what is not there is a dash."""
    return _setting(pair, pair.first), _setting(pair, pair.second)


def _setting(pair: Pair, value: Value) -> str:
    # a seed is a name, not a quantity
    if isinstance(value, int) and not isinstance(value, bool) and pair.name.endswith("seed"):
        return str(value)
    return value_text(value, unknown="—")


def _ranking(found: SideBySide, measured: Measured) -> str:
    old, new = f"v{found.first}", f"v{found.second}"
    evidence, auc = measured.evidence, measured.measure("auc")
    gap, share = evidence.difference, f"{evidence.confidence:.0%}"
    assert gap is not None
    numbers = f"AUC {auc.first:.3f} and {auc.second:.3f}, {gap.low:+.3f} to {gap.high:+.3f} at {share}"
    if gap.low > 0:
        return f"{new} is better than {old} at finding customers who will leave ({numbers})."
    if gap.high < 0:
        return f"{new} is worse than {old} at finding customers who will leave ({numbers})."
    if gap.low == gap.high == 0:
        return f"{new} ranks customers exactly as {old} does (AUC {auc.first:.3f})."
    return f"{new} and {old} cannot be told apart: their difference is within chance ({numbers})."


def _caught(found: SideBySide, measured: Measured) -> str:
    recall, evidence = measured.measure("recall_top_decile"), measured.evidence
    assert recall.first is not None
    assert recall.second is not None
    first, second = (round(share * evidence.positives) for share in (recall.first, recall.second))
    return (
        f"Of {evidence.positives:,} customers who left, v{found.second} had {second:,} in its riskiest tenth, "
        f"v{found.first} {first:,}."
    )


def _probabilities(found: SideBySide, measured: Measured) -> str:
    error = measured.measure("calibration_error")
    return (
        f"The probabilities of v{found.second} are off by {100 * (error.second or 0):.1f} percentage points on "
        f"average, those of v{found.first} by {100 * (error.first or 0):.1f}."
    )


def _gates(found: SideBySide, measured: Measured) -> str:
    if measured.gates.passed:
        return f"By the rules of the spec, v{found.second} could be proposed to follow v{found.first}."
    reasons = "; ".join(measured.gates.reasons)
    return (
        f"By the rules of the spec, v{found.second} would not be proposed to follow v{found.first} as champion: "
        f"{reasons}."
    )


def _calls(found: SideBySide, calls: CallChange) -> str:
    whole = calls.whole
    if not whole.entered:
        return f"The call list (the riskiest tenth) stays as it is: the same {whole.listed_first:,} customers."
    said = (
        f"Of the {whole.listed_first:,} customers on the call list (the riskiest tenth), {whole.left:,} leave it "
        f"with v{found.second} and {whole.entered:,} others enter"
    )
    if whole.value_left is None or whole.value_entered is None:
        return f"{said}."
    worth = f"those who leave are worth {whole.value_left:,.0f} a year, those who enter {whole.value_entered:,.0f}"
    return f"{said}; {worth}."


def _speed(found: SideBySide, speed: Speed) -> str:
    numbers = f"{speed.second:,.0f} and {speed.first:,.0f} customers a CPU-second"
    if 1 / SAME_SPEED <= speed.ratio <= SAME_SPEED:
        return f"Both score equally fast: {numbers}."
    word, times = ("faster", speed.ratio) if speed.ratio > 1 else ("slower", 1 / speed.ratio)
    return f"v{found.second} scores {times:.1f} times {word} than v{found.first}: {numbers}."
