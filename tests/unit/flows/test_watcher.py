"""Arrivals become events whatever is down meanwhile; a notice goes when its arrival is on record."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from churnlib.adapters.fallback_inbox import FallbackInbox
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.events import BATCH_ARRIVED, make_event
from churnlib.ports import Ledger, LedgerTransaction
from churnlib.ports.notices import Notice
from churnlib.usecases.services import Services
from flows.watcher import Watcher
from tests.loops import MODEL, Loop, close, make_loop, small_spec, write_spec

OTHER = "other"


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    made = make_loop(tmp_path)
    yield made
    close(made)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="churn")
    return caplog


@dataclass
class Seconds:
    """A clock that stands until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Switched:
    """A ledger that can be switched off."""

    ledger: Ledger
    is_down: bool = False

    def begin(self) -> AbstractContextManager[LedgerTransaction]:
        if self.is_down:
            raise ServiceUnavailable("The ledger is locked.", hint="Wait.")
        return self.ledger.begin()


@dataclass
class FakeQueue:
    """A `NoticeQueue` whose messages are given; says at each deletion what the ledger knew by then."""

    batches: list[list[Notice]]
    sent: Callable[[], int]
    is_down: bool = False
    deleted: list[tuple[str, int]] = field(default_factory=list)

    def receive(self) -> Sequence[Notice]:
        if self.is_down:
            raise ServiceUnavailable("The queue cannot be read.", hint="Wait.")
        time.sleep(0.01)
        return self.batches.pop(0) if self.batches else []

    def delete(self, notices: Sequence[Notice]) -> None:
        if self.is_down:
            raise ServiceUnavailable("The queue cannot be emptied.", hint="Wait.")
        self.deleted += [(notice.notice_id, self.sent()) for notice in notices]


def deliver(loop: Loop, name: str, content: str = "id\n1\n", *, model: str = MODEL) -> Path:
    path = loop.data / "incoming" / model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def watcher(loop: Loop, services: Services | None = None, *, clock: Seconds | None = None) -> Watcher:
    return Watcher(lambda: services or loop.services, [], clock=clock or Seconds(), jitter=lambda: 1.0)


def files(loop: Loop) -> list[object]:
    return [event.payload["file"] for event in loop.bus.sent]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# looks


def test_what_waits_is_announced_once_however_often_one_looks(
    loop: Loop, logged: pytest.LogCaptureFixture
) -> None:
    watching = watcher(loop)
    deliver(loop, "a.csv")
    deliver(loop, "outcomes/o.csv")
    for _ in range(3):
        watching.look()
    assert files(loop) == ["a.csv", "outcomes/o.csv"]
    assert logged.messages == [
        f"{MODEL}: churn.batch.arrived a.csv",
        f"{MODEL}: churn.outcomes.arrived outcomes/o.csv",
    ]


def test_a_model_whose_spec_comes_later_is_looked_into_from_then_on(loop: Loop) -> None:
    watching = watcher(loop)
    deliver(loop, "a.csv", model=OTHER)
    watching.look()
    assert files(loop) == []
    write_spec(loop.services.specs, small_spec().model_copy(update={"name": OTHER}))
    watching.look()
    assert files(loop) == ["a.csv"]


def test_services_that_are_down_at_the_start_are_waited_for(loop: Loop, logged: pytest.LogCaptureFixture) -> None:
    answers = [ServiceUnavailable("The ledger is locked.", hint="Wait.")] * 3
    clock = Seconds()

    def opened() -> Services:
        if answers:
            raise answers.pop()
        return loop.services

    watching = Watcher(opened, [], clock=clock, jitter=lambda: 1.0)
    deliver(loop, "a.csv")
    for _ in range(4):
        watching.look()
        clock.now += 10
    assert files(loop) == ["a.csv"]
    assert warnings(logged) == ["the services: The ledger is locked. Wait. It is tried again."]


def test_a_wrong_setting_is_not_waited_for(loop: Loop) -> None:
    def opened() -> Services:
        raise ChurnError("CHURN_LEDGER_URL is the URL of nothing.", hint="Correct it.")

    with pytest.raises(ChurnError, match="URL of nothing"):
        Watcher(opened, []).look()


def test_a_ledger_that_is_locked_is_waited_for_and_what_came_meanwhile_is_caught_up_with(
    loop: Loop, logged: pytest.LogCaptureFixture
) -> None:
    ledger, clock = Switched(loop.services.ledger), Seconds()
    watching = watcher(loop, replace(loop.services, ledger=ledger), clock=clock)
    watching.look()
    ledger.is_down = True
    for name in ("a.csv", "b.csv", "c.csv"):
        deliver(loop, name)
        watching.look()
        clock.now += 100
    ledger.is_down = False
    watching.look()
    assert files(loop) == ["a.csv", "b.csv", "c.csv"]
    assert len([line for line in warnings(logged) if "inbox" in line]) == 1
    assert f"the inbox of {MODEL}: works again" in logged.messages


