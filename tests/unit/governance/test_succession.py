"""The promotion ledger alone says who was champion when, and to whom a rollback returns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlib.governance.succession import (
    is_archived,
    predecessors,
    recorded_challenger,
    recorded_champion,
    reign_at,
    reigns,
    succession,
)
from churnlib.records import Transition, TransitionKind

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def entry(kind: TransitionKind, left: int | None, version: int, *, day: int = 0) -> Transition:
    return Transition(
        model="telco",
        kind=kind,
        from_version=left,
        to_version=version,
        who="ann",
        why="because",
        at=START + timedelta(days=day),
    )


Move = tuple[TransitionKind, int | None, int]


def story(*moves: Move) -> list[Transition]:
    return [entry(*move, day=day) for day, move in enumerate(moves)]


THREE: tuple[Move, ...] = (("initial", None, 1), ("promotion", 1, 3), ("promotion", 3, 5))


@pytest.mark.parametrize(
    ("moves", "line"),
    [
        ((), ()),
        (THREE, (1, 3, 5)),
        ((*THREE, ("rollback", 5, 3)), (1, 3)),
        ((*THREE, ("rollback", 5, 3), ("rollback", 3, 1)), (1,)),
        ((*THREE, ("rollback", 5, 3), ("promotion", 3, 7)), (1, 3, 7)),
        ((*THREE, ("rollback", 5, 3), ("promotion", 3, 7), ("rollback", 7, 3)), (1, 3)),
        ((*THREE, ("rollback", 5, 1)), (1,)),
        ((*THREE, ("promotion", 5, 3)), (1, 3, 5, 3)),
        ((*THREE, ("promotion", 5, 3), ("rollback", 3, 5)), (1, 3, 5)),
        ((*THREE, ("adoption", 5, 9)), (1, 3, 5, 9)),
        ((*THREE, ("reversal", 9, 5)), (1, 3, 5)),
        ((*THREE, ("challenger", None, 6), ("archive", None, 3)), (1, 3, 5)),
        ((("promotion", 1, 2),), (1, 2)),
        ((("initial", None, 1), ("promotion", 4, 6)), (1, 4, 6)),
    ],
)
def test_the_line_of_champions_is_walked_back_and_not_to_and_fro(
    moves: tuple[Move, ...], line: tuple[int, ...]
) -> None:
    assert succession(story(*moves)) == line


def test_a_rollback_never_goes_to_the_present_champion() -> None:
    assert predecessors(story(*THREE, ("promotion", 5, 3))) == (1, 5)
    assert predecessors(story(("initial", None, 1))) == ()
    assert predecessors([]) == ()


@st.composite
def histories(draw: st.DrawFn) -> list[Transition]:
    """Promotions, rollbacks as the command makes them, and entries beside the champion."""
    entries = story(("initial", None, 1))
    for day in range(1, draw(st.integers(1, 12))):
        present, before = succession(entries)[-1], predecessors(entries)
        what = draw(st.sampled_from(["back", "beside", "forth"]))
        if before and what == "back":
            entries.append(entry("rollback", present, draw(st.sampled_from(before)), day=day))
        elif what == "beside":
            entries.append(entry("challenger", None, draw(st.integers(1, 9)), day=day))
        else:
            version = draw(st.sampled_from([each for each in range(1, 10) if each != present]))
            entries.append(entry("promotion", present, version, day=day))
    return entries


@given(histories())
def test_rolling_back_always_ends_and_passes_no_champion_twice_in_a_row(entries: list[Transition]) -> None:
    assert succession(entries)[-1] == recorded_champion(entries)
    steps = 0
    while before := predecessors(entries):
        entries = [*entries, entry("rollback", succession(entries)[-1], before[-1])]
        assert succession(entries)[-1] == before[-1] == recorded_champion(entries)
        steps += 1
        assert steps <= 12


@given(histories(), st.integers(-2, 15))
def test_every_moment_has_the_champion_that_the_last_move_before_it_made(
    entries: list[Transition], day: int
) -> None:
    at = START + timedelta(days=day)
    before = [each for each in entries if each.at <= at]
    reign = reign_at(entries, at)
    assert (reign.version if reign else None) == recorded_champion(before)
    if reign is not None:
        assert reign.since <= at
        assert reign.until is None or at < reign.until


def test_reigns_follow_one_another_and_the_present_one_is_open() -> None:
    found = reigns(story(*THREE))
    assert [(reign.version, reign.until) for reign in found] == [
        (1, START + timedelta(days=1)),
        (3, START + timedelta(days=2)),
        (5, None),
    ]
    assert found[1].by.kind == "promotion"


def test_the_reversal_of_a_move_by_hand_begins_no_reign() -> None:
    [first, second] = reigns(story(("initial", None, 1), ("promotion", 1, 3), ("reversal", 9, 3)))
    assert (first.until, second.since, second.until) == (second.since, START + timedelta(days=1), None)


def test_before_the_first_move_there_is_no_champion() -> None:
    assert reign_at(story(*THREE), START - timedelta(seconds=1)) is None
    first = reign_at(story(*THREE), START)
    assert first is not None
    assert first.version == 1


def test_a_challenger_is_one_until_it_is_withdrawn_or_crowned() -> None:
    told = story(("initial", None, 1), ("challenger", None, 2))
    assert recorded_challenger(told) == 2
    assert recorded_challenger([*told, entry("withdrawal", 2, 2)]) is None
    assert recorded_challenger([*told, entry("promotion", 1, 2)]) is None
    assert recorded_challenger([*told, entry("promotion", 1, 3)]) == 2
    assert recorded_challenger([*told, entry("challenger", 2, 4), entry("withdrawal", 2, 2)]) == 4


def test_a_version_is_archived_until_it_is_taken_out() -> None:
    told = story(("archive", None, 2))
    assert is_archived(told, 2)
    assert not is_archived(told, 3)
    assert not is_archived([*told, entry("restoration", None, 2)], 2)
