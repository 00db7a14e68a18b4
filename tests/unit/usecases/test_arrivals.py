"""A file that waits is announced once, and again only when there is something new about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest

from churnlib.adapters.inbox import LocalInbox
from churnlib.errors import ServiceUnavailable
from churnlib.events import Event
from churnlib.intake.files import content_id
from churnlib.usecases import arrivals
from churnlib.usecases.arrivals import Waiting, announce
from tests.loops import MODEL, Loop, outcomes_of

HOUR = timedelta(hours=1)


def at(path: Path, loop: Loop, after: timedelta) -> None:
    """Set the clock by the time at which the disk got the file: tests cannot choose that."""
    loop.clock.now = datetime.fromtimestamp(path.stat().st_ctime, UTC) + after


def done(loop: Loop, event: Event) -> None:
    """What a run does at its end."""
    with loop.services.ledger.begin() as tx:
        tx.finish(event.key, result="scored", now=loop.clock())


def test_every_file_that_waits_is_announced_once(empty: Loop, frame: pl.DataFrame) -> None:
    empty.deliver(frame, "week.csv")
    empty.deliver(outcomes_of(frame), "outcomes/week.csv")
    assert [event.type.name for event in announce(empty.services, MODEL)] == [
        "churn.batch.arrived",
        "churn.outcomes.arrived",
    ]
    assert announce(empty.services, MODEL) == []
    assert [event.payload["file"] for event in empty.bus.sent] == ["week.csv", "outcomes/week.csv"]


def test_a_corrected_file_under_the_old_name_is_news(empty: Loop, frame: pl.DataFrame) -> None:
    empty.deliver(frame, "week.csv")
    announce(empty.services, MODEL)
    empty.deliver(frame.head(10), "week.csv")
    assert len(announce(empty.services, MODEL)) == 1


def test_a_file_that_another_run_took_does_not_stop_the_others(empty: Loop, frame: pl.DataFrame) -> None:
    gone, there = empty.deliver(frame, "a.csv"), empty.deliver(frame, "b.csv")
    gone.unlink()

    class Listed(LocalInbox):
        """An inbox whose list is a moment old."""

        def pending(self, model: str) -> list[Path]:
            del model
            return [gone, there]

    services = replace(empty.services, inbox=Listed(empty.data))
    assert [event.payload["file"] for event in announce(services, MODEL)] == ["b.csv"]


# laid there again


def test_a_file_that_was_acted_on_and_laid_there_again_is_news(empty: Loop, frame: pl.DataFrame) -> None:
    path = empty.deliver(frame, "week.csv")
    at(path, empty, -HOUR)
    for number in ("", ":2", ":3"):
        (event,) = announce(empty.services, MODEL)
        assert event.key.endswith(f"week.csv:{event.key.split(':')[3]}{number}")
        assert event.payload["key"] == event.key
        done(empty, event)
    assert len({event.id for event in empty.bus.sent}) == 3


def test_a_file_that_nobody_acted_on_yet_is_no_news_wherever_it_was_meanwhile(
    empty: Loop, frame: pl.DataFrame
) -> None:
    path = empty.deliver(frame, "week.csv")
    at(path, empty, -HOUR)
    (event,) = announce(empty.services, MODEL)
    assert announce(empty.services, MODEL) == []
    with empty.services.ledger.begin() as tx:
        earlier = empty.clock() - HOUR  # by the clock of another machine
        assert tx.claim(event.key, owner="run", now=earlier, lease_seconds=7200).state == "mine"
    assert announce(empty.services, MODEL) == []
    with empty.services.ledger.begin() as tx:
        assert tx.claim(event.key, owner="other", now=empty.clock(), lease_seconds=60).owner == "run"


def test_a_file_that_was_acted_on_and_could_not_be_moved_is_no_news(empty: Loop, frame: pl.DataFrame) -> None:
    path = empty.deliver(frame, "week.csv")
    at(path, empty, HOUR)
    (event,) = announce(empty.services, MODEL)
    done(empty, event)
    assert announce(empty.services, MODEL) == []


# looking often


def test_who_looks_often_reads_only_what_changed(
    empty: Loop, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return content_id(path)

    monkeypatch.setattr(arrivals, "content_id", counted)
    seen: dict[Path, Waiting] = {}
    empty.deliver(frame, "a.csv")
    assert len(announce(empty.services, MODEL, seen=seen)) == 1
    assert announce(empty.services, MODEL, seen=seen) == []
    empty.deliver(frame.head(20), "b.csv")
    assert len(announce(empty.services, MODEL, seen=seen)) == 1
    empty.deliver(frame.head(30), "a.csv")
    assert len(announce(empty.services, MODEL, seen=seen)) == 1
    assert read == ["a.csv", "b.csv", "a.csv"]
    (empty.data / "incoming" / MODEL / "a.csv").unlink()
    announce(empty.services, MODEL, seen=seen)
    assert [path.name for path in seen] == ["b.csv"]


def test_what_could_not_be_put_on_record_is_not_taken_for_seen(empty: Loop, frame: pl.DataFrame) -> None:
    empty.deliver(frame, "a.csv")
    seen: dict[Path, Waiting] = {}
    with pytest.raises(ServiceUnavailable):
        announce(replace(empty.services, ledger=Down()), MODEL, seen=seen)
    assert len(announce(empty.services, MODEL, seen=seen)) == 1


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_announced(
    empty: Loop, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def refused(path: Path) -> str:
        if path.name == "a.csv":
            raise PermissionError(13, "Permission denied")
        return content_id(path)

    monkeypatch.setattr(arrivals, "content_id", refused)
    for name in ("a.csv", "b.csv"):
        empty.deliver(frame, name)
    seen: dict[Path, Waiting] = {}
    new = [event.payload["file"] for _ in range(3) for event in announce(empty.services, MODEL, seen=seen)]
    assert new == ["b.csv"]
    (line,) = caplog.messages
    assert "a.csv cannot be read and is not announced: Permission denied" in line


def test_where_nothing_waits_the_ledger_is_left_alone(empty: Loop) -> None:
    assert announce(replace(empty.services, ledger=Down()), MODEL) == []


class Down:
    """A ledger that cannot be reached."""

    def begin(self) -> NoReturn:
        raise ServiceUnavailable("The ledger is locked.", hint="Wait.")
