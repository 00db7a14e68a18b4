"""A question is read as it is meant, or refused at the character where it goes wrong; nothing is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.governance.facts import Fact, compare, moment, number
from churnlib.governance.where import Both, Comparison, Not, Question, WhereError, comparisons, parse

FACTS: Mapping[str, Fact] = {
    "auc": 0.83,
    "geography": "US",
    "alias": ("champion", "best"),
    "version": 3.0,
    "created": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    "max_depth": "6",
}


def answer(text: str) -> bool | None:
    return parse(text).holds(FACTS.get)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc > 0.8 and geography = US", True),
        ("auc>0.8 AND geography==us", True),
        ("auc > 0.9 or geography = EU or version = 3", True),
        ("auc > 0.9 or auc < 0.8", False),
        ("not auc > 0.9", True),
        ("not (auc > 0.8 and version >= 3)", False),
        ("not not auc > 0.8", True),
        ("version = 3 or version = 4 and auc > 0.99", True),
        ("(version = 3 or version = 4) and auc > 0.99", False),
        ("alias = champion", True),
        ("alias = CHAMPION", True),
        ("alias != challenger", True),
        ("alias != best", False),
        ("geography != 'US'", False),
        ('geography = "US"', True),
        ("max_depth >= 6", True),
        ("max_depth < 10", True),
        ("auc <= 8.3e-1", True),
        ("version > -1", True),
        ("created >= 2026-03-01", True),
        ("created = 2026-03-01", True),
        ("created < 2026-03-01", False),
        ("created > 2026-03-01T09:29", True),
        ("created > '2026-03-01 09:30'", False),
        ("created > 2026-03-01T10:31+01:00", False),
        ("created > 2026-03-01T10:29+01:00", True),
    ],
)
def test_questions_are_answered(text: str, expected: bool) -> None:
    assert answer(text) is expected


@pytest.mark.parametrize(
    "text", ["brier < 1", "not brier < 1", "brier < 1 and auc > 0.8", "brier < 1 or auc > 0.9"]
)
def test_a_version_that_lacks_what_is_asked_is_neither_in_nor_out(text: str) -> None:
    assert answer(text) is None


def test_what_is_known_decides_where_it_can() -> None:
    assert answer("brier < 1 or auc > 0.8") is True
    assert answer("brier < 1 and auc > 0.9") is False


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("", "at its end", "a name is missing"),
        ("auc", "at its end", "'auc' needs a comparison, such as auc = …"),
        ("auc >", "at its end", "the value that 'auc' is compared with is missing"),
        ("auc > 0.8 geography = US", "at character 11, before 'geography = US'", "'and' or 'or' is missing"),
        ("auc > 0.8 and and", "at character 15", "a name is missing"),
        ("(auc > 0.8", "at its end", "the parenthesis of character 1 is not closed"),
        ("auc > 0.8)", "at character 10", "'and' or 'or' is missing"),
        ("auc = 'US", "at character 7", "this quote is not closed"),
        ("auc ! 0.8", "at character 5", "'!' cannot stand"),
        ("not", "at its end", "a name is missing"),
        ("> 0.8", "at character 1", "a name is missing"),
        ("auc > (1)", "at character 7", "the value that 'auc' is compared with is missing"),
        ("auc = not", "at character 7", "the value that 'auc' is compared with is missing"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, at: str, says: str) -> None:
    with pytest.raises(WhereError) as refused:
        parse(text)
    assert at in refused.value.message
    assert says in refused.value.message
    assert refused.value.hint


def test_a_question_without_end_is_refused_and_not_stumbled_over() -> None:
    with pytest.raises(WhereError, match="too deep"):
        parse("(" * 900 + "auc = 1" + ")" * 900)
    with pytest.raises(WhereError, match="too deep"):
        parse("not " * 400 + "auc = 1")
    with pytest.raises(WhereError, match="2,001 characters"):
        parse("x" * 2001)


TEXTS = st.text(max_size=60) | st.lists(
    st.sampled_from(["auc", "not", "and", "or", "(", ")", ">", "=", "!=", "0.8", "'US'", '"', " "]), max_size=15
).map(" ".join)


@given(TEXTS)
@example("auc > 0.8 and (geography = US or not alias = champion)")
def test_any_text_is_read_or_refused_with_a_way_out(text: str) -> None:
    try:
        question = parse(text)
    except ChurnError as error:
        assert error.hint
    else:
        assert question.holds(FACTS.get) in {True, False, None}


NAMES = st.sampled_from([*FACTS, "brier"])
VALUES = st.sampled_from(["0.8", "3", "US", "champion", "2026-03-01", "high", "a b", "and"])
COMPARISONS = st.builds(Comparison, NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), VALUES, st.just(0))
QUESTIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(Not, inner) | st.builds(Both, st.lists(inner, min_size=2, max_size=3).map(tuple), st.booleans())
    ),
    max_leaves=8,
)


def written(question: Question) -> str:
    if isinstance(question, Comparison):
        return f"{question.name} {question.operator} '{question.value}'"
    if isinstance(question, Not):
        return f"not ({written(question.part)})"
    return (" or " if question.is_any else " and ").join(f"({written(part)})" for part in question.parts)


@given(QUESTIONS)
def test_a_question_written_down_and_read_again_means_the_same(question: Question) -> None:
    again = parse(written(question))
    assert again.holds(FACTS.get) == question.holds(FACTS.get)
    assert [each.name for each in comparisons(again)] == [each.name for each in comparisons(question)]


@given(QUESTIONS)
def test_not_is_the_opposite_or_as_unknown(question: Question) -> None:
    found, opposite = question.holds(FACTS.get), Not(question).holds(FACTS.get)
    assert opposite == (None if found is None else not found)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_of_two_numbers_exactly_one_order_holds(fact: float, value: float) -> None:
    held = [compare(fact, operator, repr(value)) for operator in ("<", "=", ">")]
    assert sorted(map(bool, held)) == [False, False, True]
    assert compare(fact, "<=", repr(value)) is (held[0] or held[1])
    assert compare(fact, "!=", repr(value)) is not held[1]


def test_a_number_and_a_word_have_no_order() -> None:
    assert compare(0.8, ">", "high") is None
    assert compare(0.8, "=", "high") is False
    assert compare(float("nan"), ">", "0") is None
    assert compare(("champion",), ">", "a") is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "0x10", "1e999"])
def test_what_is_not_finite_is_no_number(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize("text", ["20260301", "2026-W09-1", "yesterday", "2026-13-01", ""])
def test_only_iso_dates_and_times_are_moments(text: str) -> None:
    assert moment(text) is None
