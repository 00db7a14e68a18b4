"""A person's answer moves the champion once, from the champion it was given about and from no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from churnlib.errors import ChurnError, DecisionRefused, ReleaseCorrupt
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION, Ledger, LedgerTransaction
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.alias_watch import settle_aliases
from churnlib.usecases.by_hand import rollback
from churnlib.usecases.lifecycle import LEASE_SECONDS
from churnlib.usecases.promotion import (
    attach,
    conclude,
    conclude_forgotten,
    expire_due,
    find_approval,
    settle,
)
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, run

CHANGED = "churn.champion.changed"


def ask(loop: Loop, release: Path, approval_id: str = "a1") -> Approval:
    """Register another version and ask about it, as a retraining does."""
    champion = loop.champion()
    challenger = loop.register(release, key=approval_id, alias=CHALLENGER)
    version = loop.registry.version(MODEL, challenger)
    assert version is not None
    approval = Approval(
        approval_id=approval_id,
        model=MODEL,
        challenger=challenger,
        challenger_run_id=version.run_id,
        champion=champion,
        evidence="{}",
        summary="better by 0.05",
        flow_run_id=None,
        created_at=loop.clock(),
        expires_at=loop.clock() + timedelta(hours=24),
    )
    with loop.services.ledger.begin() as tx:
        tx.open_approval(approval)
    return approval


def answer(
    loop: Loop, *, approve: bool, who: str = "ann", reason: str | None = None, approval_id: str = "a1"
) -> Approval:
    return settle(loop.services, approval_id, approve=approve, who=who, source="cli", reason=reason)


def concluded(loop: Loop, approval_id: str = "a1", *, run_id: str = "run-1") -> str | None:
    return conclude(loop.services, run(run_id), approval_id).outcome


def aliases(loop: Loop) -> dict[str, int]:
    return {alias: each.version for each in loop.registry.versions(MODEL) for alias in each.aliases}


def test_an_approval_moves_the_champion_on_record(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True, reason="looks right")
    assert concluded(loop) == "promoted v2"
    assert aliases(loop) == {CHAMPION: 2, FORMER_CHAMPION: 1}
    [entry] = loop.transitions()
    assert (entry.kind, entry.from_version, entry.to_version) == ("promotion", 1, 2)
    assert (entry.who, entry.why, entry.approval_id) == ("ann", "looks right", "a1")
    [event] = loop.sent(CHANGED)
    assert (event.payload["version"], event.payload["from_version"], event.payload["kind"]) == (2, 1, "promotion")


def test_without_a_reason_the_evidence_is_the_reason(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)
    concluded(loop)
    assert loop.transitions()[0].why == "better by 0.05"


def test_concluding_twice_changes_nothing(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)
    assert [concluded(loop), concluded(loop, run_id="run-2")] == ["promoted v2", "promoted v2"]
    assert len(loop.transitions()) == 1
    assert len(loop.bus.sent) == 1
    assert aliases(loop) == {CHAMPION: 2, FORMER_CHAMPION: 1}


def test_a_rejection_leaves_the_champion_and_drops_the_challenger(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=False, reason="not before the holidays")
    assert concluded(loop) == "not promoted: rejected"
    assert aliases(loop) == {CHAMPION: 1}
    assert loop.transitions() == []
    assert loop.sent(CHANGED) == []


def test_a_champion_that_moved_meanwhile_makes_the_answer_stale(loop: Loop, release: Path) -> None:
    ask(loop, release)
    loop.register(release, key="by hand")
    answer(loop, approve=True)
    assert concluded(loop) == "not promoted: the champion moved: it was v1, now it is v3"
    assert loop.champion() == 3
    assert loop.transitions() == []


def test_a_version_that_is_gone_is_not_promoted(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)
    loop.registry.delete_version(MODEL, 2)
    assert concluded(loop) == "not promoted: version 2 is gone"
    assert aliases(loop) == {CHAMPION: 1}


def test_a_release_that_does_not_verify_is_not_promoted(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)
    (loop.registry.fetch(MODEL, 2) / "features.json").write_text("{}")
    with pytest.raises(ReleaseCorrupt):
        concluded(loop)
    assert loop.champion() == 1
    shutil.copy(release / "features.json", loop.registry.fetch(MODEL, 2))
    assert concluded(loop, run_id="run-2") == "promoted v2"


def test_an_answer_that_comes_too_late_is_refused(loop: Loop, release: Path) -> None:
    ask(loop, release)
    loop.clock.move(hours=24)
    with pytest.raises(DecisionRefused, match="expired"):
        answer(loop, approve=True)
    [closed] = expire_due(loop.services)
    assert closed.approval_id == "a1"
    assert find_approval(loop.services, "a1").status is ApprovalStatus.EXPIRED
    assert [event.type.name for event in loop.bus.sent] == ["churn.approval.expired"]
    assert concluded(loop) == "not promoted: expired"
    assert aliases(loop) == {CHAMPION: 1}


def test_only_what_is_over_expires_and_once(loop: Loop, release: Path) -> None:
    ask(loop, release)
    assert expire_due(loop.services) == []
    loop.clock.move(hours=25)
    assert len(expire_due(loop.services)) == 1
    assert expire_due(loop.services) == []
    assert len(loop.bus.sent) == 1


def test_of_two_people_the_first_wins_and_the_other_is_told_who_and_when(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=False, who="ann")
    loop.clock.move(minutes=5)
    with pytest.raises(DecisionRefused, match="was rejected by ann at 2025-01-06 09:00 UTC already"):
        answer(loop, approve=True, who="bob")
    assert find_approval(loop.services, "a1").decided_by == "ann"


def test_an_answer_overtaken_between_look_and_write_is_told_who_was_faster(loop: Loop, release: Path) -> None:
    ask(loop, release)

    def answered_meanwhile() -> datetime:
        answer(loop, approve=True, who="bob")
        return loop.clock()

    slow = replace(loop.services, clock=answered_meanwhile)  # asked the time after it looked at the request
    with pytest.raises(DecisionRefused, match="by bob"):
        settle(slow, "a1", approve=False, who="ann", source="cli", reason=None)
    assert find_approval(loop.services, "a1").status is ApprovalStatus.APPROVED


def test_a_newer_request_takes_the_place_of_the_older(loop: Loop, release: Path) -> None:
    ask(loop, release, "a1")
    loop.clock.move(hours=1)
    ask(loop, release, "b2")
    with pytest.raises(DecisionRefused, match="superseded"):
        answer(loop, approve=True)
    assert concluded(loop, "a1") == "not promoted: superseded"
    assert aliases(loop) == {CHAMPION: 1, CHALLENGER: 3}
    answer(loop, approve=True, approval_id="b2")
    assert concluded(loop, "b2") == "promoted v3"


def test_nothing_happens_before_the_answer(loop: Loop, release: Path) -> None:
    ask(loop, release)
    with pytest.raises(ChurnError, match="not answered yet"):
        concluded(loop)
    assert aliases(loop) == {CHAMPION: 1, CHALLENGER: 2}


def test_while_another_run_moves_the_alias_this_one_waits(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)
    with loop.services.ledger.begin() as tx:
        tx.claim(f"alias:{MODEL}", owner="run-0", now=loop.clock(), lease_seconds=60)
    with pytest.raises(ChurnError, match="run-0"):
        concluded(loop)
    assert loop.champion() == 1
    loop.clock.move(minutes=2)
    assert concluded(loop) == "promoted v2"


def test_killed_after_the_record_and_rolled_back_it_is_not_promoted_again(make: MakeLoop, release: Path) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make())
        ask(loops[-1], release)
        answer(loops[-1], approve=True)
        conclude(process.lend(loops[-1].services), run("run-1"), "a1")

    def again() -> None:
        loop = loops[-1]
        if not loop.transitions():
            return
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        rollback(loop.services, run("run-2"), model=MODEL, reason="no")  # a person, before the run is repeated
        assert concluded(loop, run_id="run-3") == "promoted v2"
        assert aliases(loop) == {CHAMPION: 1}
        assert [entry.kind for entry in loop.transitions()] == ["promotion", "rollback"]

    kill_everywhere(work, again)


def test_two_runs_of_one_answer_record_one_move(
    loop: Loop, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one overslept its lease between the record and the last alias."""
    ask(loop, release)
    answer(loop, approve=True)
    delete_alias = loop.registry.delete_alias

    def overslept(model: str, alias: str) -> None:
        monkeypatch.undo()
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        assert concluded(loop, run_id="run-2") == "promoted v2"
        delete_alias(model, alias)

    monkeypatch.setattr(loop.registry, "delete_alias", overslept)
    assert concluded(loop) == "promoted v2"
    assert len(loop.transitions()) == 1
    assert len(loop.bus.sent) == 1