def test_what_others_left_in_the_outbox_is_not_the_watchers_to_send(loop: Loop) -> None:
    event = make_event(BATCH_ARRIVED, model=MODEL, subject="x", occurred_at=loop.clock(), file="x")
    with loop.services.ledger.begin() as tx:
        tx.publish(event)
    watching = watcher(loop)
    watching.look()
    assert files(loop) == []


def test_one_broken_inbox_keeps_no_other_waiting(loop: Loop, logged: pytest.LogCaptureFixture) -> None:
    class Broken(LocalInbox):
        """One model's folder cannot be read."""

        def pending(self, model: str) -> Sequence[Path]:
            if model == MODEL:
                raise OSError(5, "Input/output error")
            return super().pending(model)

    write_spec(loop.services.specs, small_spec().model_copy(update={"name": OTHER}))
    clock = Seconds()
    watching = watcher(loop, replace(loop.services, inbox=Broken(loop.data, settle_seconds=0)), clock=clock)
    for name in ("a.csv", "b.csv"):
        deliver(loop, name)
        deliver(loop, name, model=OTHER)
        watching.look()
        clock.now += 0.1
    assert [event.model for event in loop.bus.sent] == [OTHER, OTHER]
    assert warnings(logged) == [f"the inbox of {MODEL}: OSError: [Errno 5] Input/output error It is tried again."]


def test_events_that_prefect_does_not_take_are_sent_once_it_does(
    loop: Loop, logged: pytest.LogCaptureFixture
) -> None:
    clock = Seconds()
    watching = watcher(loop, clock=clock)
    loop.bus.is_down = True
    deliver(loop, "a.csv")
    watching.look()
    assert [event.payload["file"] for event in loop.unsent()] == ["a.csv"]
    loop.bus.is_down = False
    watching.look()
    assert loop.unsent() != [], "it is too early to try again"
    clock.now += 1
    watching.look()
    assert files(loop) == ["a.csv"]
    assert len(warnings(logged)) == 1


# the real thing: threads and notifications


class Ending(Watcher):
    """Ends as Ctrl-C ends it, once enough has happened."""

    enough: Callable[[], bool] = staticmethod(lambda: True)

    def look(self) -> None:
        super().look()
        if self.enough():
            raise KeyboardInterrupt


