"""What every ledger does, over SQLite and over a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.ledger_engine import open_engine
from churnlib.errors import ServiceUnavailable
from churnlib.events import BATCH_ARRIVED, BATCH_SCORED, Event, make_event
from churnlib.ports import Ledger
from churnlib.records import (
    Approval,
    ApprovalStatus,
    Batch,
    BatchStatus,
    Claim,
    Contact,
    Decision,
    OutcomeFile,
    Report,
    ReportKind,
    Transition,
    TransitionKind,
)

T = TypeVar("T")
NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    database: str = request.getfixturevalue("postgres").new_database()
    return database


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with SqlLedger.open(url) as opened:
        yield opened


def batch(batch_id: str = "b1", *, as_of: date | None = date(2026, 3, 2), minutes: int = 0) -> Batch:
    return Batch(
        model="telco",
        batch_id=batch_id,
        source="week 10.csv",
        as_of=as_of,
        received_at=NOON + minutes * MINUTE,
        quarantined_by={"tenure: above 72": 2, "Ж: missing": 1},
    )


def arrived(name: str = "a.csv", *, minutes: int = 0) -> Event:
    at = NOON + minutes * MINUTE
    return make_event(BATCH_ARRIVED, model="telco", subject=name, occurred_at=at, file=name)


def approval(approval_id: str = "a1", *, model: str = "telco", minutes: int = 0) -> Approval:
    return Approval(
        approval_id=approval_id,
        model=model,
        challenger=7,
        challenger_run_id="run7",
        champion=6,
        evidence='{"gain": 0.01}',
        summary="v7 wins",
        flow_run_id=None,
        created_at=NOON + minutes * MINUTE,
        expires_at=NOON + timedelta(hours=4),
    )


def transition(version: int, *, model: str = "telco", approval_id: str | None = None) -> Transition:
    return Transition(
        model=model,
        kind="promotion",
        from_version=version - 1,
        to_version=version,
        who="ann",
        why="won",
        approval_id=approval_id,
        at=NOON,
    )


def report(batch_id: str, as_of: date, *, version: int = 1, verdict: str = "stable") -> Report:
    return Report(
        model="telco",
        kind=ReportKind.DRIFT,
        batch_id=batch_id,
        version=version,
        as_of=as_of,
        verdict=verdict,
        reason="quiet",
        values={"psi": 0.125, "js": None, "nothing to divide by": float("nan")},
        body='{"a": [1, 2]}',
        created_at=NOON,
    )


def contact(customer_id: str = "c1", *, rank: int | None = 1, day: int = 2, **changes: object) -> Contact:
    """On the list of the day's campaign; without a rank in its holdout."""
    made = Contact(
        model="telco",
        campaign_id=f"campaign-{day}",
        customer_id=customer_id,
        batch_id="b1",
        as_of=date(2026, 3, 2),
        group="holdout" if rank is None else "contact",
        rank=rank,
        contacted_on=date(2026, 3, day),
        probability=0.1 + 0.2,
        value_at_risk=1 / 3,
    )
    return made.model_copy(update=changes)


def settle(ledger: Ledger, who: str, status: ApprovalStatus = ApprovalStatus.APPROVED) -> bool:
    with ledger.begin() as work:
        return work.settle("a1", status, who=who, source="cli", reason="fine", now=NOON)


def claim(ledger: Ledger, owner: str, *, key: str = "k", minutes: int = 0) -> Claim:
    with ledger.begin() as work:
        return work.claim(key, owner=owner, now=NOON + minutes * MINUTE, lease_seconds=60)


