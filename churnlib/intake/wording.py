"""How refusals and warnings write numbers, lists and near misses."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence


def share_text(share: float) -> str:
    """A share of 1 as a percentage with three digits that count: `26.5 %`, `0.0156 %`."""
    return f"{100 * share:.3g} %"


def number_text(value: float) -> str:
    """A number as people write it in a rule: no trailing `.0`, no exponent below 10^15."""
    whole = value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else f"{value:.10g}"


def counts_text(counts: Mapping[str, int], *, most: int = 5) -> str:
    """`Yes (1,869), No (5,174)`, in the mapping's order, at most so many, then how many more there are."""
    shown = [f"{name} ({rows:,})" for name, rows in list(counts.items())[:most]]
    return listed(shown, total=len(counts))


def listed(shown: Sequence[str], *, total: int | None = None) -> str:
    """A list with commas that says how many of `total` it leaves out."""
    left_out = (len(shown) if total is None else total) - len(shown)
    return ", ".join(shown) + (f" and {left_out:,} more" if left_out else "")


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant, capitals and blanks aside; None if none comes near."""
    by_plain = {other.strip().lower(): other for other in known}
    close = difflib.get_close_matches(name.strip().lower(), list(by_plain), n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def lacking_text(names: Sequence[str], known: Sequence[str], *, most: int = 5) -> str:
    """Names that are not there, each with the nearest that is: `tenur (is 'tenure' meant?)`."""
    shown = []
    for name in names[:most]:
        near = nearest(name, known)
        shown.append(f"{name!r}" + (f" (is {near!r} meant?)" if near else ""))
    return listed(shown, total=len(names))
