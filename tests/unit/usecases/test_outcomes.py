"""Outcomes are kept once, corrected by later ones, and measured when they have matured."""

from __future__ import annotations

import json
from datetime import date, timedelta

import polars as pl
import pytest

from churnlib.errors import FileRefused
from churnlib.modelling.metrics import auc
from churnlib.records import Batch, Report, ReportKind
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL
from churnlib.usecases.outcomes import OutcomesResult, known_outcomes, take_outcomes
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import metric_step
from tests.killing import Process, kill_everywhere
from tests.loops import HORIZON_DAYS, MODEL, Loop, MakeLoop, batch_frame, outcomes_of, run, week

DEGRADED = "churn.performance.degraded"
HORIZON = timedelta(days=HORIZON_DAYS)


def score_week(loop: Loop, number: int, name: str = "") -> Batch:
    loop.clock.set_to(week(number))
    path = loop.deliver(batch_frame(number), name or f"{week(number)}.csv")
    return score_file(loop.services, run(), model=MODEL, path=path).batch


def take(loop: Loop, frame: pl.DataFrame, name: str = "week.csv", *, key: str | None = None) -> OutcomesResult:
    path = loop.deliver(frame, f"outcomes/{name}")
    return take_outcomes(loop.services, run("outcomes-1"), model=MODEL, path=path, key=key)


def matured(loop: Loop, number: int, *, turned: bool = False) -> OutcomesResult:
    """Score a week, and deliver its outcomes on the day its horizon ends."""
    score_week(loop, number)
    loop.clock.set_to(week(number) + HORIZON)
    return take(loop, outcomes_of(batch_frame(number), turned=turned), f"{week(number)}.csv")


def known(loop: Loop) -> pl.DataFrame:
    rows = known_outcomes(loop.services, MODEL)
    assert rows is not None
    return rows.sort(AS_OF, ID).collect()


def reports(loop: Loop) -> list[Report]:
    with loop.services.ledger.begin() as tx:
        return tx.reports(MODEL, ReportKind.PERFORMANCE)


def test_matured_outcomes_measure_the_scores_that_were_given_then(loop: Loop) -> None:
    result = matured(loop, 0)
    [report] = result.reports
    batch = loop.batches()[0]
    predictions = loop.services.predictions.scan_batch(MODEL, batch.batch_id)
    assert predictions is not None
    rows = predictions.collect().join(outcomes_of(batch_frame(0)), on=[ID, AS_OF])
    expected = auc(rows[LABEL].to_numpy(), rows["probability"].to_numpy())
    assert report.values["auc"] == pytest.approx(expected)
    assert (report.values["matured"], report.values["pending"]) == (300, 0)
    assert (report.verdict, report.version, report.batch_id) == ("healthy", 1, batch.batch_id)
    assert reports(loop) == [report]
    assert loop.registry.points(MODEL, 1, "live.auc") == {metric_step(week(0)): report.values["auc"]}


def test_outcomes_whose_horizon_has_not_passed_measure_nothing(loop: Loop) -> None:
    score_week(loop, 0)
    loop.clock.set_to(week(0) + HORIZON - timedelta(days=1))
    early = outcomes_of(batch_frame(0)).with_columns(pl.lit(week(0)).alias(KNOWN_AT))
    [report] = take(loop, early).reports
    assert (report.verdict, report.values["matured"], report.values["pending"]) == ("unknown", 0, 300)
    assert report.values.get("auc") is None
    assert loop.registry.points(MODEL, 1, "live.auc") == {}


def test_only_what_matured_counts_where_part_of_it_did(loop: Loop) -> None:
    score_week(loop, 0)
    score_week(loop, 1)
    both = pl.concat([outcomes_of(batch_frame(number)) for number in (0, 1)])
    loop.clock.set_to(week(0) + HORIZON)
    result = take(loop, both.with_columns(pl.col(AS_OF).alias(KNOWN_AT)))
    assert [(report.as_of, report.values["matured"]) for report in result.reports] == [
        (week(0), 300),
        (week(1), 0),
    ]


def test_a_file_goes_to_processed_and_is_on_record(loop: Loop) -> None:
    result = matured(loop, 0)
    assert (result.file.rows, result.file.first_as_of, result.file.last_as_of) == (300, week(0), week(0))
    assert not result.is_duplicate
    with loop.services.ledger.begin() as tx:
        assert tx.outcome_file(MODEL, result.file.file_id) == result.file
    assert (loop.data / "processed" / MODEL / "outcomes" / f"{week(0)}.csv").is_file()


def test_the_same_file_again_is_a_duplicate(loop: Loop) -> None:
    first = matured(loop, 0)
    before = known(loop)
    loop.clock.move(days=1)
    again = take(loop, outcomes_of(batch_frame(0)), "again.csv")
    assert again.is_duplicate
    assert again.file == first.file
    assert known(loop).equals(before)
    assert len(reports(loop)) == 1
    assert list((loop.data / "incoming").rglob("*.csv")) == []


def test_a_corrected_outcome_counts_once_with_its_last_word(loop: Loop) -> None:
    matured(loop, 0)
    loop.clock.move(days=1)
    corrected = outcomes_of(batch_frame(0)).with_columns(~pl.col(LABEL))
    [report] = take(loop, corrected, "corrected.csv").reports
    assert known(loop).select(ID, AS_OF, LABEL).equals(corrected.sort(ID))
    assert (len(reports(loop)), report.values["matured"]) == (1, 300)
    assert report.values["auc"] is not None
    assert report.values["auc"] < 0.5


