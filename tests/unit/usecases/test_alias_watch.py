"""An alias that was moved by hand in MLflow is noticed, reported once, and adopted or reverted on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnlib.errors import DecisionRefused, NoChampion, ReleaseCorrupt
from churnlib.events import Event
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION
from churnlib.usecases.alias_watch import AliasEdit, look, settle_aliases, watch_aliases
from churnlib.usecases.by_hand import rollback
from churnlib.usecases.lifecycle import LEASE_SECONDS, challenge, champion_or_first, crown
from churnlib.usecases.switching import promote
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, run

EDITED = "churn.alias.edited"


@pytest.fixture
def kept(loop: Loop, release: Path) -> Loop:
    """Champions 1 and 2 on record, and version 3."""
    return prepared(loop, release)


def prepared(loop: Loop, release: Path) -> Loop:
    first = loop.registry.version(MODEL, 1)
    assert first is not None
    crown(loop.services, run(), first, why="first version of this model")
    for number in (2, 3):
        loop.register(release, key=f"key-{number}", alias=None)
    promote(loop.services, run(), model=MODEL, version=2, reason="by order", sure=True)
    return loop


def watch(loop: Loop) -> list[AliasEdit]:
    loop.clock.move(minutes=5)
    return watch_aliases(loop.services, run("watchdog"))


def settle(loop: Loop, *, adopt: bool, reason: str = "night shift") -> list[AliasEdit]:
    return settle_aliases(loop.services, run(who="ann"), model=MODEL, adopt=adopt, reason=reason)


def aliases(loop: Loop) -> dict[str, int]:
    return {alias: each.version for each in loop.registry.versions(MODEL) for alias in each.aliases}


def edits(loop: Loop) -> list[Event]:
    return [*loop.sent(EDITED), *(event for event in loop.unsent() if event.type.name == EDITED)]


def test_what_the_record_made_is_no_edit(kept: Loop) -> None:
    assert watch(kept) == []
    rollback(kept.services, run(), model=MODEL, reason="complaints")
    assert watch(kept) == []
    assert edits(kept) == []


def test_a_champion_set_by_hand_is_reported_once_with_what_to_do(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    [edit] = watch(kept)
    assert (edit.alias, edit.recorded, edit.found, edit.is_new) == (CHAMPION, 2, 3, True)
    assert edit.text == "The alias champion of telly was set by hand: MLflow says v3, the record says v2."
    assert "--adopt" in edit.hint
    assert "--revert" in edit.hint
    [again] = watch(kept)
    assert not again.is_new
    [event] = edits(kept)
    assert event.type.name == EDITED
    assert (event.payload["alias"], event.payload["version"], event.payload["recorded_version"]) == (
        CHAMPION,
        3,
        2,
    )


def test_it_is_reported_once_without_a_bus_too(kept: Loop) -> None:
    kept.bus.is_down = True
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    assert [[edit.is_new for edit in watch(kept)] for _ in range(2)] == [[True], [False]]
    assert len(edits(kept)) == 1


def test_until_it_is_settled_the_version_that_the_registry_names_is_champion(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    watch(kept)
    assert kept.services.champion(MODEL).version == 3
    assert kept.champion() == 3


def test_an_edit_that_is_adopted_is_on_record_by_the_person_who_did(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    watch(kept)
    [settled] = settle(kept, adopt=True)
    entry = kept.transitions()[-1]
    assert (entry.kind, entry.from_version, entry.to_version) == ("adoption", 2, 3)
    assert (entry.who, entry.why) == ("ann", "night shift")
    assert aliases(kept) == {CHAMPION: 3, FORMER_CHAMPION: 2}
    assert kept.sent("churn.champion.changed")[-1].payload["kind"] == "adoption"
    assert watch(kept) == []
    assert rollback(kept.services, run(), model=MODEL, reason="no").entry.to_version == 2
    assert settled.found == 3


def test_an_edit_that_is_reverted_is_moved_back_by_the_one_function(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    settle(kept, adopt=False)
    entry = kept.transitions()[-1]
    assert (entry.kind, entry.from_version, entry.to_version, entry.who) == ("reversal", 3, 2, "ann")
    assert aliases(kept) == {CHAMPION: 2, FORMER_CHAMPION: 1}
    assert watch(kept) == []
    assert rollback(kept.services, run(), model=MODEL, reason="no").entry.to_version == 1


def test_the_same_edit_after_it_was_settled_is_a_new_one(kept: Loop) -> None:
    for count in (1, 2):
        kept.registry.set_alias(MODEL, CHAMPION, 3)
        assert [edit.is_new for edit in watch(kept)] == [True]
        assert len(edits(kept)) == count
        settle(kept, adopt=False)


def test_an_edit_that_is_undone_by_hand_is_closed_and_the_next_one_reported(kept: Loop) -> None:
    for count in (1, 2):
        kept.registry.set_alias(MODEL, CHAMPION, 3)
        assert [edit.is_new for edit in watch(kept)] == [True]
        kept.registry.set_alias(MODEL, CHAMPION, 2)
        assert watch(kept) == []
        assert len(edits(kept)) == count


def test_an_edit_of_an_edit_is_reported_anew(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    watch(kept)
    kept.registry.set_alias(MODEL, CHAMPION, 1)
    [edit] = watch(kept)
    assert (edit.found, edit.is_new) == (1, True)


def test_a_deleted_champion_alias_is_reported_and_can_be_put_back(kept: Loop) -> None:
    kept.registry.delete_alias(MODEL, CHAMPION)
    [edit] = watch(kept)
    assert edit.text == "The alias champion of telly was deleted by hand: the record says v2."
    assert edit.hint == "Nothing can be scored until it is back: churn alias telly --revert."
    with pytest.raises(DecisionRefused, match="no champion to adopt"):
        settle(kept, adopt=True)
    settle(kept, adopt=False)
    assert kept.champion() == 2


def test_a_deleted_champion_is_reported_with_the_way_to_the_one_before(kept: Loop) -> None:
    kept.registry.delete_version(MODEL, 2)
    [edit] = watch(kept)
    assert edit.is_gone
    assert edit.text == "The champion of telly, v2, was deleted from the registry by hand."
    assert "churn rollback telly" in edit.hint
    with pytest.raises(ReleaseCorrupt, match="Version 2 of telly was deleted"):
        settle(kept, adopt=False)
    rollback(kept.services, run(), model=MODEL, reason="v2 was deleted")
    assert watch(kept) == []
    assert aliases(kept) == {CHAMPION: 1}


def test_no_new_version_takes_the_place_of_a_champion_whose_alias_is_gone(kept: Loop) -> None:
    kept.registry.delete_alias(MODEL, CHAMPION)
    with pytest.raises(NoChampion, match="the record says v2") as refused:
        champion_or_first(kept.services, run(), MODEL)
    assert "churn alias telly --revert" in refused.value.hint
    for version in (1, 2, 3):
        kept.registry.delete_version(MODEL, version)
    assert champion_or_first(kept.services, run(), MODEL) is None


def test_a_champion_that_no_record_knows_is_reported_and_adopted(loop: Loop) -> None:
    [edit] = watch(loop)
    assert edit.text == "The alias champion of telly was set by hand: MLflow says v1, no record says why."
    with pytest.raises(DecisionRefused, match="no champion to return to"):
        settle(loop, adopt=False)
    settle(loop, adopt=True)
    assert [(entry.kind, entry.from_version, entry.to_version) for entry in loop.transitions()] == [
        ("adoption", None, 1)
    ]
    assert watch(loop) == []


def test_a_corrupt_version_is_not_adopted(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    (kept.registry.fetch(MODEL, 3) / "features.json").write_text("{}")
    with pytest.raises(ReleaseCorrupt, match="Version 3"):
        settle(kept, adopt=True)
    assert len(kept.transitions()) == 2
    assert watch(kept) != []


def test_a_challenger_set_or_taken_away_by_hand_is_noticed_and_settled(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHALLENGER, 3)
    [edit] = watch(kept)
    assert (edit.alias, edit.recorded, edit.found) == (CHALLENGER, None, 3)
    settle(kept, adopt=True)
    assert watch(kept) == []
    kept.registry.delete_alias(MODEL, CHALLENGER)
    assert [(edit.recorded, edit.found) for edit in watch(kept)] == [(3, None)]
    settle(kept, adopt=False, reason="still in the shadow")
    assert aliases(kept)[CHALLENGER] == 3
    kept.registry.delete_alias(MODEL, CHALLENGER)
    settle(kept, adopt=True)
    assert watch(kept) == []
    assert CHALLENGER not in aliases(kept)
    kept.registry.set_alias(MODEL, CHALLENGER, 1)
    settle(kept, adopt=False)
    assert CHALLENGER not in aliases(kept)
    with kept.services.ledger.begin() as tx:
        beside = [entry for entry in tx.transitions(MODEL, every=True) if entry not in tx.transitions(MODEL)]
    assert [(entry.kind, entry.to_version) for entry in beside] == [
        ("challenger", 3),
        ("challenger", 3),
        ("withdrawal", 3),
        ("withdrawal", 1),
    ]


def test_a_challenger_that_a_training_registered_is_no_edit(kept: Loop) -> None:
    third = kept.registry.version(MODEL, 3)
    assert third is not None
    challenge(kept.services, run(), third, why="better by 0.05", closing=lambda tx: None)
    assert watch(kept) == []
    promote(kept.services, run(), model=MODEL, version=3, reason="by order", sure=True)
    assert watch(kept) == []


def test_a_former_champion_moved_by_hand_is_set_right_by_settling(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, FORMER_CHAMPION, 3)
    assert [edit.alias for edit in watch(kept)] == [FORMER_CHAMPION]
    settle(kept, adopt=False)
    assert aliases(kept) == {CHAMPION: 2, FORMER_CHAMPION: 1}
    assert watch(kept) == []


def test_settling_what_stands_is_refused(kept: Loop) -> None:
    with pytest.raises(DecisionRefused, match="stand as the record says"):
        settle(kept, adopt=True)


def test_a_model_whose_aliases_are_being_moved_is_left_for_the_next_time(kept: Loop) -> None:
    kept.registry.set_alias(MODEL, CHAMPION, 3)
    with kept.services.ledger.begin() as tx:
        tx.claim(f"alias:{MODEL}", owner="run-0", now=kept.clock(), lease_seconds=600)
    assert watch(kept) == []
    kept.clock.move(hours=1)
    assert len(watch(kept)) == 1


@pytest.mark.parametrize("adopt", [True, False])
def test_killed_anywhere_and_repeated_an_edit_is_settled_once(make: MakeLoop, release: Path, adopt: bool) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loop = prepared(make(), release)
        loops.append(loop)
        loop.registry.set_alias(MODEL, CHAMPION, 3)
        settle_aliases(process.lend(loop.services), run("run-1"), model=MODEL, adopt=adopt, reason="night shift")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        try:
            settle_aliases(loop.restarted(), run("run-2"), model=MODEL, adopt=adopt, reason="night shift")
        except DecisionRefused as error:
            assert "stand as the record says" in error.message
        expected = ("adoption", 3) if adopt else ("reversal", 2)
        assert [(entry.kind, entry.to_version) for entry in loop.transitions()[2:]] == [expected]
        assert loop.champion() == expected[1]
        assert look(loop.restarted(), run("run-3"), MODEL) == []

    assert kill_everywhere(work, again) >= 10
