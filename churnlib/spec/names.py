"""What columns are called in every validated frame, and the nearest of some names to a wrong one."""

from __future__ import annotations

import difflib

ID, AS_OF, LABEL, KNOWN_AT = "customer_id", "as_of", "churned", "known_at"
"""Key, date, label and label date in every validated frame, whatever the file calls them."""

RESERVED = frozenset({ID, AS_OF, LABEL, KNOWN_AT})


def nearest(name: str, known: list[str]) -> str:
    """End of a sentence about an unknown name: the name that was meant, or all that there are."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}" if close else f"; known are {', '.join(known)}"
