"""A file is scored exactly once, whatever happens to it, to its content or to the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.errors import ChurnError, FileRefused, NoChampion, ReleaseCorrupt, SpecError
from churnlib.intake.files import content_id
from churnlib.records import BatchStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.batches import LEASE_SECONDS, batch_rows
from churnlib.usecases.scoring import ScoreResult, score_file
from churnlib.usecases.services import dispatch
from tests.killing import Killed, Process, kill_everywhere
from tests.loops import MODEL, Loop, MakeLoop, run, small_spec, week, write_spec


@dataclass
class Interrupted:
    """A `Progress` in the middle of which something else happens, once."""

    meanwhile: Callable[[], object]
    is_over: bool = False

    def step(self, text: str) -> None:
        if not self.is_over:
            self.is_over = True
            self.meanwhile()

    def advance(self, done: int, total: int, unit: str) -> None:
        pass


def scored(loop: Loop, path: Path, *, run_id: str = "run-1", key: str | None = None) -> ScoreResult:
    return score_file(loop.services, run(run_id), model=MODEL, path=path, key=key)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def table_files(loop: Loop) -> dict[str, int]:
    """Every file of every table, and when it was written."""
    tables = [loop.data / name for name in ("snapshots", "predictions", "quarantine", "outcomes")]
    return {str(path): path.stat().st_mtime_ns for table in tables for path in table.rglob("*.parquet")}


def rows(table: pl.LazyFrame | None) -> pl.DataFrame:
    assert table is not None
    return table.collect()


def state_of_key(loop: Loop, key: str) -> str:
    with loop.services.ledger.begin() as tx:
        return tx.claim(key, owner="somebody else", now=loop.clock(), lease_seconds=1).state


def with_a_bad_row(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(-1.0).otherwise("tenure_months").alias("tenure_months")
    )


def test_rows_written_are_exactly_the_accepted_ones(loop: Loop, frame: pl.DataFrame) -> None:
    result = scored(loop, loop.deliver(with_a_bad_row(frame), "week.csv"))
    good = frame.filter(pl.int_range(pl.len()) != 7)
    snapshot = rows(loop.services.snapshots.scan_batch(MODEL, result.batch.batch_id))
    predictions = rows(loop.services.predictions.scan_batch(MODEL, result.batch.batch_id))
    quarantined = rows(loop.services.quarantine.scan_batch(MODEL, result.batch.batch_id))
    assert_frame_equal(snapshot, good)
    assert_frame_equal(predictions.select(ID, AS_OF), good.select(ID, AS_OF))
    assert quarantined["customer"].to_list() == [frame[ID][7]]
    assert quarantined["_reasons"].to_list() == [["tenure_months: below 0"]]
    assert predictions["probability"].is_between(0, 1).all()
    assert predictions.select("model", "version", "run_id", "batch_id").unique().rows() == [
        (MODEL, 1, "run-1", result.batch.batch_id)
    ]


def test_the_record_says_what_was_done(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(with_a_bad_row(frame), "week.csv")
    batch_id = content_id(path)
    batch = scored(loop, path).batch
    assert loop.batches() == [batch]
    assert (batch.batch_id, batch.source, batch.as_of, batch.status) == (batch_id, "week.csv", week(0), "scored")
    assert (batch.rows, batch.accepted, batch.quarantined) == (300, 299, 1)
    assert batch.quarantined_by == {"tenure_months: below 0": 1}
    assert (batch.version, batch.run_id, batch.scored_at) == (1, "run-1", loop.clock())
    assert batch.output is not None
    assert Path(batch.output).is_file()


def test_a_scored_file_moves_to_processed_and_one_event_says_so(loop: Loop, frame: pl.DataFrame) -> None:
    batch = scored(loop, loop.deliver(frame, "week.csv")).batch
    assert files(loop.data / "incoming") == []
    assert files(loop.data / "processed") == [f"{MODEL}/week.csv"]
    assert loop.bus.names() == ["churn.batch.scored"]
    assert dict(loop.bus.sent[0].payload) == {
        "key": f"churn.batch.scored:{MODEL}:{batch.batch_id}",
        "model": MODEL,
        "batch_id": batch.batch_id,
        "as_of": "2025-01-06",
        "version": 1,
        "rows": 300,
    }


def test_a_file_outside_the_inbox_is_scored_and_stays(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame, "week.csv").rename(loop.folder / "week.csv")
    assert scored(loop, path).state == "scored"
    assert scored(loop, path).state == "duplicate"
    assert path.is_file()


def test_the_same_content_under_another_name_is_a_duplicate(loop: Loop, frame: pl.DataFrame) -> None:
    first = scored(loop, loop.deliver(frame, "week.csv"))
    written, record = table_files(loop), loop.batches()
    loop.clock.move(days=1)
    second = scored(loop, loop.deliver(frame, "again.csv"), run_id="run-2", key="event-2")
    assert (first.state, second.state, second.batch) == ("scored", "duplicate", first.batch)
    assert (table_files(loop), loop.batches()) == (written, record)
    assert loop.bus.names() == ["churn.batch.scored", "churn.batch.duplicate"]
    told = {"file": "again.csv", "batch_id": first.batch.batch_id, "first_file": "week.csv"}
    assert told.items() <= loop.bus.sent[-1].payload.items()
    assert files(loop.data / "incoming") == []
    assert state_of_key(loop, "event-2") == "done"


def test_a_duplicate_is_on_record_once_a_name(loop: Loop, frame: pl.DataFrame) -> None:
    scored(loop, loop.deliver(frame, "week.csv"))
    for name in ("week.csv", "again.csv", "again.csv", "third.csv"):
        scored(loop, loop.deliver(frame, name))
    assert [event.payload["file"] for event in loop.sent("churn.batch.duplicate")] == ["again.csv", "third.csv"]
    loop.clock.move(days=7)
    scored(loop, loop.deliver(frame, "week.csv"))
    assert loop.sent("churn.batch.duplicate")[-1].payload["file"] == "week.csv"


def test_a_correction_supersedes_the_former_delivery_visibly(loop: Loop, frame: pl.DataFrame) -> None:
    former = scored(loop, loop.deliver(frame, "week.csv")).batch
    loop.clock.move(hours=1)
    corrected = frame.with_columns(pl.col("monthly_charge") + 1)
    latter = scored(loop, loop.deliver(corrected, "week.csv"), run_id="run-2").batch
    status = {batch.batch_id: (batch.status, batch.reason) for batch in loop.batches()}
    assert status == {
        former.batch_id: (BatchStatus.SUPERSEDED, f"superseded by week.csv ({latter.batch_id[:12]})"),
        latter.batch_id: (BatchStatus.SCORED, None),
    }
    assert loop.services.live_batches(MODEL) == {latter.batch_id}
    assert files(loop.data / "processed") == [f"{MODEL}/week.csv", f"{MODEL}/week~2.csv"]
    assert len(loop.sent("churn.batch.scored")) == 2


def test_a_superseded_file_delivered_again_changes_nothing(loop: Loop, frame: pl.DataFrame) -> None:
    scored(loop, loop.deliver(frame, "week.csv"))
    latter = scored(loop, loop.deliver(frame.with_columns(pl.col("monthly_charge") + 1), "corrected.csv")).batch
    assert scored(loop, loop.deliver(frame, "week.csv")).state == "duplicate"
    assert loop.services.live_batches(MODEL) == {latter.batch_id}


def test_a_correction_of_one_week_leaves_the_others(loop: Loop, frame: pl.DataFrame) -> None:
    scored(loop, loop.deliver(frame, "week.csv"))
    loop.clock.set_to(week(1))
    scored(loop, loop.deliver(frame.with_columns(pl.lit(week(1)).alias(AS_OF)), "next.csv"))
    assert [batch.status for batch in loop.batches()] == [BatchStatus.SCORED, BatchStatus.SCORED]


def test_a_refused_file_lies_in_failed_with_its_reason(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame.drop("plan"), "week.csv")
    with pytest.raises(FileRefused, match="plan"):
        scored(loop, path, key="event-1")
    [batch] = loop.batches()
    assert batch.status is BatchStatus.REFUSED
    assert batch.reason is not None
    assert files(loop.data / "failed") == [f"{MODEL}/week.csv", f"{MODEL}/week.csv.error.json"]
    said = json.loads((loop.data / "failed" / MODEL / "week.csv.error.json").read_text())
    assert said["file"] == "week.csv"
    assert said["error"] == batch.reason
    assert said["hint"]
    assert loop.bus.names() == ["churn.batch.refused"]
    assert loop.bus.sent[0].payload["reason"] == batch.reason
    assert state_of_key(loop, "event-1") == "done"
    assert table_files(loop) == {}


def test_a_refused_file_corrected_under_its_name_is_scored(loop: Loop, frame: pl.DataFrame) -> None:
    with pytest.raises(FileRefused):
        scored(loop, loop.deliver(frame.drop("plan"), "week.csv"))
    assert scored(loop, loop.deliver(frame, "week.csv")).state == "scored"
    assert sorted(batch.status.value for batch in loop.batches()) == ["refused", "scored"]
    assert files(loop.data / "processed") == [f"{MODEL}/week.csv"]


def test_a_refused_content_is_read_again_once_the_spec_allows_it(loop: Loop, frame: pl.DataFrame) -> None:
    broken = frame.with_columns(pl.lit("?").alias("tenure_months"))
    with pytest.raises(FileRefused):
        scored(loop, loop.deliver(broken, "monday.csv"))
    write_spec(loop.services.specs, small_spec(input={"missing": ["", "?"]}))
    loop.clock.move(days=1)
    result = scored(loop, loop.deliver(broken, "tuesday.csv"), run_id="run-2")
    assert (result.state, result.batch.source, result.batch.received_at) == ("scored", "tuesday.csv", loop.clock())
    assert [batch.status for batch in loop.batches()] == [BatchStatus.SCORED]


def test_a_refusal_under_another_name_names_that_file(loop: Loop, frame: pl.DataFrame) -> None:
    for name in ("monday.csv", "tuesday.csv"):
        with pytest.raises(FileRefused):
            scored(loop, loop.deliver(frame.drop("plan"), name))
    said = json.loads((loop.data / "failed" / MODEL / "tuesday.csv.error.json").read_text())
    assert said["file"] == "tuesday.csv"
    assert [event.payload["file"] for event in loop.bus.sent] == ["monday.csv", "tuesday.csv"]


def test_without_a_champion_the_file_waits_and_the_batch_is_free(
    empty: Loop, frame: pl.DataFrame, release: Path
) -> None:
    path = empty.deliver(frame, "week.csv")
    with pytest.raises(NoChampion):
        scored(empty, path)
    assert path.is_file()
    assert [batch.status.value for batch in empty.batches()] == ["arrived"]
    empty.register(release)
    assert scored(empty, path, run_id="run-2").state == "scored"


def test_a_corrupt_release_scores_nothing_and_the_file_waits(
    loop: Loop, frame: pl.DataFrame, release: Path
) -> None:
    path = loop.deliver(frame, "week.csv")
    booster = loop.registry.fetch(MODEL, 1) / "booster.ubj"
    booster.write_bytes(booster.read_bytes()[:-1] + b"?")
    with pytest.raises(ReleaseCorrupt, match="booster"):
        scored(loop, path)
    assert path.is_file()
    assert table_files(loop) == {}
    loop.register(release, key="sound")
    assert scored(loop, path, run_id="run-2").batch.version == 2


def test_a_wrong_spec_is_said_before_anything_is_claimed(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame, "week.csv")
    (loop.services.specs / f"{MODEL}.toml").write_text("horizon = 3")
    with pytest.raises(SpecError):
        scored(loop, path)
    write_spec(loop.services.specs, small_spec())
    assert scored(loop, path, run_id="run-2").state == "scored"


def test_of_two_workers_on_one_batch_one_works_and_one_is_busy(loop: Loop, frame: pl.DataFrame) -> None:
    path, seen = loop.deliver(frame, "week.csv"), []
    late = Interrupted(lambda: seen.append(scored(loop, path, run_id="run-2").state))
    first = score_file(loop.services, run("run-1", progress=late), model=MODEL, path=path)
    assert (first.state, seen) == ("scored", ["busy"])
    assert loop.batches() == [first.batch]
    assert loop.bus.names() == ["churn.batch.scored"]


def test_a_worker_that_overslept_its_lease_leaves_the_batch_to_the_other(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame, "week.csv")

    def other() -> None:
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        assert scored(loop, path, run_id="run-2").state == "scored"

    slow = run("run-1", progress=Interrupted(other))
    with pytest.raises(ChurnError, match="run-2"):
        score_file(loop.services, slow, model=MODEL, path=path)
    assert_scored_once(loop, frame, content_id(loop.data / "processed" / MODEL / "week.csv"))


def test_a_delivery_that_takes_longer_than_its_correction_does_not_win(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame, "week.csv")
    corrected = loop.deliver(frame.with_columns(pl.col("monthly_charge") + 1), "corrected.csv")

    def correction() -> None:
        loop.clock.move(minutes=5)
        scored(loop, corrected, run_id="run-2")

    slow = run("run-1", progress=Interrupted(correction))
    former = score_file(loop.services, slow, model=MODEL, path=path).batch
    assert {batch.source: batch.status.value for batch in loop.batches()} == {
        "week.csv": "superseded",
        "corrected.csv": "scored",
    }
    assert former.reason is not None
    assert former.reason.startswith("superseded by corrected.csv")
    assert len(loop.sent("churn.batch.scored")) == 1


def test_a_delivery_killed_before_its_correction_came_does_not_win(loop: Loop, frame: pl.DataFrame) -> None:
    path = loop.deliver(frame, "week.csv")
    with pytest.raises(Killed):
        score_file(Process(2).lend(loop.services), run("run-1"), model=MODEL, path=path)
    loop.clock.move(hours=1)
    latter = scored(loop, loop.deliver(frame.with_columns(pl.col("monthly_charge") + 1), "corrected.csv")).batch
    loop.clock.move(hours=1)
    scored(loop, path, run_id="run-3")
    assert loop.services.live_batches(MODEL) == {latter.batch_id}


def test_scoring_follows_the_release_when_the_spec_has_changed_since(loop: Loop, frame: pl.DataFrame) -> None:
    features = {name: feature for name, feature in small_spec().features.items() if name != "charge_per_call"}
    dumped = {name: feature.model_dump(exclude_defaults=True) for name, feature in features.items()}
    write_spec(loop.services.specs, small_spec(features={**dumped, "region": {"type": "category"}}))
    assert scored(loop, loop.deliver(frame, "week.csv")).batch.accepted == 300


def test_rows_gone_from_the_tables_are_named(loop: Loop, frame: pl.DataFrame) -> None:
    batch = scored(loop, loop.deliver(frame, "week.csv")).batch
    accepted, predictions = batch_rows(loop.services, batch)
    assert accepted[ID].to_list() == predictions[ID].to_list()
    loop.services.predictions.remove(MODEL, batch.batch_id)
    with pytest.raises(FileRefused, match=r"week\.csv"):
        batch_rows(loop.services, batch)


def assert_scored_once(loop: Loop, frame: pl.DataFrame, batch_id: str) -> None:
    [batch] = loop.batches()
    assert (batch.batch_id, batch.status, batch.accepted) == (batch_id, BatchStatus.SCORED, frame.height)
    accepted, predictions = batch_rows(loop.services, batch)
    assert_frame_equal(accepted, frame)
    assert_frame_equal(predictions.select(ID, AS_OF), frame.select(ID, AS_OF))
    assert rows(loop.services.predictions.scan(MODEL)).height == frame.height
    assert rows(loop.services.snapshots.scan(MODEL)).height == frame.height
    assert files(loop.data / "incoming") == []
    assert files(loop.data / "processed") == [f"{MODEL}/week.csv"]
    assert {event.key for event in loop.bus.sent} == {f"churn.batch.scored:{MODEL}:{batch_id}"}
    assert loop.unsent() == []


def test_killed_anywhere_and_run_again_a_file_is_scored_once(make: MakeLoop, frame: pl.DataFrame) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make())
        path = loops[-1].deliver(frame, "week.csv")
        score_file(process.lend(loops[-1].services), run("run-1"), model=MODEL, path=path, key="event")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        path = loop.services.inbox.resolve(MODEL, "week.csv")
        score_file(loop.restarted(), run("run-2"), model=MODEL, path=path, key="event")
        assert_scored_once(loop, frame, content_id(loop.data / "processed" / MODEL / "week.csv"))
        assert state_of_key(loop, "event") == "done"

    assert kill_everywhere(work, again) >= 10


def test_killed_anywhere_and_run_again_a_file_is_refused_once(make: MakeLoop, frame: pl.DataFrame) -> None:
    loops: list[Loop] = []

    def work(process: Process) -> None:
        loops.append(make())
        path = loops[-1].deliver(frame.drop("plan"), "week.csv")
        with pytest.raises(FileRefused):
            score_file(process.lend(loops[-1].services), run("run-1"), model=MODEL, path=path, key="event")

    def again() -> None:
        loop = loops[-1]
        loop.clock.move(seconds=LEASE_SECONDS + 1)
        for path in loop.services.inbox.pending(MODEL):
            with pytest.raises(FileRefused):
                score_file(loop.restarted(), run("run-2"), model=MODEL, path=path, key="event")
        dispatch(loop.services)
        assert [batch.status.value for batch in loop.batches()] == ["refused"]
        assert files(loop.data / "incoming") == []
        assert files(loop.data / "failed") == [f"{MODEL}/week.csv", f"{MODEL}/week.csv.error.json"]
        assert len({event.key for event in loop.bus.sent}) == 1
        assert table_files(loop) == {}

    assert kill_everywhere(work, again) >= 5
