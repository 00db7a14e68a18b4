"""Categories that are probably one and the same, written in two ways."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST_LEVELS = 200
_NEGATIONS = {"no", "not", "non", "none", "never", "without", "un", "other", "unknown"}
_DEGREES = {"very", "low", "high", "half", "semi", "pre", "post", "new", "old", "first", "second", "more", "less"}
_MODIFIERS = _NEGATIONS | _DEGREES
"""Words that make another thing of what they are added to."""


def twin_categories(categories: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of categories that look like twins, each pair in the order given.

    Twins differ in capitals, blanks or punctuation only (`yes`, `Yes `), by one word more (`Phone`,
    `Mobile Phone`), or one is the other's initials (`COD`, `Cash on Delivery`). Columns of more than
    200 categories are not looked at.
    """
    if len(categories) > _MOST_LEVELS:
        return []
    words = [re.findall(r"\w+", category.casefold()) for category in categories]
    return [
        (categories[one], categories[other])
        for one in range(len(categories))
        for other in range(one + 1, len(categories))
        if _are_twins(words[one], words[other], categories[one], categories[other])
    ]


def _are_twins(one: list[str], other: list[str], one_text: str, other_text: str) -> bool:
    if not one or not other:
        return False
    short, long = sorted((one, other), key=len)
    short_text = one_text if short is one else other_text
    return "".join(one) == "".join(other) or _is_one_word_more(short, long) or _are_initials(short_text, long)


def _is_one_word_more(short: list[str], long: list[str]) -> bool:
    if len(long) != len(short) + 1 or len("".join(short)) < 3 or any(word.isdigit() for word in long):
        return False
    added = long[0] if long[1:] == short else long[-1] if long[:-1] == short else None
    return added is not None and not _MODIFIERS & {added, *short}


def _are_initials(text: str, long: list[str]) -> bool:
    return text.isupper() and len(long) >= 2 and text.casefold() == "".join(word[0] for word in long)
