"""When a challenger is trained: every gate, its reason, and what a person may skip."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest

from churnlib.monitoring.drift import Triage
from churnlib.monitoring.policy import RetrainVerdict, Situation, Trigger, decide
from churnlib.spec import RetrainingPolicy

POLICY = RetrainingPolicy(every_days=90, cooldown_days=7, min_new_snapshots=2)
MOVED = date(2026, 10, 26)
TODAY = date(2026, 12, 7)

READY = Situation(
    trigger="drift",
    as_of=TODAY,
    triage="inputs_moved",
    trigger_reason="price (PSI 1.32) moved",
    first_moved=MOVED,
    champion_cutoff=date(2026, 9, 28),
    last_training=date(2026, 11, 1),
    new_matured_snapshots=(MOVED, MOVED + timedelta(days=7)),
    matured_rows=40_000,
    matured_positives=2_000,
)


def answered(situation: Situation) -> RetrainVerdict:
    return decide(situation, POLICY, min_rows=200, min_positives=30)


def test_drift_with_enough_matured_snapshots_trains_and_says_why() -> None:
    verdict = answered(READY)
    assert verdict.action == "retrain"
    assert verdict.reasons == (
        "inputs moved: price (PSI 1.32) moved",
        "36 days since the last training (at least 7)",
        "2 new matured snapshots since 2026-10-26 (at least 2)",
        "40,000 matured rows, 2,000 of them churned",
    )


def test_too_few_matured_snapshots_wait_for_a_named_day() -> None:
    waiting = replace(READY, new_matured_snapshots=(MOVED,), next_maturity=date(2026, 12, 9))
    verdict = answered(waiting)
    assert verdict.action == "wait"
    assert verdict.reasons == ("1 of 2 new matured snapshots since 2026-10-26; the next matures on 2026-12-09",)


def test_a_snapshot_named_twice_counts_once() -> None:
    assert answered(replace(READY, new_matured_snapshots=(MOVED, MOVED))).action == "wait"


def test_without_moved_batches_snapshots_count_from_the_champions_data() -> None:
    low = replace(READY, trigger="performance", triage="none", first_moved=None, new_matured_snapshots=())
    assert answered(low).reasons == ("0 of 2 new matured snapshots after 2026-09-28",)


@pytest.mark.parametrize("trigger", ["drift", "performance", "schedule", "hand"])
def test_broken_data_never_trains(trigger: Trigger) -> None:
    broken = replace(READY, trigger=trigger, triage="broken_data")
    verdict = answered(broken)
    assert verdict.action == "wait"
    assert verdict.reasons[0].startswith("broken data is mended, never learned from")


@pytest.mark.parametrize("triage", ["clock", "none"])
def test_a_drift_trigger_without_moved_inputs_waits(triage: Triage) -> None:
    assert answered(replace(READY, triage=triage)).action == "wait"


@pytest.mark.parametrize("trigger", ["drift", "performance", "schedule", "hand"])
def test_one_challenger_at_a_time(trigger: Trigger) -> None:
    open_one = replace(READY, trigger=trigger, last_training=None, open_challenger=True)
    verdict = answered(open_one)
    assert verdict.action == "wait"
    assert "a challenger is in training or awaits a decision" in verdict.reasons


@pytest.mark.parametrize(("rejected", "days"), [(0, 7), (1, 14), (2, 28), (3, 56), (4, 90), (50, 90)])
def test_the_pause_doubles_with_each_rejected_challenger_up_to_the_schedule(rejected: int, days: int) -> None:
    def after(passed: int) -> RetrainVerdict:
        last = TODAY - timedelta(days=passed)
        return answered(replace(READY, last_training=last, rejected_in_a_row=rejected))

    assert after(days).action == "retrain"
    assert after(days - 1).action == "wait"


def test_the_cooldown_says_until_when() -> None:
    early = replace(READY, last_training=TODAY - timedelta(days=3), rejected_in_a_row=1)
    assert answered(early).reasons == (
        "3 of 14 days since the last training after 1 rejected challenger; over on 2026-12-18",
    )


def test_a_first_training_has_no_cooldown() -> None:
    assert answered(replace(READY, last_training=None)).action == "retrain"


@pytest.mark.parametrize(("passed", "action"), [(89, "wait"), (90, "retrain"), (200, "retrain")])
def test_the_schedule_is_due_after_its_days(passed: int, action: str) -> None:
    due = replace(
        READY,
        trigger="schedule",
        triage="none",
        first_moved=None,
        last_training=TODAY - timedelta(days=passed),
    )
    assert answered(due).action == action


def test_the_schedule_counts_from_the_champions_data_when_nothing_was_trained_since() -> None:
    first = replace(READY, trigger="schedule", triage="none", first_moved=None, last_training=None)
    assert answered(first).reasons == ("70 of 90 days since the champion's data ends; due on 2026-12-27",)


def test_a_person_skips_the_cooldown_and_the_snapshots_but_not_the_labels() -> None:
    asked = replace(READY, trigger="hand", last_training=TODAY, new_matured_snapshots=(), rejected_in_a_row=5)
    assert answered(asked).action == "retrain"
    assert answered(replace(asked, matured_positives=29)).reasons == (
        "40,000 matured rows, 29 of them churned; training needs 200 and 30",
    )


def test_every_failed_gate_gives_its_reason_in_order() -> None:
    hopeless = replace(
        READY,
        triage="broken_data",
        open_challenger=True,
        last_training=TODAY,
        new_matured_snapshots=(),
        matured_rows=0,
        matured_positives=0,
    )
    starts = ("broken data", "a challenger", "0 of 7 days", "0 of 2 new", "0 matured rows")
    reasons = answered(hopeless).reasons
    assert len(reasons) == len(starts)
    assert all(reason.startswith(start) for reason, start in zip(reasons, starts, strict=True))


def test_every_answer_has_reasons_and_more_evidence_never_turns_yes_into_no() -> None:
    triggers: tuple[Trigger, ...] = ("drift", "performance", "schedule", "hand")
    for trigger, days, snapshots, rejected in product(triggers, (0, 10, 100), (0, 1, 2), (0, 2)):
        situation = replace(
            READY,
            trigger=trigger,
            last_training=TODAY - timedelta(days=days),
            new_matured_snapshots=tuple(MOVED + timedelta(days=7 * week) for week in range(snapshots)),
            rejected_in_a_row=rejected,
        )
        verdict = answered(situation)
        assert verdict.reasons
        more = replace(situation, new_matured_snapshots=(MOVED, *READY.new_matured_snapshots, TODAY))
        if verdict.action == "retrain":
            assert answered(more).action == "retrain"


def test_snapshots_have_to_span_two_horizons_so_that_the_training_part_sees_the_change() -> None:
    horizon = replace(READY, horizon_days=28)
    weeks = tuple(MOVED + timedelta(days=7 * week) for week in range(9))
    short, long = (replace(horizon, new_matured_snapshots=weeks[:count]) for count in (8, 9))
    assert answered(short).reasons == ("8 new matured snapshots since 2026-10-26 span 49 of 56 days",)
    assert answered(long).action == "retrain"
