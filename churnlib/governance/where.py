"""A small language to ask for versions in: `auc > 0.8 and (geography = US or not alias = champion)`.

    ask         = all { "or" all }
    all         = one { "and" one }
    one         = "not" one | "(" ask ")" | name operator value
    operator    = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
    name, value = a bare word or a quoted text; a value may be a number or a date, such as 2026-03-01

Nothing is run: a question is a tree that is held against a version's own facts. A version that lacks what is asked
about is neither in nor out (as NULL in SQL), so that neither `auc > 0.8` nor `not auc > 0.8` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from churnlib.errors import ChurnError
from churnlib.governance.facts import Fact, compare

Lookup = Callable[[str], Fact | None]
"""A version's fact by name; None where it has none of that name."""

WORDS = frozenset({"and", "or", "not"})
MAX_LENGTH, MAX_DEPTH = 2000, 50

_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<mark>[()]) | (?P<operator>==|!=|<=|>=|=|<|>)
    | (?P<quoted>'[^']*'|"[^"]*") | (?P<word>[^\s()=!<>'"]+)""",
    re.VERBOSE,
)


class WhereError(ChurnError):
    """A question that cannot be read; says at which character."""


@dataclass(frozen=True)
class Token:
    """A part of the text.

    Attributes:
        kind: mark, operator, quoted, word or end.
        text: without quotes.
        at: its first character, from 1 on.
    """

    kind: str
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        """Whether it is this word of the language."""
        return self.kind == "word" and self.text.lower() == word


@dataclass(frozen=True)
class Comparison:
    """One comparison; `at` is the name's place in the text."""

    name: str
    operator: str
    value: str
    at: int

    def holds(self, lookup: Lookup) -> bool | None:
        """Whether it fits the facts; None where they do not say."""
        fact = lookup(self.name)
        return None if fact is None else compare(fact, self.operator, self.value)


@dataclass(frozen=True)
class Not:
    """The opposite; of what is not known, not known."""

    part: Question

    def holds(self, lookup: Lookup) -> bool | None:
        """Whether it fits the facts; None where they do not say."""
        found = self.part.holds(lookup)
        return None if found is None else not found


@dataclass(frozen=True)
class Both:
    """All of the parts (`is_any` false), or any of them."""

    parts: tuple[Question, ...]
    is_any: bool

    def holds(self, lookup: Lookup) -> bool | None:
        """Whether it fits the facts; None where they do not say."""
        found = {part.holds(lookup) for part in self.parts}
        if self.is_any in found:  # one that holds is enough for "or", one that does not for "and"
            return self.is_any
        return None if None in found else not self.is_any


Question = Comparison | Not | Both


def parse(text: str) -> Question:
    """Read a question.

    Raises:
        WhereError: it is empty, too long, nested too deeply, or not of the language; says where.
    """
    if len(text) > MAX_LENGTH:
        raise WhereError(f"The question has {len(text):,} characters.", hint=f"Use at most {MAX_LENGTH:,}.")
    reader = _Reader(text)
    question = reader.ask(0)
    reader.end()
    return question


def misused(text: str, comparison: Comparison, what: str, hint: str) -> WhereError:
    """The error about a comparison that can be read and not be answered."""
    return WhereError(f"The question goes wrong {_place(text, comparison.at)}: {what}.", hint=hint)


def comparisons(question: Question) -> Iterator[Comparison]:
    """Every comparison in it, from left to right."""
    if isinstance(question, Comparison):
        yield question
    elif isinstance(question, Not):
        yield from comparisons(question.part)
    else:
        for part in question.parts:
            yield from comparisons(part)


def tokens(text: str) -> Iterator[Token]:
    """The parts of the text, an end after the last; raises WhereError."""
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            what = "this quote is not closed" if text[place] in "'\"" else f"{text[place]!r} cannot stand"
            raise _wrong(text, place + 1, what)
        kind = found.lastgroup or ""
        if kind != "space":
            yield Token(kind, found[0][1:-1] if kind == "quoted" else found[0], place + 1)
        place = found.end()
    yield Token("end", "", len(text) + 1)


class _Reader:
    """Reads tokens from left to right, one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._next = 0

    def ask(self, depth: int) -> Question:
        """What `or` joins."""
        return self._joined("or", lambda: self._joined("and", lambda: self._one(depth)))

    def end(self) -> None:
        """Nothing may come after the question."""
        if self._peek().kind != "end":
            raise self._wrong(self._peek(), "'and' or 'or' is missing")

    def _joined(self, word: str, read: Callable[[], Question]) -> Question:
        parts = [read()]
        while self._peek().is_word(word):
            self._take()
            parts.append(read())
        return parts[0] if len(parts) == 1 else Both(tuple(parts), is_any=word == "or")

    def _one(self, depth: int) -> Question:
        token = self._take()
        if depth > MAX_DEPTH:
            raise self._wrong(token, f"more than {MAX_DEPTH} levels are too deep")
        if token.is_word("not"):
            return Not(self._one(depth + 1))
        if token.text == "(" and token.kind == "mark":
            inner = self.ask(depth + 1)
            closing = self._take()
            if closing.text != ")" or closing.kind != "mark":
                raise self._wrong(closing, f"the parenthesis of character {token.at} is not closed")
            return inner
        return self._comparison(token)

    def _comparison(self, name: Token) -> Comparison:
        if not _is_text(name):
            raise self._wrong(name, "a name is missing")
        operator = self._take()
        if operator.kind != "operator":
            raise self._wrong(operator, f"{name.text!r} needs a comparison, such as {name.text} = …")
        value = self._take()
        if not _is_text(value):
            raise self._wrong(value, f"the value that {name.text!r} is compared with is missing")
        sign = "=" if operator.text == "==" else operator.text
        return Comparison(name.text, sign, value.text, name.at)

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _wrong(self, token: Token, what: str) -> WhereError:
        return _wrong(self._text, token.at, what)


def _is_text(token: Token) -> bool:
    return token.kind == "quoted" or (token.kind == "word" and token.text.lower() not in WORDS)


def _wrong(text: str, at: int, what: str) -> WhereError:
    return WhereError(
        f"The question cannot be read {_place(text, at)}: {what}.",
        hint="Write it like: auc > 0.8 and (geography = US or not alias = champion).",
    )


def _place(text: str, at: int) -> str:
    return f"at character {at}, before {text[at - 1 : at + 19]!r}" if at <= len(text) else "at its end"