def together(count: int, action: Callable[[int], T]) -> list[T]:
    """Run the action in that many threads at once."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(action, range(count)))


# facts


def test_a_batch_comes_back_as_it_was_saved(ledger: Ledger) -> None:
    full = batch().model_copy(
        update={
            "status": BatchStatus.SCORED,
            "rows": 12,
            "origin": "s3://churn/incoming/telco/week 10.csv",
            "version": 3,
            "challenger": 4,
            "run_id": "r",
            "output": "/data/x.parquet",
            "seconds": 0.25,
            "scored_at": NOON,
            "reason": "…",
        }
    )
    with ledger.begin() as work:
        work.save_batch(full)
    with ledger.begin() as work:
        read = work.batch("telco", "b1")
        assert read == full
        assert read is not None
        assert list(read.quarantined_by) == ["tenure: above 72", "Ж: missing"]
        assert work.batch("telco", "b2") is None
        assert work.batch("bank", "b1") is None


def test_saving_a_batch_again_replaces_all_of_it(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.save_batch(batch().model_copy(update={"reason": "first", "version": 3}))
        work.save_batch(batch())
        assert work.batches() == [batch()]


def test_batches_are_ordered_by_as_of_with_nulls_last_then_by_arrival(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.save_batch(batch("none", as_of=None))
        work.save_batch(batch("late", minutes=2))
        work.save_batch(batch("early", minutes=1))
        work.save_batch(batch("old", as_of=date(2025, 12, 29), minutes=9))
        work.save_batch(batch("other").model_copy(update={"model": "bank"}))
        assert [one.batch_id for one in work.batches("telco")] == ["old", "early", "late", "none"]
        assert len(work.batches()) == 5


def test_until_is_inclusive_and_leaves_out_batches_without_as_of(ledger: Ledger) -> None:
    with ledger.begin() as work:
        for batch_id, as_of in (("a", date(2026, 3, 2)), ("b", date(2026, 3, 3)), ("c", None)):
            work.save_batch(batch(batch_id, as_of=as_of))
        assert [one.batch_id for one in work.batches("telco", until=date(2026, 3, 2))] == ["a"]


def test_an_outcome_file_comes_back_as_it_was_saved(ledger: Ledger) -> None:
    file = OutcomeFile(
        model="telco",
        file_id="f",
        source="o.csv",
        rows=3,
        first_as_of=date(2026, 1, 5),
        last_as_of=date(2026, 2, 2),
        received_at=NOON,
    )
    with ledger.begin() as work:
        work.save_outcome_file(file)
        work.save_outcome_file(file)
        assert work.outcome_file("telco", "f") == file
        assert work.outcome_file("telco", "g") is None


def test_reports_are_one_a_batch_kind_and_version_in_the_order_of_as_of(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.save_report(report("b2", date(2026, 3, 9)))
        work.save_report(report("b1", date(2026, 3, 2)))
        work.save_report(report("b1", date(2026, 3, 2), version=2))
        work.save_report(report("b2", date(2026, 3, 9), verdict="drifted"))
        work.save_report(report("b1", date(2026, 3, 2)).model_copy(update={"kind": ReportKind.PERFORMANCE}))
        drift = work.reports("telco", ReportKind.DRIFT)
        assert [(one.batch_id, one.version, one.verdict) for one in drift] == [
            ("b1", 1, "stable"),
            ("b1", 2, "stable"),
            ("b2", 1, "drifted"),
        ]
        assert len(work.reports("telco", ReportKind.DRIFT, version=1)) == 2
        assert len(work.reports("telco", ReportKind.PERFORMANCE)) == 1
        assert work.reports("bank", ReportKind.DRIFT) == []


def test_a_value_that_json_cannot_say_is_kept_as_none(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.save_report(report("b1", date(2026, 3, 2)))
        (read,) = work.reports("telco", ReportKind.DRIFT)
    assert read.values == {"psi": 0.125, "js": None, "nothing to divide by": None}


def test_the_last_decision_under_a_key_stands(ledger: Ledger) -> None:
    decision = Decision(
        key="k",
        model="telco",
        action="retrain",
        trigger="drift",
        as_of=date(2026, 3, 2),
        reasons=("a", "b"),
        created_at=NOON,
    )
    with ledger.begin() as work:
        work.save_decision(decision)
        work.save_decision(decision.model_copy(update={"action": "wait", "reasons": ("one in flight",)}))
        (read,) = work.decisions("telco")
    assert (read.action, read.reasons) == ("wait", ("one in flight",))


def test_times_come_back_in_utc_whatever_zone_they_went_in(ledger: Ledger) -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    with ledger.begin() as work:
        work.save_batch(batch().model_copy(update={"received_at": tokyo}))
        read = work.batch("telco", "b1")
    assert read is not None
    assert read.received_at == NOON
    assert read.received_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    naive = batch().model_copy(update={"received_at": NOON.replace(tzinfo=None)})
    with pytest.raises(Exception, match="has no time zone"), ledger.begin() as work:
        work.save_batch(naive)


def test_text_that_no_database_takes_is_kept_with_marks_for_it(ledger: Ledger) -> None:
    odd = batch().model_copy(update={"source": "m\udce4rz\x00.csv", "quarantined_by": {"\udce4\x00": 1}})
    with ledger.begin() as work:
        work.save_batch(odd)
        read = work.batch("telco", "b1")
    assert read is not None
    assert (read.source, read.quarantined_by) == ("m�rz�.csv", {"��": 1})


# contacts


def test_contacts_come_back_as_they_were_saved_by_date_campaign_and_rank_with_the_holdout_last(
    ledger: Ledger,
) -> None:
    saved = [
        contact("new", day=9),
        contact("h", rank=None),
        contact("2", rank=2),
        contact("1", value_at_risk=None),
    ]
    with ledger.begin() as work:
        assert work.save_contacts(saved) == 4
    with ledger.begin() as work:
        assert work.contacts("telco") == [saved[3], saved[2], saved[1], saved[0]]
        assert work.contacts("bank") == []


def test_contacts_are_found_by_date_inclusive_and_by_customer(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.save_contacts([contact(day=2), contact(day=3), contact("c2", day=3), contact(model="bank", day=3)])
        since = work.contacts("telco", since=date(2026, 3, 3))
        assert [(one.customer_id, one.contacted_on.day) for one in since] == [("c1", 3), ("c2", 3)]
        assert [one.contacted_on.day for one in work.contacts("telco", customer_id="c1")] == [2, 3]
        assert work.contacts("telco", since=date(2026, 3, 4), customer_id="c1") == []
        assert work.contacts("telco", customer_id="C1") == []


def test_a_contact_is_recorded_once_and_stays_as_it_is(ledger: Ledger) -> None:
    with ledger.begin() as work:
        assert work.save_contacts([contact()]) == 1
        assert work.save_contacts([contact(rank=7), contact("c2", rank=2), contact("c2", rank=3)]) == 1
        assert work.save_contacts([]) == 0
        assert [(one.customer_id, one.rank) for one in work.contacts("telco")] == [("c1", 1), ("c2", 2)]


def test_thousands_of_contacts_are_saved_at_once_and_only_the_new_ones_are_counted(ledger: Ledger) -> None:
    many = [contact(f"c{number}", rank=number) for number in range(1, 5001)]
    with ledger.begin() as work:
        assert work.save_contacts(many[:3000]) == 3000
        assert work.save_contacts(many) == 2000
        assert len(work.contacts("telco")) == 5000


def test_of_many_who_save_the_same_contacts_at_once_one_saves_them(ledger: Ledger) -> None:
    def save(_: int) -> int:
        with ledger.begin() as work:
            return work.save_contacts([contact(f"c{number}", rank=number) for number in range(1, 51)])

    assert sorted(together(8, save)) == [0] * 7 + [50]


@pytest.mark.parametrize("statement", ["DELETE FROM contacts", "UPDATE contacts SET rank = 99"])
def test_a_contact_can_be_neither_changed_nor_deleted(ledger: Ledger, url: str, statement: str) -> None:
    with ledger.begin() as work:
        work.save_contacts([contact()])
    with pytest.raises(IntegrityError, match="a contact cannot be"):
        change(url, statement)


# outbox


def test_the_same_key_is_published_once(ledger: Ledger) -> None:
    with ledger.begin() as work:
        assert work.publish(arrived())
        assert not work.publish(arrived(minutes=5))
    with ledger.begin() as work:
        assert not work.publish(arrived())
        assert work.unsent() == [arrived()]


def test_an_event_comes_back_with_its_id_type_and_payload(ledger: Ledger) -> None:
    event = make_event(
        BATCH_SCORED,
        model="telco",
        subject="b1",
        occurred_at=NOON,
        batch_id="b1",
        as_of="2026-03-02",
        version=3,
        rows=None,
    )
    with ledger.begin() as work:
        work.publish(event)
    with ledger.begin() as work:
        read = work.event(event.key)
        assert work.event("other") is None
    assert read is not None
    assert read == event
    assert (read.id, dict(read.payload)) == (event.id, dict(event.payload))


def test_unsent_events_come_oldest_first_and_of_one_time_as_published(ledger: Ledger) -> None:
    with ledger.begin() as work:
        for name, minutes in (("late", 9), ("z", 0), ("a", 0), ("m", 0)):
            work.publish(arrived(name, minutes=minutes))
        assert [event.payload["file"] for event in work.unsent()] == ["z", "a", "m", "late"]
        assert [event.payload["file"] for event in work.unsent(limit=2)] == ["z", "a"]


def test_a_sent_event_waits_no_more_and_a_failed_one_does(ledger: Ledger, url: str) -> None:
    with ledger.begin() as work:
        for name in ("sent", "failed"):
            work.publish(arrived(name))
        work.mark_sent(arrived("sent").id, NOON)
        for attempt in (1, 2):
            work.mark_failed(arrived("failed").id, f"no answer {attempt}")
        assert work.unsent() == [arrived("failed")]
    assert rows(url, "SELECT attempts, last_error FROM events WHERE sent_at IS NULL") == [(2, "no answer 2")]


def test_an_event_of_a_type_that_is_gone_is_still_sent(ledger: Ledger, url: str) -> None:
    with ledger.begin() as work:
        work.publish(arrived())
    change(url, "UPDATE events SET name = 'churn.batch.renamed'")
    with ledger.begin() as work:
        (event,) = work.unsent()
    assert (event.type.name, event.key) == ("churn.batch.renamed", arrived().key)


def test_an_event_is_lost_when_it_was_sent_and_nobody_holds_or_finished_its_key(ledger: Ledger) -> None:
    names = ("unclaimed", "held", "ran out", "released", "done", "unsent", "just sent")
    key = {name: arrived(name).key for name in names}
    with ledger.begin() as work:
        for name in names:
            work.publish(arrived(name))
            if name != "unsent":
                work.mark_sent(arrived(name).id, NOON + (MINUTE if name == "just sent" else 0 * MINUTE))
        for name, lease_seconds in (("held", 600), ("ran out", 60), ("released", 600), ("done", 60)):
            work.claim(key[name], owner="run", now=NOON, lease_seconds=lease_seconds)
        work.release(key["released"], owner="run")
        work.finish(key["done"], result="ok", now=NOON)
        lost = work.lost(BATCH_ARRIVED.name, sent_before=NOON + MINUTE, now=NOON + MINUTE)
        assert [event.payload["file"] for event in lost] == ["unclaimed", "ran out", "released"]
        assert work.lost(BATCH_SCORED.name, sent_before=NOON + MINUTE, now=NOON) == []


# work


def test_a_key_is_the_first_owners_until_its_lease_runs_out(ledger: Ledger) -> None:
    assert claim(ledger, "one") == Claim(state="mine", owner="one")
    assert claim(ledger, "two") == Claim(state="busy", owner="one")
    assert claim(ledger, "one", minutes=0).state == "mine"
    assert claim(ledger, "two", minutes=1) == Claim(state="mine", owner="two")
    assert claim(ledger, "one", minutes=1) == Claim(state="busy", owner="two")


def test_claiming_again_prolongs_the_owners_lease(ledger: Ledger) -> None:
    claim(ledger, "one")
    with ledger.begin() as work:
        work.claim("k", owner="one", now=NOON, lease_seconds=600)
    assert claim(ledger, "two", minutes=5).state == "busy"


def test_a_finished_key_is_done_for_everybody_and_its_first_result_stays(ledger: Ledger) -> None:
    claim(ledger, "one")
    with ledger.begin() as work:
        work.finish("k", result="scored", now=NOON)
        work.finish("k", result="again", now=NOON)
        work.finish("never claimed", result="by hand", now=NOON)
        work.release("k", owner="one")
    assert claim(ledger, "one", minutes=99) == Claim(state="done", result="scored", owner="one")
    assert claim(ledger, "two", key="never claimed") == Claim(state="done", result="by hand")


def test_a_key_given_back_is_free_and_only_its_owner_gives_it_back(ledger: Ledger) -> None:
    claim(ledger, "one")
    with ledger.begin() as work:
        work.release("k", owner="two")
        work.release("unknown", owner="two")
    assert claim(ledger, "two").state == "busy"
    with ledger.begin() as work:
        work.release("k", owner="one")
    assert claim(ledger, "two").state == "mine"


def test_of_many_claims_at_once_exactly_one_is_mine(ledger: Ledger) -> None:
    for round_ in range(20):
        key = f"k{round_}"
        states = together(8, lambda number, key=key: claim(ledger, f"run {number}", key=key).state)  # type: ignore[misc]
        assert sorted(states) == ["busy"] * 7 + ["mine"]


def test_of_many_claims_on_a_lease_that_ran_out_exactly_one_is_mine(ledger: Ledger) -> None:
    claim(ledger, "dead")
    states = together(8, lambda number: claim(ledger, f"run {number}", minutes=2).state)
    assert sorted(states) == ["busy"] * 7 + ["mine"]


def test_of_many_publishers_at_once_exactly_one_publishes(ledger: Ledger) -> None:
    def publish(_: int) -> bool:
        with ledger.begin() as work:
            return work.publish(arrived())

    assert sum(together(8, publish)) == 1


def test_what_is_read_in_a_transaction_still_holds_when_it_writes(ledger: Ledger) -> None:
    def count_up(_: int) -> None:
        with ledger.begin() as work:
            now = work.batch("telco", "b1") or batch()
            work.save_batch(now.model_copy(update={"rows": now.rows + 1}))

    together(8, count_up)
    with ledger.begin() as work:
        read = work.batch("telco", "b1")
    assert read is not None
    assert read.rows == 8


# approvals and transitions


def test_an_approval_comes_back_as_it_was_opened_and_opens_once(ledger: Ledger) -> None:
    with ledger.begin() as work:
        assert work.open_approval(approval())
        assert not work.open_approval(approval(minutes=1))
        assert work.approval("a1") == approval()
        assert work.approval("a2") is None


def test_a_new_request_supersedes_the_pending_ones_of_its_model_only(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.open_approval(approval("a1"))
        work.open_approval(approval("other", model="bank"))
    settle(ledger, "ann", ApprovalStatus.REJECTED)
    with ledger.begin() as work:
        for number in (2, 3):
            work.open_approval(approval(f"a{number}", minutes=number))
        status = {one.approval_id: one.status.value for one in work.approvals()}
        assert status == {"a1": "rejected", "a2": "superseded", "a3": "pending", "other": "pending"}
        assert [one.approval_id for one in work.approvals("telco")] == ["a1", "a2", "a3"]
        assert [one.approval_id for one in work.approvals(status=ApprovalStatus.PENDING)] == ["other", "a3"]
        superseded = work.approval("a2")
    assert superseded is not None
    assert (superseded.decided_by, superseded.reason) == (None, "superseded by a3")


def test_the_first_answer_stands(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.open_approval(approval())
    assert settle(ledger, "ann")
    assert not settle(ledger, "bob", ApprovalStatus.REJECTED)
    with ledger.begin() as work:
        read = work.approval("a1")
        assert not work.settle("unknown", ApprovalStatus.APPROVED, who="ann", source="cli", reason=None, now=NOON)
    assert read == approval().model_copy(
        update={
            "status": ApprovalStatus.APPROVED,
            "decided_by": "ann",
            "source": "cli",
            "reason": "fine",
            "decided_at": NOON,
        }
    )


def test_pending_is_no_answer(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="pending"):
        settle(ledger, "ann", ApprovalStatus.PENDING)


def test_of_many_answers_at_once_exactly_one_wins(ledger: Ledger) -> None:
    for round_ in range(10):
        approval_id = f"a{round_}"
        with ledger.begin() as work:
            work.open_approval(approval(approval_id))

        def answer(number: int, approval_id: str = approval_id) -> bool:
            with ledger.begin() as work:
                status = ApprovalStatus.APPROVED if number % 2 else ApprovalStatus.REJECTED
                return work.settle(approval_id, status, who=f"p{number}", source="slack", reason=None, now=NOON)

        assert sum(together(8, answer)) == 1


def test_of_many_requests_at_once_exactly_one_stays_pending(ledger: Ledger) -> None:
    def open_one(number: int) -> bool:
        with ledger.begin() as work:
            return work.open_approval(approval(f"a{number}"))

    assert all(together(8, open_one))
    with ledger.begin() as work:
        assert len(work.approvals(status=ApprovalStatus.PENDING)) == 1


def test_notes_are_added_to_a_settled_approval_one_by_one(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.open_approval(approval())
        work.annotate_approval("a1", flow_run_id="flow")
    settle(ledger, "ann")
    with ledger.begin() as work:
        work.annotate_approval("a1", outcome="promoted")
        work.annotate_approval("a1", woken_at=NOON)
        work.annotate_approval("a1")
        read = work.approval("a1")
    assert read is not None
    assert (read.flow_run_id, read.outcome, read.woken_at) == ("flow", "promoted", NOON)


def test_transitions_are_numbered_in_the_order_they_were_appended(ledger: Ledger) -> None:
    with ledger.begin() as work:
        work.open_approval(approval())
        work.append_transition(transition(2, approval_id="a1").model_copy(update={"seq": 99}))
        work.append_transition(transition(5, model="bank"))
        work.append_transition(transition(3))
        read = work.transitions("telco")
        assert [one.to_version for one in work.transitions()] == [2, 5, 3]
    assert [one.to_version for one in read] == [2, 3]
    assert [one.seq for one in read] == [1, 3]
    assert read[0].approval_id == "a1"


def test_what_is_not_about_the_champion_is_read_only_where_every_transition_is_asked_for(ledger: Ledger) -> None:
    kinds: list[TransitionKind] = ["initial", "challenger", "withdrawal", "rollback", "archive", "restoration"]
    with ledger.begin() as work:
        for version, kind in enumerate(kinds, start=1):
            work.append_transition(transition(version).model_copy(update={"kind": kind}))
        assert [one.kind for one in work.transitions("telco")] == ["initial", "rollback"]
        assert [one.kind for one in work.transitions("telco", every=True)] == kinds


def test_a_transition_names_an_approval_that_is_there(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError), ledger.begin() as work:
        work.append_transition(transition(2, approval_id="invented"))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transitions",
        "UPDATE transitions SET who = 'me'",
        "DELETE FROM approvals",
        "UPDATE approvals SET status = 'rejected'",
        "UPDATE approvals SET decided_by = 'me'",
        "UPDATE approvals SET evidence = '{}'",
        "UPDATE approvals SET challenger = 8",
    ],
)
def test_what_was_decided_can_be_neither_changed_nor_deleted(ledger: Ledger, url: str, statement: str) -> None:
    with ledger.begin() as work:
        work.open_approval(approval())
        work.append_transition(transition(2))
    settle(ledger, "ann")
    with pytest.raises(IntegrityError, match="cannot be"):
        change(url, statement)


def test_a_pending_request_keeps_what_it_was_asked_for(ledger: Ledger, url: str) -> None:
    with ledger.begin() as work:
        work.open_approval(approval())
    with pytest.raises(IntegrityError, match="cannot be changed"):
        change(url, "UPDATE approvals SET challenger = 8, evidence = '{}'")


# transactions


def test_an_exception_takes_back_all_of_its_block(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), ledger.begin() as work:
        work.save_batch(batch())
        work.publish(arrived())
        work.claim("k", owner="one", now=NOON, lease_seconds=600)
        work.open_approval(approval())
        work.append_transition(transition(2))
        work.save_contacts([contact()])
        raise RuntimeError("in the middle")
    with ledger.begin() as work:
        assert work.contacts("telco") == []
        assert (work.batches(), work.unsent(), work.approvals(), work.transitions()) == ([], [], [], [])
        assert work.claim("k", owner="two", now=NOON, lease_seconds=1).state == "mine"


def test_a_stopped_program_takes_back_all_of_its_block(ledger: Ledger) -> None:
    with pytest.raises(KeyboardInterrupt), ledger.begin() as work:
        work.publish(arrived())
        raise KeyboardInterrupt
    with ledger.begin() as work:
        assert work.unsent() == []


def test_what_is_not_committed_is_not_seen(ledger: Ledger, url: str) -> None:
    with ledger.begin() as work:
        work.publish(arrived())
        assert rows(url, "SELECT count(*) FROM events") == [(0,)]
    assert rows(url, "SELECT count(*) FROM events") == [(1,)]


def test_a_ledger_that_stays_locked_is_unavailable(ledger: Ledger, url: str) -> None:
    with ledger.begin(), SqlLedger.open(url, lock_seconds=0.2) as other:
        with pytest.raises(ServiceUnavailable, match="ledger") as refusal, other.begin():
            pass
        assert "Another process" in refusal.value.hint
    with ledger.begin() as work:
        assert work.unsent() == []


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = open_engine(url, lock_seconds=5)
    with engine.connect().execution_options(ledger_reading=True) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def change(url: str, statement: str) -> None:
    engine = open_engine(url, lock_seconds=5)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
