"""Every call for a training is answered once, on record, and acted on once."""

from __future__ import annotations

import pytest

from churnlib.errors import ChurnError
from churnlib.monitoring.policy import Trigger
from churnlib.ports import CHALLENGER
from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.promotion import conclude, settle
from churnlib.usecases.retraining import LEASE_SECONDS, RetrainResult, retrain
from churnlib.usecases.situation import situation_of
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, run, small_spec, week, write_spec

KEY = "churn.performance.degraded:telly:x"


def ask(loop: Loop, *, trigger: Trigger = "performance", key: str = KEY, run_id: str = "run-1") -> RetrainResult:
    return retrain(loop.services, run(run_id), model=MODEL, trigger=trigger, reason="because", key=key)


def approvals(loop: Loop) -> list[Approval]:
    with loop.services.ledger.begin() as tx:
        return tx.approvals(MODEL)


def challenger(loop: Loop) -> int | None:
    version = loop.registry.by_alias(MODEL, CHALLENGER)
    return version.version if version else None


def answer(loop: Loop, *, approve: bool) -> None:
    approval_id = approvals(loop)[-1].approval_id
    settle(loop.services, approval_id, approve=approve, who="ann", source="cli", reason=None)
    conclude(loop.services, run(), approval_id)


def test_a_degraded_champion_is_challenged_by_what_learned_from_history(lived: Loop) -> None:
    result = ask(lived)
    assert result.decision.action == "retrain"
    assert lived.decisions() == [result.decision]
    assert result.decision.reasons[0] == "the champion got worse: because"
    assert (result.decision.trigger, result.decision.as_of, result.decision.key) == ("performance", week(5), KEY)
    assert result.trained is not None
    assert result.trained.rows.frame.height == 1500
    assert (lived.champion(), challenger(lived)) == (1, 2)
    assert len(lived.sent("churn.challenger.registered")) == 1
    assert [approval.status for approval in approvals(lived)] == [ApprovalStatus.PENDING]


@pytest.mark.parametrize("answered", [None, True, False])
def test_the_same_key_gives_the_recorded_answer_and_changes_nothing(lived: Loop, answered: bool | None) -> None:
    first = ask(lived)
    if answered is not None:
        answer(lived, approve=answered)
    before = (lived.champion(), challenger(lived), lived.transitions(), approvals(lived), len(lived.bus.sent))
    lived.clock.move(days=1)
    again = ask(lived, run_id="run-2")
    assert (again.decision, again.trained) == (first.decision, None)
    assert len(lived.registry.versions(MODEL)) == 2
    assert lived.decisions() == [first.decision]
    after = (lived.champion(), challenger(lived), lived.transitions(), approvals(lived), len(lived.bus.sent))
    assert after == before


def test_waiting_is_an_answer_on_record_and_stands(lived: Loop) -> None:
    first = ask(lived, trigger="drift")
    assert (first.decision.action, first.trained) == ("wait", None)
    assert first.decision.reasons == ("no input moved: because",)
    assert ask(lived, trigger="drift", run_id="run-2").decision == first.decision
    assert lived.decisions() == [first.decision]
    assert len(lived.registry.versions(MODEL)) == 1
    with lived.services.ledger.begin() as tx:
        claim = tx.claim(KEY, owner="x", now=lived.clock(), lease_seconds=1)
    assert (claim.state, claim.result) == ("done", "no input moved: because")


def test_an_open_request_blocks_another_training_until_its_time_is_over(lived: Loop) -> None:
    ask(lived)
    waits = ask(lived, key="second", trigger="hand").decision
    assert waits.reasons == ("a challenger is in training or awaits a decision",)
    lived.clock.now = approvals(lived)[0].expires_at
    assert ask(lived, key="third", trigger="hand").decision.action == "retrain"


