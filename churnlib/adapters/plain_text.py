"""Text that every store and every terminal takes."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return the text with NUL and lone surrogates as U+FFFD.

    PostgreSQL takes no NUL, and UTF-8 has no surrogates, which Python puts into file names whose
    bytes are not UTF-8. Text without them is returned as it is.
    """
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