@pytest.mark.parametrize("first", ["a", "z"])
def test_of_outcomes_known_on_the_same_day_the_last_delivered_counts(loop: Loop, first: str) -> None:
    """Whatever the order of the files' hashes."""
    outcomes = outcomes_of(batch_frame(0))
    loop.clock.set_to(week(2))
    loop.know(outcomes, known_at=week(1), file_id=first)
    loop.clock.move(hours=1)
    loop.know(outcomes.with_columns(~pl.col(LABEL)), known_at=week(1), file_id="m")
    assert known(loop)[LABEL].to_list() == (~outcomes.sort(ID)[LABEL]).to_list()


def test_what_becomes_known_tomorrow_does_not_hide_what_is_known_today(loop: Loop) -> None:
    outcomes = outcomes_of(batch_frame(0))
    loop.clock.set_to(week(2))
    loop.know(outcomes, known_at=week(1), file_id="past")
    loop.know(outcomes.with_columns(~pl.col(LABEL)), known_at=date(2025, 1, 21), file_id="future")
    assert known(loop)[LABEL].to_list() == outcomes.sort(ID)[LABEL].to_list()


def test_enough_low_measurements_are_degraded_and_announced_once(loop: Loop) -> None:
    verdicts = [matured(loop, number, turned=number > 0).reports[0].verdict for number in range(3)]
    assert verdicts == ["healthy", "low", "degraded"]
    [event] = loop.sent(DEGRADED)
    assert event.payload["as_of"] == str(week(2))
    assert "AUC" in str(event.payload["reason"])
    take(loop, outcomes_of(batch_frame(2), turned=True), "again.csv")
    assert len(loop.sent(DEGRADED)) == 1


def test_a_former_champion_that_got_worse_alarms_nobody(loop: Loop) -> None:
    matured(loop, 0, turned=True)
    score_week(loop, 1)
    loop.register(loop.registry.fetch(MODEL, 1), key="second")
    loop.clock.set_to(week(1) + HORIZON)
    [report] = take(loop, outcomes_of(batch_frame(1), turned=True), "late.csv").reports
    assert (report.version, report.verdict) == (1, "degraded")
    assert loop.sent(DEGRADED) == []


def test_a_superseded_batch_is_not_measured(loop: Loop) -> None:
    score_week(loop, 0, "wrong.csv")
    loop.clock.move(hours=1)
    right = batch_frame(0).with_columns(pl.col("monthly_charge") + 1)
    batch = score_file(loop.services, run(), model=MODEL, path=loop.deliver(right, "right.csv")).batch
    loop.clock.set_to(week(1))
    assert [report.batch_id for report in take(loop, outcomes_of(right)).reports] == [batch.batch_id]


def test_outcomes_of_customers_nobody_scored_are_kept(loop: Loop) -> None:
    loop.clock.set_to(week(1))
    assert take(loop, outcomes_of(batch_frame(0))).reports == ()
    assert known(loop).height == 300


def test_bad_rows_are_counted_and_left_out(loop: Loop) -> None:
    loop.clock.set_to(week(1))
    outcomes = outcomes_of(batch_frame(0)).with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(LABEL).alias(LABEL)
    )
    assert take(loop, outcomes).quarantined_by == {"label: missing": 1}
    assert known(loop).height == 299


def test_a_refused_file_lies_in_failed_and_its_key_is_done(loop: Loop) -> None:
    with pytest.raises(FileRefused, match="churn"):
        take(loop, outcomes_of(batch_frame(0)).drop(LABEL), key="event")
    folder = loop.data / "failed" / MODEL / "outcomes"
    assert json.loads((folder / "week.csv.error.json").read_text())["file"] == "week.csv"
    with loop.services.ledger.begin() as tx:
        claim = tx.claim("event", owner="x", now=loop.clock(), lease_seconds=1)
    assert (claim.state, claim.result) == ("done", "refused")


def test_killed_anywhere_and_run_again_outcomes_are_kept_and_measured_once(make_lived: MakeLoop) -> None:
    loops: list[Loop] = []
    outcomes = outcomes_of(batch_frame(5), turned=True)

    def work(process: Process) -> None:
        loop = make_lived()
        loops.append(loop)
        loop.clock.set_to(week(6))
        path = loop.deliver(outcomes, "outcomes/week.csv")
        take_outcomes(process.lend(loop.services), run(), model=MODEL, path=path, key="event")

    def again() -> None:
        loop = loops[-1]
        path = loop.services.inbox.resolve(MODEL, "outcomes/week.csv")
        take_outcomes(loop.restarted(), run("run-2"), model=MODEL, path=path, key="event")
        assert known(loop).filter(pl.col(AS_OF) == week(5)).select(ID, AS_OF, LABEL).equals(outcomes.sort(ID))
        assert [report.verdict for report in reports(loop)] == ["low", *["degraded"] * 5]
        assert {event.payload["as_of"] for event in loop.sent(DEGRADED)} == {str(week(5))}
        assert loop.unsent() == []
        assert list((loop.data / "incoming").rglob("*.csv")) == []

    assert kill_everywhere(work, again) >= 8
