"""A delivery scored from S3 to S3, with S3 lost in the middle, and what is set right afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from churnlib.adapters import s3_client
from churnlib.adapters.fallback_inbox import FallbackInbox
from churnlib.adapters.fallback_table import FallbackTable
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.adapters.s3_table import S3Table
from churnlib.spec import AS_OF, ID
from churnlib.usecases.arrivals import announce
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import ScoreResult, score_file
from tests import builders
from tests.loops import MODEL, Loop, as_delivered, batch_frame, make_loop, outcomes_of, run, week

TABLES = ("snapshots", "outcomes", "predictions", "shadows", "quarantine")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loop = make_loop(tmp_path_factory.mktemp("release"))
    accepted = builders.accepted(600, seed=1, as_of=week(-2))
    path = loop.folder / "labelled.csv"
    as_delivered(accepted.join(outcomes_of(accepted), on=[ID, AS_OF])).write_csv(path)
    made = train_from_file(loop.services, run(), model=MODEL, path=path)
    return loop.registry.fetch(MODEL, made.version.version)


@pytest.fixture
def url(aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    found: str = aws.new_bucket()
    return found


@pytest.fixture
def loop(tmp_path: Path, release: Path, aws: Any, url: str) -> Loop:
    """A loop with a champion whose stores are on S3, and local while that is down."""
    made, data = make_loop(tmp_path), tmp_path / "data"
    made.register(release)
    bucket = Bucket(url, endpoint_url=aws.endpoint)
    tables: dict[str, Any] = {
        name: FallbackTable(S3Table(bucket, name, data / "cache" / name), ParquetTable(data / name))
        for name in TABLES
    }
    stored = S3Inbox(bucket, data / "cache" / "inbox", settle_seconds=0)
    inbox = FallbackInbox(stored, LocalInbox(data, settle_seconds=0))
    return replace(made, services=replace(made.services, inbox=inbox, **tables))


@pytest.fixture
def deliver(aws: Any, url: str) -> Callable[[int], None]:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")

    def put(number: int) -> None:
        body = as_delivered(batch_frame(number)).write_csv().encode()
        key = f"{prefix}/incoming/{MODEL}/week {number}.csv"
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    return put


def score(loop: Loop, path: Path, who: str = "first") -> ScoreResult:
    return score_file(loop.services, run(who), model=MODEL, path=path)


def test_a_file_on_s3_is_announced_and_scored_once_and_all_is_on_s3(
    loop: Loop, deliver: Callable[[int], None], aws: Any, url: str
) -> None:
    deliver(0)
    assert [event.payload["file"] for event in announce(loop.services, MODEL)] == ["week 0.csv"]
    assert announce(loop.services, MODEL) == []
    done = score(loop, loop.services.inbox.resolve(MODEL, "week 0.csv")).batch
    assert done.accepted == 300
    assert done.origin == f"{url}/incoming/{MODEL}/week 0.csv"
    assert done.output == f"{url}/predictions/{MODEL}/as_of={week(0)}/{done.batch_id}.parquet"
    assert sorted(key.partition("/")[0] for key in aws.keys(url)) == ["predictions", "processed", "snapshots"]
    again = score(loop, loop.services.inbox.resolve(MODEL, "week 0.csv"), "second")
    assert again.state == "duplicate"
    assert list(loop.services.inbox.pending(MODEL)) == []


def test_s3_lost_while_a_batch_is_scored_does_not_stop_it_and_all_is_there_in_the_end(
    loop: Loop, deliver: Callable[[int], None], aws: Any, url: str
) -> None:
    deliver(0)
    (path,) = loop.services.inbox.pending(MODEL)
    aws.stop()
    done = score(loop, path).batch
    assert done.output is not None
    assert done.output.startswith(str(loop.folder))
    predictions = loop.services.predictions
    assert isinstance(predictions, FallbackTable)
    kept = predictions.scan_batch(MODEL, done.batch_id)
    assert kept is not None
    assert kept.collect()[ID].sort().to_list() == batch_frame(0)[ID].sort().to_list()
    aws.start()
    assert list(predictions.catch_up(MODEL)) == [done.batch_id]
    moved = predictions.scan(MODEL)
    assert moved is not None
    assert moved.collect().height == 300
    for waiting in loop.services.inbox.pending(MODEL):  # it could not be put away
        assert score(loop, waiting, "tidy").state == "duplicate"
    assert f"processed/{MODEL}/week 0.csv" in aws.keys(url)