@dataclass
class Interrupted:
    """A ledger before whose second transaction something else happens."""

    ledger: Ledger
    meanwhile: Callable[[], object]
    begun: int = 0

    def begin(self) -> AbstractContextManager[LedgerTransaction]:
        self.begun += 1
        if self.begun == 2:
            self.meanwhile()
        return self.ledger.begin()


def test_an_answer_that_another_run_acted_on_meanwhile_is_left(loop: Loop, release: Path) -> None:
    ask(loop, release)
    answer(loop, approve=True)

    def other_run() -> None:
        """Acts after the answer was read and before the alias is claimed, and is taken back."""
        concluded(loop, run_id="run-2")
        loop.registry.set_alias(MODEL, CHAMPION, 1)

    slow = replace(loop.services, ledger=Interrupted(loop.services.ledger, other_run))
    assert conclude(slow, run(), "a1").outcome == "promoted v2"
    assert (loop.champion(), len(loop.transitions())) == (1, 1)


def test_a_version_that_was_made_champion_meanwhile_is_not_promoted_a_second_time(
    loop: Loop, release: Path
) -> None:
    ask(loop, release)
    loop.registry.set_alias(MODEL, CHAMPION, 2)
    settle_aliases(loop.services, run(who="bob"), model=MODEL, adopt=True, reason="night shift")
    answer(loop, approve=True)
    assert concluded(loop) == "not promoted: v2 is champion already"
    assert [entry.kind for entry in loop.transitions()] == ["adoption"]


