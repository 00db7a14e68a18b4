"""A batch is measured against its version; only lasting movement of good data is an alarm, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.records import Batch, Report, ReportKind
from churnlib.usecases.drift import DriftResult, check_drift, find_batch
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import metric_step
from tests.killing import Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, PageReporter, batch_frame, run, small_spec, week, write_spec

DETECTED = "churn.drift.detected"


def moved(frame: pl.DataFrame) -> pl.DataFrame:
    """Everybody pays more, and nobody pays little."""
    return frame.with_columns(pl.col("monthly_charge") * 0.5 + 60)


def broken(frame: pl.DataFrame) -> pl.DataFrame:
    """A column that is empty."""
    return frame.with_columns(pl.lit(None, pl.Float64).alias("support_calls"))


def score_week(loop: Loop, number: int, frame: pl.DataFrame | None = None, name: str = "") -> Batch:
    loop.clock.set_to(week(number))
    path = loop.deliver(batch_frame(number) if frame is None else frame, name or f"{week(number)}.csv")
    return score_file(loop.services, run(), model=MODEL, path=path).batch


def check(loop: Loop, batch: Batch, *, key: str | None = None) -> DriftResult:
    return check_drift(loop.services, run("drift-1"), model=MODEL, batch_id=batch.batch_id, key=key)


def check_weeks(loop: Loop, *frames: pl.DataFrame | None) -> list[str]:
    """Score and check a week for every frame (None: a quiet one); returns the verdicts."""
    return [check(loop, score_week(loop, number, frame)).verdict.verdict for number, frame in enumerate(frames)]


def reports(loop: Loop) -> list[Report]:
    with loop.services.ledger.begin() as tx:
        return tx.reports(MODEL, ReportKind.DRIFT)


def test_a_quiet_week_is_stable_and_tells_nobody(loop: Loop) -> None:
    assert check_weeks(loop, None) == ["stable"]
    assert loop.sent(DETECTED) == []
    assert loop.reporter.pages == []


def test_movement_is_watched_first_and_an_alarm_when_it_stays(loop: Loop) -> None:
    assert check_weeks(loop, None, moved(batch_frame(1)), moved(batch_frame(2))) == ["stable", "watch", "drifted"]
    [event] = loop.sent(DETECTED)
    batch = loop.batches()[2]
    assert event.payload["batch_id"] == batch.batch_id
    assert event.payload["as_of"] == str(week(2))
    assert event.payload["triage"] == "inputs_moved"
    assert "monthly_charge" in str(event.payload["reason"])


def test_the_report_is_on_record_and_its_numbers_at_the_version(loop: Loop) -> None:
    check_weeks(loop, moved(batch_frame(0)))
    [report] = reports(loop)
    assert (report.version, report.as_of, report.verdict, report.run_id) == (1, week(0), "watch", "drift-1")
    step = metric_step(week(0))
    for name, value in report.values.items():
        assert loop.registry.points(MODEL, 1, f"psi.{name}") == {step: value}
    assert set(report.values) == {*small_spec().model_features, "score"}


def test_a_repeated_check_replaces_its_own_report_and_alarms_once(loop: Loop) -> None:
    check_weeks(loop, moved(batch_frame(0)), moved(batch_frame(1)))
    loop.clock.move(hours=1)
    again = check(loop, loop.batches()[1])
    assert again.verdict.verdict == "drifted"
    assert len(reports(loop)) == 2
    assert reports(loop)[1].created_at == loop.clock()
    assert len(loop.sent(DETECTED)) == 1


def test_each_batch_that_drifted_has_its_own_alarm(loop: Loop) -> None:
    check_weeks(loop, *(moved(batch_frame(number)) for number in range(3)))
    assert [event.payload["as_of"] for event in loop.sent(DETECTED)] == [str(week(1)), str(week(2))]


def test_broken_data_is_no_drift_however_long_it_lasts(loop: Loop) -> None:
    assert check_weeks(loop, *(broken(batch_frame(number)) for number in range(3))) == ["broken"] * 3
    assert {report.triage for report in reports(loop)} == {"broken_data"}
    assert loop.sent(DETECTED) == []


def test_a_page_is_drawn_when_something_moved_and_lies_with_the_version(loop: Loop) -> None:
    batch = score_week(loop, 0, moved(batch_frame(0)))
    page = check(loop, batch).page
    assert page is not None
    assert page == loop.services.reports / MODEL / f"drift-{week(0)}-{batch.batch_id[:12]}.html"
    assert page.read_text() == "<p>300 300</p>"
    assert loop.registry.artifacts(MODEL, 1) == [f"drift/{page.name}"]


def test_a_worker_that_cannot_draw_judges_all_the_same(loop: Loop) -> None:
    class Blind(PageReporter):
        def write(self, reference: pl.DataFrame, current: pl.DataFrame, destination: Path) -> Path:
            raise ServiceUnavailable("No drawing library.", hint="Install it.")

    batch = score_week(loop, 0, moved(batch_frame(0)))
    services = replace(loop.services, reporter=Blind())
    result = check_drift(services, run(), model=MODEL, batch_id=batch.batch_id)
    assert (result.verdict.verdict, result.page) == ("watch", None)
    assert len(reports(loop)) == 1


@pytest.mark.parametrize(("report", "pages"), [("always", 1), ("never", 0)])
def test_the_spec_says_when_pages_are_drawn(loop: Loop, report: str, pages: int) -> None:
    write_spec(loop.services.specs, small_spec(drift={"report": report}))
    check_weeks(loop, None)
    assert len(loop.reporter.pages) == pages


def test_a_batch_is_measured_against_the_version_that_scored_it(loop: Loop) -> None:
    batch = score_week(loop, 0)
    loop.register(loop.registry.fetch(MODEL, 1), key="second")
    assert loop.champion() == 2
    check(loop, batch)
    assert [report.version for report in reports(loop)] == [1]


def test_a_corrected_delivery_does_not_count_as_moved(loop: Loop) -> None:
    wrong = score_week(loop, 0, moved(batch_frame(0)), "wrong.csv")
    assert check(loop, wrong).verdict.verdict == "watch"
    loop.clock.move(hours=1)
    path = loop.deliver(batch_frame(0), "right.csv")
    score_file(loop.services, run(), model=MODEL, path=path)
    assert check(loop, score_week(loop, 1, moved(batch_frame(1)))).verdict.verdict == "watch"


def test_a_superseded_batch_alarms_nobody(loop: Loop) -> None:
    check_weeks(loop, moved(batch_frame(0)))
    wrong = score_week(loop, 1, moved(batch_frame(1)), "wrong.csv")
    loop.clock.move(hours=1)
    score_file(loop.services, run(), model=MODEL, path=loop.deliver(batch_frame(1), "right.csv"))
    check(loop, wrong)
    assert loop.sent(DETECTED) == []


def test_an_unknown_batch_is_said_clearly(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="Batch abc of telly was not scored"):
        check_drift(loop.services, run(), model=MODEL, batch_id="abc")


def test_the_key_is_done_with_the_report(loop: Loop) -> None:
    check(loop, score_week(loop, 0), key="event")
    with loop.services.ledger.begin() as tx:
        claim = tx.claim("event", owner="x", now=loop.clock(), lease_seconds=1)
    assert (claim.state, claim.result) == ("done", "stable")


def test_a_batch_is_found_by_the_start_of_its_id_and_the_newest_without(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="No batch of telly was scored yet"):
        find_batch(loop.services, MODEL)
    first, second = score_week(loop, 0), score_week(loop, 1)
    assert find_batch(loop.services, MODEL) == second.batch_id
    assert find_batch(loop.services, MODEL, first.batch_id[:8]) == first.batch_id
    with pytest.raises(ChurnError, match="Several"):
        find_batch(loop.services, MODEL, "")
    with pytest.raises(ChurnError, match="No batch of telly begin"):
        find_batch(loop.services, MODEL, "xyz")


def test_killed_anywhere_and_run_again_drift_is_reported_and_announced_once(make: MakeLoop) -> None:
    loops: list[tuple[Loop, Batch]] = []

    def work(process: Process) -> None:
        loop = make()
        write_spec(loop.services.specs, small_spec(drift={"persistence": 1}))
        batch = score_week(loop, 0, moved(batch_frame(0)))
        loops.append((loop, batch))
        services = process.lend(loop.services)
        check_drift(services, run(), model=MODEL, batch_id=batch.batch_id, key="event")

    def again() -> None:
        loop, batch = loops[-1]
        check(loop, batch, key="event")
        assert [report.verdict for report in reports(loop)] == ["drifted"]
        assert len({event.key for event in loop.sent(DETECTED)}) == 1
        assert loop.unsent() == []

    assert kill_everywhere(work, again) >= 8