def run(watching: Ending, enough: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> float:
    """Seconds until enough had happened."""
    ends = time.monotonic() + 20
    watching.enough = lambda: enough() or time.monotonic() > ends
    threading.Timer(0.3, meanwhile).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        watching.run()
    assert enough()
    return time.monotonic() - started


def folders(loop: Loop) -> list[Path]:
    return [loop.data / "incoming", loop.services.specs]


def test_a_file_in_a_folder_that_was_not_there_is_noticed_at_once(loop: Loop) -> None:
    watching = Ending(lambda: loop.services, folders(loop), look_seconds=60)
    assert run(watching, lambda: files(loop) == ["a.csv"], lambda: deliver(loop, "a.csv")) < 5


def test_a_spec_that_is_added_is_noticed_at_once(loop: Loop) -> None:
    deliver(loop, "a.csv", model=OTHER)
    spec = small_spec().model_copy(update={"name": OTHER})
    watching = Ending(lambda: loop.services, folders(loop), look_seconds=60)
    assert run(watching, lambda: files(loop) == ["a.csv"], lambda: write_spec(loop.services.specs, spec)) < 5


def test_an_inbox_that_was_removed_and_made_anew_is_watched_again(loop: Loop) -> None:
    def replaced() -> None:
        shutil.rmtree(loop.data / "incoming")
        time.sleep(1.5)
        deliver(loop, "a.csv")

    watching = Ending(lambda: loop.services, folders(loop), look_seconds=60)
    assert run(watching, lambda: files(loop) == ["a.csv"], replaced) < 8


def test_where_nothing_notifies_a_look_every_so_often_finds_it(loop: Loop) -> None:
    watching = Ending(lambda: loop.services, [loop.folder / "elsewhere"], look_seconds=0.2)
    assert run(watching, lambda: files(loop) == ["a.csv"], lambda: deliver(loop, "a.csv")) < 5


# notices


def queue_of(loop: Loop, *notices: Notice) -> FakeQueue:
    return FakeQueue([[notice] for notice in notices], lambda: len(loop.bus.sent))


def test_a_notice_is_deleted_after_its_arrival_is_on_record(loop: Loop) -> None:
    queue = queue_of(loop, Notice("test", "r"), Notice("1", "r", frozenset({MODEL})))
    deliver(loop, "a.csv")
    watching = Ending(lambda: loop.services, [], queue=queue)
    run(watching, lambda: len(queue.deleted) == 2)
    assert sorted(queue.deleted) == [("1", 1), ("test", 1)]


def test_a_notice_is_kept_as_long_as_its_arrival_cannot_be_put_on_record(loop: Loop) -> None:
    ledger = Switched(loop.services.ledger, is_down=True)
    queue = queue_of(loop, Notice("1", "r", frozenset({MODEL})))
    deliver(loop, "a.csv")
    kept: list[bool] = []

    def back() -> None:
        kept.append(queue.batches == [] and queue.deleted == [])
        ledger.is_down = False

    watching = Ending(lambda: replace(loop.services, ledger=ledger), [], queue=queue)
    run(watching, lambda: queue.deleted != [], back)
    assert kept == [True]
    assert queue.deleted == [("1", 1)]


def test_while_s3_is_away_local_files_are_announced_and_notices_are_kept(
    loop: Loop, logged: pytest.LogCaptureFixture
) -> None:
    class Away(S3Inbox):
        """S3 that can be switched on, with nothing in it."""

        is_away = True

        def pending(self, model: str) -> Sequence[Path]:
            if self.is_away:
                raise ServiceUnavailable("The bucket cannot be listed.", hint="Wait.")
            return ()

        pending_outcomes = pending

    stored = Away(Bucket("s3://bucket/prefix"), loop.folder / "cache")
    inbox = FallbackInbox(stored, LocalInbox(loop.data, settle_seconds=0))
    queue = queue_of(loop, Notice("1", "r", frozenset({MODEL})))
    deliver(loop, "a.csv")
    kept: list[bool] = []

    def back() -> None:
        kept.append(files(loop) == ["a.csv"] and queue.deleted == [])
        stored.is_away = False

    watching = Ending(lambda: replace(loop.services, inbox=inbox), [], queue=queue)
    run(watching, lambda: queue.deleted != [], back)
    assert kept == [True]
    said = "The bucket cannot be listed. Local folders are watched meanwhile."
    assert warnings(logged) == [f"files on S3: {said} It is tried again."]
    assert "files on S3: works again" in logged.messages


def test_a_folder_of_parts_that_was_too_young_for_its_last_notice_is_found_soon_after(loop: Loop) -> None:
    class Growing(LocalInbox):
        """A folder on S3 is complete once its newest part is old enough, and nothing tells of that."""

        def pending(self, model: str) -> Sequence[Path]:
            return super().pending(model) if time.monotonic() > complete_at else []

    complete_at = time.monotonic() + 1.3
    queue = queue_of(loop, Notice("1", "r", frozenset({MODEL})))
    services = replace(loop.services, inbox=Growing(loop.data, settle_seconds=0))
    deliver(loop, "a.csv")
    watching = Ending(lambda: services, [], queue=queue, settle_seconds=0.5)
    assert run(watching, lambda: files(loop) == ["a.csv"]) < 5
    assert queue.deleted == [("1", 0)]


def test_strangers_are_left_in_the_queue_and_said_once(loop: Loop, logged: pytest.LogCaptureFixture) -> None:
    stranger = Notice("x", "r", stranger="is no S3 event notification")
    queue = queue_of(
        loop,
        stranger,
        replace(stranger, receipt="later"),
        Notice("y", "r", frozenset({"gone"})),
        Notice("1", "r", frozenset({MODEL})),
    )
    watching = Ending(lambda: loop.services, [], queue=queue)
    run(watching, lambda: [deleted for deleted, _ in queue.deleted] == ["1"])
    assert sorted(warnings(logged)) == [
        "message x is left in the queue: it is no S3 event notification",
        "message y is left in the queue: it tells of gone, which has no spec",
    ]


def test_a_queue_that_is_down_ends_nothing_and_is_read_again(loop: Loop, logged: pytest.LogCaptureFixture) -> None:
    queue = queue_of(loop, Notice("1", "r", frozenset({MODEL})))
    queue.is_down = True

    def back() -> None:
        queue.is_down = False

    watching = Ending(lambda: loop.services, [], queue=queue)
    run(watching, lambda: queue.deleted != [], back)
    assert warnings(logged) == ["the queue: The queue cannot be read. Wait. It is tried again."]