def test_the_outcome_stands_only_once_the_alias_does(
    loop: Loop, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the outcome scores with the new champion."""
    ask(loop, release)
    answer(loop, approve=True)
    set_alias, seen = loop.registry.set_alias, []

    def looked_at(model: str, alias: str, version: int) -> None:
        seen.append(find_approval(loop.services, "a1").outcome)
        set_alias(model, alias, version)

    monkeypatch.setattr(loop.registry, "set_alias", looked_at)
    concluded(loop)
    assert seen
    assert set(seen) == {None}


@pytest.mark.parametrize(
    ("approve", "outcome", "champion"), [(True, "promoted v2", 2), (False, "not promoted: rejected", 1)]
)
def test_an_answer_whose_command_was_killed_is_acted_on_by_the_watchdog(
    loop: Loop, release: Path, approve: bool, outcome: str, champion: int
) -> None:
    ask(loop, release)
    answer(loop, approve=approve)
    assert conclude_forgotten(loop.services, run("watchdog")) == [], "the command may still be at it"
    loop.clock.move(seconds=LEASE_SECONDS)
    [done] = conclude_forgotten(loop.services, run("watchdog"))
    assert (done.outcome, loop.champion()) == (outcome, champion)
    assert loop.registry.by_alias(MODEL, CHALLENGER) is None
    assert conclude_forgotten(loop.services, run("watchdog")) == []


def test_the_watchdog_leaves_answers_that_a_run_waits_for_and_those_that_fail(loop: Loop, release: Path) -> None:
    ask(loop, release)
    attach(loop.services, "a1", flow_run_id="flow-7")
    answer(loop, approve=True)
    loop.clock.move(hours=1)
    ask(loop, release, "b2")
    answer(loop, approve=True, approval_id="b2")
    (loop.registry.fetch(MODEL, 3) / "features.json").write_text("{}")
    loop.clock.move(hours=1)
    assert conclude_forgotten(loop.services, run("watchdog")) == []
    assert loop.champion() == 1


def test_a_request_is_found_by_the_start_of_its_id(loop: Loop, release: Path) -> None:
    ask(loop, release, "a1-first")
    loop.clock.move(hours=1)
    ask(loop, release, "a1-second")
    assert find_approval(loop.services, "a1-s").approval_id == "a1-second"
    with pytest.raises(DecisionRefused, match="Several"):
        find_approval(loop.services, "a1")
    with pytest.raises(DecisionRefused, match="No approval"):
        find_approval(loop.services, "zz")


def test_the_run_that_waits_is_noted(loop: Loop, release: Path) -> None:
    ask(loop, release)
    assert attach(loop.services, "a1", flow_run_id="flow-7").flow_run_id == "flow-7"
    assert find_approval(loop.services, "a1").status is ApprovalStatus.PENDING


@pytest.mark.parametrize("approve", [True, False])
def test_killed_anywhere_and_run_again_an_answer_has_one_effect(
    make: MakeLoop, release: Path, approve: bool
) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loop = make()
        loops.append(loop)
        ask(loop, release)
        answer(loop, approve=approve)
        conclude(process.lend(loop.services), run("run-1"), "a1", key="event")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        done = conclude(loop.restarted(), run("run-2"), "a1", key="event")
        if approve:
            assert aliases(loop) == {CHAMPION: 2, FORMER_CHAMPION: 1}
        else:
            assert aliases(loop) == {CHAMPION: 1}
        assert done.outcome == ("promoted v2" if approve else "not promoted: rejected")
        assert len(loop.transitions()) == approve
        assert len({event.key for event in loop.sent(CHANGED)}) == approve
        assert loop.unsent() == []

    assert kill_everywhere(work, again) >= (10 if approve else 4)
