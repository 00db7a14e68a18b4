"""Real processes that score one delivery, and end by SIGKILL wherever that hurts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from churnlib.adapters.ledger import SqlLedger
from churnlib.records import BatchStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.batches import LEASE_SECONDS
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import score_file
from tests import builders
from tests.loops import MODEL, Loop, as_delivered, batch_frame, make_loop, outcomes_of, run, week

FILE = "week.csv"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loop = make_loop(tmp_path_factory.mktemp("release"))
    accepted = builders.accepted(1500, seed=1, as_of=week(-2))
    labelled = accepted.join(outcomes_of(accepted), on=[ID, AS_OF], how="inner")
    path = loop.folder / "labelled.csv"
    as_delivered(labelled).write_csv(path)
    made = train_from_file(loop.services, run(), model=MODEL, path=path)
    return loop.registry.fetch(MODEL, made.version.version)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Enough rows for writing them to take a while; every tenth customer's charge is no number."""
    return pl.concat([batch_frame(0).with_columns(pl.col(ID) + f"-{part}") for part in range(40)])


def delivered(folder: Path, frame: pl.DataFrame) -> Loop:
    loop = make_loop(folder)
    loop.deliver(frame, FILE)
    return loop


def started(loop: Loop, release: Path, *, last_call: int = 0) -> subprocess.Popen[str]:
    """A process that is about to score the file, or that was killed while it did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.scoring_process", loop.folder, release, FILE, str(last_call)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def assert_mended(folder: Path, release: Path, frame: pl.DataFrame) -> None:
    """Once the claim ran out, another process ends with the right rows, once, and the file put away."""
    loop = make_loop(folder, process="later")
    loop.register(release)
    loop.clock.move(seconds=LEASE_SECONDS + 1)
    path = loop.services.inbox.resolve(MODEL, FILE)
    result = score_file(loop.services, run("later"), model=MODEL, path=path)
    (batch,) = loop.batches()
    assert batch.status is BatchStatus.SCORED
    assert batch.accepted == frame.height
    for table in (loop.services.snapshots, loop.services.predictions):
        found = table.scan(MODEL)
        assert found is not None
        assert sorted(found.select(ID).collect().to_series()) == sorted(frame[ID])
    assert [path.name for path in (loop.data / "processed" / MODEL).iterdir()] == [FILE]
    assert not [path for path in (loop.data / "incoming" / MODEL).iterdir() if path.is_file()]
    with loop.services.ledger.begin() as tx:
        events = [*tx.unsent(), *loop.bus.sent]
    assert {event.type.name for event in events} <= {"churn.batch.scored"}
    assert result.state in {"scored", "duplicate"}
    assert isinstance(loop.services.ledger, SqlLedger)
    loop.services.ledger.close()


def test_killed_after_any_call_to_the_outside_the_rerun_ends_with_exactly_the_right_rows(
    tmp_path: Path, release: Path, frame: pl.DataFrame
) -> None:
    for last_call in count(1):
        loop = delivered(tmp_path / str(last_call), frame)
        process = started(loop, release, last_call=last_call)
        code = process.wait(60)
        assert_mended(loop.folder, release, frame)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert last_call > 12


def test_killed_at_any_moment_the_rerun_ends_with_exactly_the_right_rows(
    tmp_path: Path, release: Path, frame: pl.DataFrame
) -> None:
    whole = started(delivered(tmp_path / "whole", frame), release)
    begun = time.monotonic()
    assert whole.wait(60) == 0
    seconds = time.monotonic() - begun
    for part in range(1, 7):
        loop = delivered(tmp_path / str(part), frame)
        process = started(loop, release)
        time.sleep(seconds * part / 7)
        process.kill()
        process.wait(60)
        assert_mended(loop.folder, release, frame)


def test_of_two_processes_on_one_batch_one_works_and_the_other_steps_back(
    tmp_path: Path, release: Path, frame: pl.DataFrame
) -> None:
    loop = delivered(tmp_path / "two", frame)
    both = [started(loop, release) for _ in range(2)]
    states = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert states in (["busy", "scored"], ["duplicate", "scored"])
    assert_mended(loop.folder, release, frame)
