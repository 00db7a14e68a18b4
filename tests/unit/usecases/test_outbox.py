"""Events outlast a bus that is down, and come in order, each under one id."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import polars as pl
import pytest

from churnlib.events import BATCH_SCORED, Event, Scalar, make_event
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import dispatch
from tests.killing import Killed, Process
from tests.loops import MODEL, Loop, run


def publish(loop: Loop, *subjects: str) -> list[Event]:
    """Put events into the outbox, a second apart."""
    events = []
    for subject in subjects:
        loop.clock.move(seconds=1)
        payload: dict[str, Scalar] = {"batch_id": subject, "as_of": "2025-01-06", "version": 1, "rows": 3}
        events.append(make_event(BATCH_SCORED, model=MODEL, subject=subject, occurred_at=loop.clock(), **payload))
        with loop.services.ledger.begin() as tx:
            tx.publish(events[-1])
    return events


def outbox(loop: Loop) -> list[tuple[str, int, str | None]]:
    """Key, failed attempts and last error of every event that waits, as they stand in the file."""
    with sqlite3.connect(loop.data / "ledger.db") as connection:
        query = "select key, attempts, last_error from events where sent_at is null order by seq"
        return connection.execute(query).fetchall()


def test_a_bus_that_is_down_fails_no_scoring_and_loses_no_event(loop: Loop, frame: pl.DataFrame) -> None:
    loop.bus.is_down = True
    result = score_file(loop.services, run(), model=MODEL, path=loop.deliver(frame, "week.csv"))
    assert result.state == "scored"
    key = f"churn.batch.scored:{MODEL}:{result.batch.batch_id}"
    assert outbox(loop) == [(key, 1, "The fake bus is down.")]
    loop.bus.is_down = False
    assert dispatch(loop.services) == (1, 0)
    assert [event.key for event in loop.bus.sent] == [key]
    assert loop.unsent() == []


def test_what_waited_is_sent_once_each_in_order(empty: Loop) -> None:
    events = publish(empty, "a", "b", "c")
    empty.bus.is_down = True
    assert dispatch(empty.services) == (0, 3)
    empty.bus.is_down = False
    assert dispatch(empty.services) == (3, 0)
    assert dispatch(empty.services) == (0, 0)
    assert [event.id for event in empty.bus.sent] == [event.id for event in events]


def test_a_bus_that_goes_down_midway_keeps_the_rest_in_order(empty: Loop) -> None:
    publish(empty, "a", "b", "c")

    class TakesOne:
        def __init__(self) -> None:
            self.taken = 0

        def emit(self, event: Event) -> None:
            empty.bus.is_down = self.taken == 1
            self.taken += 1
            empty.bus.emit(event)

    services = replace(empty.services, bus=TakesOne())
    assert dispatch(services) == (1, 2)
    assert [event.payload["batch_id"] for event in empty.unsent()] == ["b", "c"]
    assert [attempts for _, attempts, _ in outbox(empty)] == [1, 0]


def test_a_limit_sends_the_oldest(empty: Loop) -> None:
    publish(empty, "a", "b", "c")
    assert dispatch(empty.services, limit=2) == (2, 0)
    assert [event.payload["batch_id"] for event in empty.bus.sent] == ["a", "b"]


def test_without_a_bus_events_wait(empty: Loop) -> None:
    publish(empty, "a")
    services = replace(empty.services, bus=None)
    assert dispatch(services) == (0, 0)
    assert len(empty.unsent()) == 1


def test_killed_between_sending_and_noting_it_sends_again_under_the_same_id(empty: Loop) -> None:
    [event] = publish(empty, "a")
    with pytest.raises(Killed):
        dispatch(Process(2).lend(empty.services))  # the first call reads what waits, the second sends
    assert [sent.id for sent in empty.bus.sent] == [event.id]
    assert dispatch(empty.services) == (1, 0)
    assert [sent.id for sent in empty.bus.sent] == [event.id, event.id]
    assert empty.unsent() == []
