"""Several requests, one answer: given once, and each request then stands or falls by its own evidence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from churnlib.errors import ChurnError, DecisionRefused
from churnlib.events import CHALLENGER_REGISTERED
from churnlib.governance.bundle import question
from churnlib.governance.evidence import Evidence
from churnlib.governance.gates import GateResult
from churnlib.modelling.intervals import Interval
from churnlib.modelling.metrics import Metrics
from churnlib.ports import CHALLENGER, CHAMPION
from churnlib.records import Approval, ApprovalStatus, KnownVariant
from churnlib.usecases.alias_watch import settle_aliases
from churnlib.usecases.bundles import attach_together, conclude_together, settle_together, together
from churnlib.usecases.lifecycle import AliasBusy, moving
from churnlib.usecases.promotion import expire_due, settle
from churnlib.usecases.proposing import Proposal, ask, weigh
from churnlib.usecases.switching import promote
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, run, small_spec, week

US, EU = f"{MODEL}-us", f"{MODEL}-eu"
FAMILY = (MODEL, EU, US)


def metrics(auc: float) -> Metrics:
    return Metrics(
        rows=1000,
        positives=300,
        auc=auc,
        c_index=auc,
        calibration_slope=1.0,
        pr_auc=0.5,
        log_loss=0.5,
        brier=0.2,
        calibration_error=0.012,
        lift_top_decile=2.0,
        recall_top_decile=0.2,
    )


def evidence(model: str, challenger: int) -> Evidence:
    return Evidence(
        model=model,
        champion=1,
        challenger=challenger,
        rows=1000,
        positives=300,
        first_as_of=week(4),
        last_as_of=week(5),
        cutoff=week(2),
        champion_metrics=metrics(0.7),
        challenger_metrics=metrics(0.8),
        challenger_auc=Interval(estimate=0.8, low=0.78, high=0.82),
        difference=Interval(estimate=0.1, low=0.05, high=0.15),
        confidence=0.95,
        slices=(),
        call_list=None,
    )


def proposals(loop: Loop, release: Path, models: tuple[str, ...] = FAMILY, *, key: str = "k") -> list[Proposal]:
    """Register another version of each model, as trained together and let through by the gates."""
    with loop.services.ledger.begin() as tx:
        tx.save_variants(
            [
                KnownVariant(model=f"{MODEL}-{name}", family=MODEL, dimensions={"plan": name}, first_as_of=week(0))
                for name in ("eu", "us")
            ]
        )
    made = []
    for model in models:
        if loop.registry.by_alias(model, CHAMPION) is None:
            loop.register(release, model=model)
        number = loop.register(release, key=f"{key}:{model}", alias=None, model=model)
        version, champion = (loop.registry.version(model, each) for each in (number, 1))
        assert version is not None
        assert champion is not None
        spec = small_spec(name=model) if model == MODEL else loop.services.spec(model)
        gate = GateResult(passed=True, reasons=("ranks better",))
        shown = evidence(model, number)
        proposal = weigh(loop.services, spec, version, champion, shown, gate, f"{key}:{model}")
        assert proposal is not None
        made.append(proposal)
    return made


@pytest.fixture
def asked(loop: Loop, release: Path) -> list[Approval]:
    return ask(loop.services, run("retrain"), proposals(loop, release))


def answer(loop: Loop, approval: Approval, *, approve: bool = True, who: str = "ann") -> list[str]:
    settled = settle_together(
        loop.services, approval.approval_id[:13], approve=approve, who=who, source="cli", reason="together"
    )
    return sorted(each.model for each in settled)


def statuses(loop: Loop, approval: Approval) -> dict[str, str]:
    return {each.model: each.status.value for each in together(loop.services, approval.approval_id)}


def outcomes(loop: Loop, approval: Approval) -> dict[str, str | None]:
    done = conclude_together(loop.services, run("promotion"), approval.approval_id)
    return {each.model: each.outcome for each in done}


def champions(loop: Loop) -> dict[str, int]:
    return loop.registry.all_with(CHAMPION)


def test_requests_of_one_run_are_one_bundle_announced_once(loop: Loop, asked: list[Approval]) -> None:
    assert len({approval.bundle for approval in asked}) == 1
    assert asked[0].bundle is not None
    with loop.services.ledger.begin() as tx:
        events = [event for event in tx.unsent() if event.type is CHALLENGER_REGISTERED]
    (event,) = events
    assert (event.model, event.payload["approval_id"]) == (MODEL, asked[0].approval_id)
    assert loop.registry.all_with(CHALLENGER) == dict.fromkeys(FAMILY, 2)
    assert statuses(loop, asked[2]) == dict.fromkeys(FAMILY, "pending")


def test_a_lone_request_is_no_bundle(loop: Loop, release: Path) -> None:
    (lone,) = ask(loop.services, run(), proposals(loop, release, (MODEL,)))
    assert lone.bundle is None
    assert answer(loop, lone) == [MODEL]
    assert outcomes(loop, lone) == {MODEL: "promoted v2"}


def test_the_time_to_answer_begins_when_the_question_is_put(loop: Loop, release: Path) -> None:
    made = proposals(loop, release)
    loop.clock.move(hours=5)
    opened = ask(loop.services, run(), made)
    assert {approval.created_at for approval in opened} == {loop.clock()}
    assert {approval.expires_at for approval in opened} == {loop.clock() + timedelta(hours=168)}


def test_one_answer_decides_all_and_the_second_none(loop: Loop, asked: list[Approval]) -> None:
    assert answer(loop, asked[1]) == sorted(FAMILY)
    with pytest.raises(DecisionRefused, match=r"was approved by ann"):
        answer(loop, asked[0], approve=False, who="bob")
    assert outcomes(loop, asked[2]) == dict.fromkeys(FAMILY, "promoted v2")
    assert champions(loop) == dict.fromkeys(FAMILY, 2)
    with loop.services.ledger.begin() as tx:
        moves = {entry.model: (entry.who, entry.why) for entry in tx.transitions()}
    assert moves == dict.fromkeys(FAMILY, ("ann", "together"))


def test_a_rejection_is_everyones(loop: Loop, asked: list[Approval]) -> None:
    answer(loop, asked[0], approve=False)
    assert outcomes(loop, asked[0]) == dict.fromkeys(FAMILY, "not promoted: rejected")
    assert champions(loop) == dict.fromkeys(FAMILY, 1)
    assert loop.registry.all_with(CHALLENGER) == {}


def test_one_whose_champion_has_moved_since_is_not_promoted_and_the_others_are(
    loop: Loop, release: Path, asked: list[Approval]
) -> None:
    third = loop.register(release, key="third", alias=CHAMPION, model=EU)
    answer(loop, asked[0])
    done = outcomes(loop, asked[0])
    assert done[EU] == "not promoted: the champion moved: it was v1, now it is v3"
    assert (done[MODEL], done[US]) == ("promoted v2", "promoted v2")
    assert champions(loop) == {MODEL: 2, EU: third, US: 2}


def test_one_that_cannot_be_acted_on_stops_no_other_and_is_named(loop: Loop, asked: list[Approval]) -> None:
    answer(loop, asked[0])
    with (
        moving(loop.services, run("somebody"), EU),
        pytest.raises(ChurnError, match=r"1 of 3 answers could not be acted on: telly-eu: .*moved by somebody"),
    ):
        conclude_together(loop.services, run("promotion"), asked[0].approval_id, key="event")
    assert champions(loop) == {MODEL: 2, EU: 1, US: 2}
    conclude_together(loop.services, run("promotion"), asked[0].approval_id, key="event")
    assert champions(loop)[EU] == 2
    with loop.services.ledger.begin() as tx:
        claim = tx.claim("event", owner="x", now=loop.clock(), lease_seconds=1)
    assert claim.state == "done"
    assert claim.result is not None
    assert "telly-eu: promoted v2" in claim.result


def test_what_expired_is_not_answered(loop: Loop, asked: list[Approval]) -> None:
    loop.clock.now = asked[0].expires_at
    with pytest.raises(DecisionRefused, match="expired"):
        answer(loop, asked[0])
    assert len(expire_due(loop.services)) == 3
    assert statuses(loop, asked[0]) == dict.fromkeys(FAMILY, "expired")
    assert outcomes(loop, asked[0]) == dict.fromkeys(FAMILY, "not promoted: expired")


def test_one_that_was_superseded_leaves_the_others_to_the_answer(
    loop: Loop, release: Path, asked: list[Approval]
) -> None:
    (newer,) = ask(loop.services, run("later"), proposals(loop, release, (MODEL,), key="later"))
    assert statuses(loop, asked[0]) == {MODEL: "superseded", EU: "pending", US: "pending"}
    assert answer(loop, asked[0]) == [EU, US], "its id still names the bundle"
    done = outcomes(loop, asked[0])
    assert done == {MODEL: "not promoted: superseded", EU: "promoted v2", US: "promoted v2"}
    assert statuses(loop, newer) == {MODEL: "pending"}
    assert loop.registry.all_with(CHALLENGER) == {MODEL: 3}


def test_a_bundle_that_was_superseded_as_a_whole_cannot_be_answered(
    loop: Loop, release: Path, asked: list[Approval]
) -> None:
    ask(loop.services, run("later"), proposals(loop, release, key="later"))
    with pytest.raises(DecisionRefused, match="superseded"):
        answer(loop, asked[0])


def test_one_version_can_be_promoted_alone_and_the_rest_still_waits(loop: Loop, asked: list[Approval]) -> None:
    settle_aliases(loop.services, run(who="ann"), model=US, adopt=True, reason="registered by the test")
    promote(loop.services, run(who="ann"), model=US, version=2, reason="urgent", sure=False)
    assert statuses(loop, asked[0]) == {MODEL: "pending", EU: "pending", US: "approved"}
    assert champions(loop)[US] == 2
    assert answer(loop, asked[0], approve=False, who="bob") == [MODEL, EU]
    assert champions(loop) == {MODEL: 1, EU: 1, US: 2}


def test_the_run_that_waits_is_noted_at_each(loop: Loop, asked: list[Approval]) -> None:
    attached = attach_together(loop.services, asked[0].approval_id, flow_run_id="flow-1")
    assert [approval.flow_run_id for approval in attached] == ["flow-1"] * 3


def test_nothing_is_acted_on_before_it_is_answered(loop: Loop, asked: list[Approval]) -> None:
    with pytest.raises(ChurnError, match="not answered yet"):
        conclude_together(loop.services, run(), asked[0].approval_id)


def test_who_answers_is_checked_for_a_bundle_too(loop: Loop, asked: list[Approval]) -> None:
    with pytest.raises(DecisionRefused, match="needs a name"):
        answer(loop, asked[0], who=" ")


def test_a_challenger_whose_aliases_are_being_moved_is_left_out(loop: Loop, release: Path) -> None:
    made = proposals(loop, release)
    with moving(loop.services, run("somebody"), EU):
        opened = ask(loop.services, run(), made)
        with pytest.raises(AliasBusy):
            ask(loop.services, run(), [made[1]])
    assert [approval.model for approval in opened] == [MODEL, US]
    assert opened[0].bundle is not None
    with loop.services.ledger.begin() as tx:
        assert tx.claim(f"k:{EU}", owner="x", now=loop.clock(), lease_seconds=1).state == "mine"


def test_killed_anywhere_a_bundle_is_put_as_a_whole_or_not_at_all(make: MakeLoop, release: Path) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make())
        made = proposals(loops[-1], release)
        ask(process.lend(loops[-1].services), run("run-1"), made)

    def again() -> None:
        loop = loops[-1]
        with loop.services.ledger.begin() as tx:
            opened = tx.approvals(status=ApprovalStatus.PENDING)
        assert len(opened) in (0, 3)
        loop.clock.move(hours=1)
        done = ask(loop.services, run("run-2"), proposals(loop, release))
        assert len({approval.bundle for approval in done}) == 1
        with loop.services.ledger.begin() as tx:
            assert len(tx.approvals(status=ApprovalStatus.PENDING)) == 3
            assert [entry.kind for entry in tx.transitions(every=True)] == ["challenger"] * 3

    kill_everywhere(work, again, first=1)


def test_the_question_lists_every_slice_with_its_evidence_in_words(asked: list[Approval]) -> None:
    text = question(asked)
    assert "Promote 3 challengers?" in text
    for model in FAMILY:
        assert f"- **{model} v2** ranks better: AUC 0.700 -> 0.800" in text
        assert f"| {model} | v2 | v1 | 0.700 -> 0.800 | +0.100 (+0.050 to +0.150) | 1,000 | 0.012 |" in text
        assert f"#### {model} v2" in text


def test_of_many_slices_the_question_stays_short(asked: list[Approval]) -> None:
    many = [asked[0].model_copy(update={"model": f"shop-{number}"}) for number in range(11)]
    assert "#### " not in question(many)
    assert question(many).count("ranks better") == 11


def test_a_single_request_is_asked_as_ever(asked: list[Approval]) -> None:
    assert question(asked[:1]).startswith(f"### Promote {MODEL} v2?")


def test_a_single_door_still_answers_a_single_request(loop: Loop, asked: list[Approval]) -> None:
    settle(loop.services, asked[0].approval_id, approve=True, who="ann", source="hand", reason=None)
    assert statuses(loop, asked[0]) == {MODEL: "approved", EU: "pending", US: "pending"}
