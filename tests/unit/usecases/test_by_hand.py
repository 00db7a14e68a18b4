"""A person rolls back to the true predecessor, switches to any version, archives: on record, verified, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from churnlib.errors import ChurnError, DecisionRefused, NoChampion, ReleaseCorrupt
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION
from churnlib.records import Approval, ApprovalStatus, Transition
from churnlib.usecases.alias_watch import watch_aliases
from churnlib.usecases.aliases import ARCHIVED_TAG, ROLLED_BACK_TAG, apply
from churnlib.usecases.by_hand import Moved, archive, rollback
from churnlib.usecases.lifecycle import LEASE_SECONDS, AliasBusy, crown
from churnlib.usecases.promotion import conclude, find_approval, settle
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import Services
from churnlib.usecases.situation import GATE_TAG, HELD, PASSED
from churnlib.usecases.switching import promote
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, batch_frame, run

CHANGED = "churn.champion.changed"


def begin(loop: Loop) -> None:
    """Version 1 has the alias already; this puts it on record."""
    first = loop.registry.version(MODEL, 1)
    assert first is not None
    crown(loop.services, run(), first, why="first version of this model")


def grow(loop: Loop, release: Path, upto: int) -> None:
    """More versions, which nothing points at."""
    for number in range(len(loop.registry.versions(MODEL)) + 1, upto + 1):
        loop.register(release, key=f"key-{number}", alias=None)


def back(loop: Loop, *, to: int | None = None, run_id: str = "run-1") -> int:
    loop.clock.move(minutes=1)
    return rollback(loop.services, run(run_id), model=MODEL, reason="complaints", to=to).entry.to_version


def switch(loop: Loop, version: int, *, sure: bool = True) -> Moved:
    loop.clock.move(minutes=1)
    return promote(loop.services, run(), model=MODEL, version=version, reason="by order", sure=sure)


def ask(loop: Loop, version: int, champion: int | None, approval_id: str = "a1") -> None:
    challenger = loop.registry.version(MODEL, version)
    assert challenger is not None
    approval = Approval(
        approval_id=approval_id,
        model=MODEL,
        challenger=version,
        challenger_run_id=challenger.run_id,
        champion=champion,
        evidence="{}",
        summary="better by 0.05",
        flow_run_id=None,
        created_at=loop.clock(),
        expires_at=loop.clock() + timedelta(hours=24),
    )
    with loop.services.ledger.begin() as tx:
        tx.open_approval(approval)


def aliases(loop: Loop) -> dict[str, int]:
    return {alias: each.version for each in loop.registry.versions(MODEL) for alias in each.aliases}


def moves(loop: Loop) -> list[tuple[str, int | None, int]]:
    return [(entry.kind, entry.from_version, entry.to_version) for entry in loop.transitions()]


def tags(loop: Loop, version: int) -> dict[str, str]:
    found = loop.registry.version(MODEL, version)
    assert found is not None
    return dict(found.tags)


def spoil(loop: Loop, version: int) -> None:
    (loop.registry.fetch(MODEL, version) / "features.json").write_text("{}")


@pytest.fixture
def three(loop: Loop, release: Path) -> Loop:
    """Champions 1, 3 and 5, one after the other, of seven versions."""
    begin(loop)
    grow(loop, release, 7)
    switch(loop, 3)
    switch(loop, 5)
    return loop


# rollback


def test_rolling_back_walks_further_back_each_time_and_stops_at_the_first(three: Loop) -> None:
    assert [back(three), back(three)] == [3, 1]
    with pytest.raises(DecisionRefused, match="no champion before v1"):
        back(three)
    assert three.champion() == 1
    assert moves(three)[-2:] == [("rollback", 5, 3), ("rollback", 3, 1)]


def test_after_a_new_promotion_a_rollback_returns_to_where_that_came_from(three: Loop) -> None:
    assert back(three) == 3
    switch(three, 7)
    assert back(three) == 3
    assert back(three) == 1


def test_a_rollback_is_on_record_announced_and_shown_in_the_registry(three: Loop) -> None:
    moved = rollback(three.services, run(who="ann"), model=MODEL, reason="complaints from the north")
    assert moved.entry == three.transitions()[-1]
    entry = moved.entry
    assert (entry.kind, entry.from_version, entry.to_version) == ("rollback", 5, 3)
    assert (entry.who, entry.why, entry.approval_id, entry.at) == (
        "ann",
        "complaints from the north",
        None,
        three.clock(),
    )
    assert aliases(three) == {CHAMPION: 3, FORMER_CHAMPION: 1}
    assert (
        tags(three, 5)[ROLLED_BACK_TAG] == f"{three.clock():%Y-%m-%d %H:%M} UTC by ann: complaints from the north"
    )
    event = three.sent(CHANGED)[-1]
    assert (event.payload["version"], event.payload["from_version"], event.payload["kind"]) == (3, 5, "rollback")


def test_the_former_champion_is_always_where_the_next_rollback_goes(three: Loop) -> None:
    assert aliases(three)[FORMER_CHAMPION] == 3
    back(three)
    assert aliases(three)[FORMER_CHAMPION] == 1
    back(three)
    assert FORMER_CHAMPION not in aliases(three)


def test_a_rollback_to_an_earlier_champion_skips_those_between(three: Loop) -> None:
    assert back(three, to=1) == 1
    assert aliases(three) == {CHAMPION: 1}


@pytest.mark.parametrize("version", [5, 2, 99])
def test_only_an_earlier_champion_can_be_returned_to(three: Loop, version: int) -> None:
    with pytest.raises(DecisionRefused, match=f"cannot be rolled back to v{version}: .* are v3, v1") as refused:
        back(three, to=version)
    assert f"churn promote {MODEL} {version}" in refused.value.hint
    assert three.champion() == 5


def test_a_corrupt_predecessor_is_refused_even_where_it_was_loaded_before(three: Loop) -> None:
    three.services.release(MODEL, 3)
    spoil(three, 3)
    with pytest.raises(ReleaseCorrupt, match=r"Version 3 of telly: .*features\.json") as refused:
        back(three)
    assert f"churn rollback {MODEL} --to 1" in refused.value.hint
    assert (three.champion(), len(three.transitions())) == (5, 3)
    assert back(three, to=1) == 1


def test_a_predecessor_that_scores_its_probe_otherwise_is_refused(
    three: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churnlib.modelling.release.first_mismatch", lambda *_: Mismatch())
    with pytest.raises(ReleaseCorrupt, match="row 4: the margin"):
        back(three)
    assert three.champion() == 5


class Mismatch:
    row, what, found, expected = 4, "margin", 0.5, 0.7


def test_a_deleted_predecessor_is_refused_and_the_one_before_it_named(three: Loop) -> None:
    three.registry.delete_version(MODEL, 3)
    with pytest.raises(ReleaseCorrupt, match="Version 3 of telly was deleted") as refused:
        back(three)
    assert f"churn rollback {MODEL} --to 1" in refused.value.hint
    assert three.champion() == 5
    assert back(three, to=1) == 1


def test_a_deleted_champion_can_be_rolled_back_from(three: Loop) -> None:
    three.registry.delete_version(MODEL, 5)
    assert back(three) == 3
    assert aliases(three) == {CHAMPION: 3, FORMER_CHAMPION: 1}


def test_a_model_without_a_record_cannot_be_rolled_back(empty: Loop) -> None:
    with pytest.raises(NoChampion):
        back(empty)


def test_a_champion_set_by_hand_has_to_be_settled_before_a_rollback(three: Loop) -> None:
    three.registry.set_alias(MODEL, CHAMPION, 6)
    with pytest.raises(DecisionRefused, match="MLflow says v6, the record says v5") as refused:
        back(three)
    assert "churn alias telly --adopt" in refused.value.hint
    assert three.champion() == 6


@pytest.mark.parametrize(("who", "reason"), [("ann", " "), (" ", "because"), ("ann", "x" * 501)])
def test_a_move_needs_a_name_and_a_reason(three: Loop, who: str, reason: str) -> None:
    with pytest.raises(DecisionRefused):
        rollback(three.services, run(who=who), model=MODEL, reason=reason)
    assert three.champion() == 5


def test_a_request_measured_against_the_champion_that_was_left_promotes_nothing(three: Loop) -> None:
    ask(three, 6, champion=5)
    back(three)
    settle(three.services, "a1", approve=True, who="bob", source="cli", reason=None)
    done = conclude(three.services, run("run-2"), "a1")
    assert done.outcome == "not promoted: the champion moved: it was v5, now it is v3"
    assert three.champion() == 3


def test_while_another_run_moves_the_alias_a_rollback_waits(three: Loop) -> None:
    with three.services.ledger.begin() as tx:
        tx.claim(f"alias:{MODEL}", owner="run-0", now=three.clock(), lease_seconds=600)
    with pytest.raises(AliasBusy, match="run-0"):
        back(three)
    assert three.champion() == 5


@dataclass
class Meanwhile:
    """A `Progress` during which somebody rolls back, once a batch is being scored."""

    act: Callable[[], object]
    is_done: bool = False

    def step(self, text: str) -> None:
        if text.startswith("scoring") and not self.is_done:
            self.is_done = True
            self.act()

    def advance(self, done: int, total: int, unit: str) -> None:
        pass


def test_a_batch_in_flight_keeps_the_version_that_it_began_with(three: Loop) -> None:
    meanwhile = Meanwhile(lambda: back(three))
    path = three.deliver(batch_frame(0), "week-0.csv")
    scored = score_file(three.services, run("score", progress=meanwhile), model=MODEL, path=path)
    assert meanwhile.is_done
    assert (scored.batch.version, three.champion()) == (5, 3)
    rows = three.services.predictions.scan_batch(MODEL, scored.batch.batch_id)
    assert rows is not None
    assert rows.collect()["version"].unique().to_list() == [5]
    following = three.deliver(batch_frame(1), "week-1.csv")
    three.clock.move(days=7)
    assert score_file(three.services, run("score-2"), model=MODEL, path=following).batch.version == 3


# one switch


def test_a_version_that_no_gate_let_pass_needs_a_second_word(loop: Loop, release: Path) -> None:
    begin(loop)
    grow(loop, release, 2)
    with pytest.raises(DecisionRefused, match=r"v2 of telly never passed the gates: .* better than v1") as refused:
        switch(loop, 2, sure=False)
    assert "--yes" in refused.value.hint
    loop.registry.tag(MODEL, 2, {GATE_TAG: HELD})
    with pytest.raises(DecisionRefused, match="never passed"):
        switch(loop, 2, sure=False)
    assert loop.champion() == 1
    moved = switch(loop, 2)
    assert moved.is_judged is False
    assert (moved.entry.kind, moved.entry.approval_id, moved.entry.who) == ("promotion", None, "tester")
    assert aliases(loop) == {CHAMPION: 2, FORMER_CHAMPION: 1}
    assert loop.sent(CHANGED)[-1].payload["kind"] == "promotion"


def test_a_version_that_passed_the_gates_earlier_needs_no_second_word(loop: Loop, release: Path) -> None:
    begin(loop)
    grow(loop, release, 2)
    loop.registry.tag(MODEL, 2, {GATE_TAG: PASSED})
    moved = switch(loop, 2, sure=False)
    assert moved.is_judged is True
    assert moved.entry.approval_id is None


def test_a_switch_to_a_challenger_with_an_open_request_answers_it(loop: Loop, release: Path) -> None:
    begin(loop)
    loop.register(release, key="challenger", alias=CHALLENGER)
    ask(loop, 2, champion=1)
    moved = switch(loop, 2, sure=False)
    assert (moved.is_judged, moved.entry.approval_id, moved.entry.why) == (True, "a1", "by order")
    answered = find_approval(loop.services, "a1")
    assert (answered.status, answered.source, answered.decided_by) == (ApprovalStatus.APPROVED, "hand", "tester")
    assert answered.outcome == "promoted v2"
    assert aliases(loop) == {CHAMPION: 2, FORMER_CHAMPION: 1}


@pytest.mark.parametrize("spent", ["stale", "expired"])
def test_a_request_that_holds_no_more_is_no_judgement(loop: Loop, release: Path, spent: str) -> None:
    begin(loop)
    grow(loop, release, 3)
    ask(loop, 2, champion=1 if spent == "expired" else 3)
    loop.clock.move(hours=25 if spent == "expired" else 1)
    with pytest.raises(DecisionRefused, match="never passed"):
        switch(loop, 2, sure=False)
    assert switch(loop, 2).entry.approval_id is None
    assert find_approval(loop.services, "a1").status is ApprovalStatus.PENDING


def test_a_switch_refuses_what_is_corrupt_gone_archived_or_champion(loop: Loop, release: Path) -> None:
    begin(loop)
    grow(loop, release, 3)
    with pytest.raises(DecisionRefused, match="v1 is champion of telly already"):
        switch(loop, 1)
    with pytest.raises(ReleaseCorrupt, match="Version 9 of telly was deleted"):
        switch(loop, 9)
    spoil(loop, 2)
    with pytest.raises(ReleaseCorrupt, match="Version 2"):
        switch(loop, 2)
    archive(loop.services, run(), model=MODEL, version=3, reason="withdrawn")
    with pytest.raises(DecisionRefused, match="v3 of telly is archived"):
        switch(loop, 3)
    assert (loop.champion(), len(loop.transitions())) == (1, 1)


def test_the_first_champion_can_be_made_by_a_switch(loop: Loop) -> None:
    loop.registry.delete_alias(MODEL, CHAMPION)
    assert switch(loop, 1).entry.from_version is None
    assert aliases(loop) == {CHAMPION: 1}


def test_a_switch_waits_until_a_champion_set_by_hand_is_settled(three: Loop) -> None:
    three.registry.set_alias(MODEL, CHAMPION, 6)
    with pytest.raises(DecisionRefused, match="set by hand"):
        switch(three, 7)
    assert three.champion() == 6


# archive


def every_entry(loop: Loop) -> list[Transition]:
    with loop.services.ledger.begin() as tx:
        return tx.transitions(MODEL, every=True)


def test_an_archived_version_is_tagged_and_can_be_taken_out(three: Loop) -> None:
    archive(three.services, run(who="ann"), model=MODEL, version=2, reason="column withdrawn")
    assert tags(three, 2)[ARCHIVED_TAG].endswith("by ann: column withdrawn")
    archive(three.services, run(), model=MODEL, version=2, reason="column is back", undo=True)
    assert tags(three, 2)[ARCHIVED_TAG] == ""
    assert [entry.kind for entry in every_entry(three)[-2:]] == ["archive", "restoration"]
    assert [entry.kind for entry in three.transitions()] == ["initial", "promotion", "promotion"]


def test_what_scores_cannot_be_archived_nor_what_is_not_archived_taken_out(three: Loop) -> None:
    with pytest.raises(DecisionRefused, match="v5 is champion"):
        archive(three.services, run(), model=MODEL, version=5, reason="no")
    with pytest.raises(DecisionRefused, match="v2 of telly is not archived"):
        archive(three.services, run(), model=MODEL, version=2, reason="no", undo=True)
    with pytest.raises(ChurnError, match="no version 9"):
        archive(three.services, run(), model=MODEL, version=9, reason="no")


# killed anywhere

Command = Callable[[Services, str], object]

COMMANDS: dict[str, tuple[Command, tuple[str, int | None, int], dict[str, int]]] = {
    "rollback": (
        lambda services, run_id: rollback(services, run(run_id), model=MODEL, reason="complaints"),
        ("rollback", 2, 1),
        {CHAMPION: 1},
    ),
    "promote": (
        lambda services, run_id: promote(
            services, run(run_id), model=MODEL, version=3, reason="by order", sure=True
        ),
        ("promotion", 2, 3),
        {CHAMPION: 3, FORMER_CHAMPION: 2},
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_anywhere_and_repeated_a_command_moves_once(make: MakeLoop, release: Path, name: str) -> None:
    command, entry, expected = COMMANDS[name]
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loop = make()
        loops.append(loop)
        begin(loop)
        grow(loop, release, 3)
        switch(loop, 2)
        command(process.lend(loop.services), "run-1")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        try:
            command(loop.restarted(), "run-2")
        except DecisionRefused as error:  # it had been done to the end
            assert "no champion before" in error.message or "already" in error.message
        assert aliases(loop) == expected
        assert moves(loop)[2:] == [entry]
        assert watch_aliases(loop.restarted(), run("run-3")) == []
        assert len({event.key for event in loop.sent(CHANGED)}) == 3
        assert loop.unsent() == []

    assert kill_everywhere(work, again) >= 12


def test_killed_anywhere_the_watchdog_finishes_what_is_on_record(make: MakeLoop, release: Path) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loop = make()
        loops.append(loop)
        begin(loop)
        grow(loop, release, 2)
        switch(loop, 2)
        rollback(process.lend(loop.services), run("run-1"), model=MODEL, reason="complaints")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        assert watch_aliases(loop.restarted(), run("run-2")) == [], "our own half-way move is no edit by hand"
        is_recorded = len(loop.transitions()) == 3
        assert aliases(loop) == ({CHAMPION: 1} if is_recorded else {CHAMPION: 2, FORMER_CHAMPION: 1})
        assert (ROLLED_BACK_TAG in tags(loop, 2)) == is_recorded
        assert len({event.key for event in loop.sent(CHANGED)}) == (3 if is_recorded else 2)

    kill_everywhere(work, again)


def test_an_archive_killed_anywhere_and_repeated_is_recorded_once(make: MakeLoop, release: Path) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loop = make()
        loops.append(loop)
        begin(loop)
        grow(loop, release, 2)
        archive(process.lend(loop.services), run("run-1"), model=MODEL, version=2, reason="withdrawn")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        archive(loop.restarted(), run("run-2"), model=MODEL, version=2, reason="withdrawn")
        assert [entry.kind for entry in every_entry(loop)] == ["initial", "archive"]
        assert tags(loop, 2)[ARCHIVED_TAG]

    kill_everywhere(work, again)


def test_a_hand_that_moved_the_alias_after_a_kill_is_left_and_reported(three: Loop) -> None:
    entry = three.transitions()[-1].model_copy(update={"kind": "rollback", "from_version": 5, "to_version": 3})
    with three.services.ledger.begin() as tx:
        tx.append_transition(entry)  # and killed before the alias moved
    three.registry.set_alias(MODEL, CHAMPION, 6)
    [champion, *_] = watch_aliases(three.services, run("run-2"))
    assert (champion.alias, champion.recorded, champion.found) == (CHAMPION, 3, 6)
    assert three.champion() == 6


def test_a_slow_run_does_not_move_the_alias_past_a_later_move(
    three: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept over its lease between the record and the alias."""
    slept: list[bool] = []

    def overslept(services: Services, entry: Transition) -> None:
        if not slept:
            slept.append(True)
            three.clock.move(seconds=LEASE_SECONDS + 1)
            assert back(three, run_id="run-2") == 3, "the unfinished one is finished"
            assert back(three, run_id="run-2") == 1
        apply(services, entry)

    monkeypatch.setattr("churnlib.usecases.lifecycle.apply", overslept)
    assert back(three) == 3
    assert [entry.to_version for entry in three.transitions()][-2:] == [3, 1]
    assert aliases(three) == {CHAMPION: 1}
    assert watch_aliases(three.services, run("run-3")) == []