def test_a_training_soon_after_another_has_to_wait(lived: Loop) -> None:
    ask(lived)
    answer(lived, approve=False)
    reasons = ask(lived, key="second").decision.reasons
    assert reasons == ("0 of 14 days since the last training after 1 rejected challenger; over on 2025-02-24",)


def test_a_held_challenger_lengthens_the_pause_like_a_rejected_one(lived: Loop) -> None:
    held = lived.register(lived.registry.fetch(MODEL, 1), key="held", alias=None)
    lived.registry.tag(MODEL, held, {"churn.gate": "held"})
    assert situation_of(lived.services, small_spec(), "performance", "").rejected_in_a_row == 1
    lived.registry.set_alias(MODEL, "champion", held)
    assert situation_of(lived.services, small_spec(), "performance", "").rejected_in_a_row == 0


def test_only_snapshots_since_the_first_bad_week_count_as_new(lived: Loop) -> None:
    situation = situation_of(lived.services, small_spec(), "performance", "")
    assert (situation.first_moved, situation.as_of) == (week(0), week(5))
    assert situation.new_matured_snapshots == tuple(week(number) for number in range(5))
    assert situation.next_maturity == week(6)


def test_a_decision_outlives_a_training_that_failed(lived: Loop) -> None:
    with lived.services.ledger.begin() as tx:
        tx.claim(f"training:{MODEL}", owner="run-0", now=lived.clock(), lease_seconds=60)
    with pytest.raises(ChurnError, match="by run-0"):
        ask(lived)
    lived.clock.move(minutes=2)
    result = ask(lived, run_id="run-2")
    assert result.decision.run_id == "run-1"
    assert len(lived.decisions()) == 1
    assert challenger(lived) == 2


def test_two_runs_of_one_key_do_not_decide_at_once(lived: Loop) -> None:
    with lived.services.ledger.begin() as tx:
        tx.claim(KEY, owner="run-0", now=lived.clock(), lease_seconds=60)
    with pytest.raises(ChurnError, match="run-0 is at work"):
        ask(lived)
    assert lived.decisions() == []


def test_a_run_that_holds_its_event_may_act_on_it(lived: Loop) -> None:
    with lived.services.ledger.begin() as tx:
        tx.claim(KEY, owner="run-1", now=lived.clock(), lease_seconds=60)
    assert ask(lived).trained is not None


def test_killed_anywhere_and_run_again_a_key_trains_one_version(
    make_lived: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churnlib.usecases.training.write_plots", lambda *_: [])  # two thirds of the time
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make_lived())
        write_spec(loops[-1].services.specs, small_spec(training={"max_rounds": 10}))
        services = process.lend(loops[-1].services)
        retrain(services, run("run-1"), model=MODEL, trigger="performance", reason="because", key=KEY)

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        ask(loop, run_id="run-2")
        assert [decision.action for decision in loop.decisions()] == ["retrain"]
        assert len(loop.registry.versions(MODEL)) == 2
        assert (loop.champion(), challenger(loop)) == (1, 2)
        assert len(approvals(loop)) == 1
        assert len({event.key for event in loop.sent("churn.challenger.registered")}) == 1

    assert kill_everywhere(work, again, first=8) >= 12


def test_killed_anywhere_and_run_again_a_first_version_is_crowned_once(
    make_lived: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churnlib.usecases.training.write_plots", lambda *_: [])
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make_lived())
        loops[-1].registry.delete_version(MODEL, 1)
        write_spec(loops[-1].services.specs, small_spec(training={"max_rounds": 10}))
        services = process.lend(loops[-1].services)
        retrain(services, run("run-1"), model=MODEL, trigger="hand", reason="", key=KEY)

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        ask(loop, trigger="hand", run_id="run-2")
        assert loop.champion() == 2
        assert [(entry.kind, entry.to_version) for entry in loop.transitions()] == [("initial", 2)]
        assert len({event.key for event in loop.sent("churn.champion.changed")}) == 1

    assert kill_everywhere(work, again, first=12) >= 12
