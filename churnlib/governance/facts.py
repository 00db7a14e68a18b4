"""What can be asked about a version, and how a fact is held against a value that somebody typed."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

Fact = float | str | datetime | tuple[str, ...]
"""A number, a text, a time (UTC), or several texts of which one has to fit."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?")


def compare(fact: Fact, operator: str, value: str) -> bool | None:
    """Whether the fact fits; None where it cannot be said, as of an order of a number and a word.

    Texts are compared without regard to case, and as numbers where both are numbers. A time is compared as far
    as the value goes: a date with the day.

    Args:
        fact: of a version.
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: as typed.
    """
    if isinstance(fact, tuple):
        found = any(text.lower() == value.lower() for text in fact)
        return {"=": found, "!=": not found}.get(operator)
    if isinstance(fact, float) and math.isnan(fact):
        return None
    order = _order(fact, value)
    if order is None:
        return {"=": False, "!=": True}.get(operator)
    return {
        "=": order == 0,
        "!=": order != 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }[operator]


def number(text: str) -> float | None:
    """The number that a text is; None for one that is none, or not finite."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def moment(text: str) -> str | None:
    """A date or time, UTC where no zone is given, as the beginning of an ISO text; None for what is none."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    if given.tzinfo is not None:
        return given.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return text.replace(" ", "T") if _MOMENT.fullmatch(text) else None


def _order(fact: float | str | datetime, value: str) -> int | None:
    """Negative, 0 or positive; None where the two cannot be held against each other."""
    if isinstance(fact, datetime):
        given = moment(value)
        ours = fact.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        return None if given is None else _sign(ours[: len(given)], given)
    theirs, own = number(value), fact if isinstance(fact, float) else number(fact)
    if own is not None and theirs is not None:
        return (own > theirs) - (own < theirs)
    return None if isinstance(fact, float) else _sign(str(fact).lower(), value.lower())


def _sign(ours: str, theirs: str) -> int:
    return (ours > theirs) - (ours < theirs)
