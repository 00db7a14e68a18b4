"""`churn watch`: arrivals become events within seconds, whatever is down meanwhile."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path

from watchfiles import watch

from churnlib.errors import ServiceUnavailable
from churnlib.ports.notices import Notice, NoticeQueue
from churnlib.usecases.arrivals import Waiting, announce
from churnlib.usecases.services import Services, dispatch
from flows import interrupts
from flows.patience import Patience
from flows.wiring import outage

LOG = logging.getLogger("churn.watcher")

LOOK_SECONDS = 10.0
"""Between two looks where nothing tells: S3 without a queue, a folder of another machine."""
NET_SECONDS = 300.0
"""The same where a queue tells."""

_FOLDERS_SECONDS = 1.0
"""Between two checks that the folders are still the ones that notify: a new one of the same name does not."""

_STRANGERS_KEPT = 1000


class Watcher:
    """Announces what arrives in the inbox; that a file is announced once is the ledger's work.

    It looks when a folder changed, when the queue tells, and every so often in any case. One model whose
    inbox is broken does not keep the others waiting.
    """

    def __init__(
        self,
        open_services: Callable[[], Services],
        folders: Sequence[Path],
        *,
        queue: NoticeQueue | None = None,
        look_seconds: float | None = None,
        settle_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Make one; nothing is opened before `run` or `look`.

        Args:
            open_services: called again where it raises ServiceUnavailable.
            folders: whose changes are a reason to look: incoming/ and the specs. They are made where missing.
            queue: tells of new objects in S3.
            look_seconds: between two looks in any case.
            settle_seconds: so long after a notice one more look is due: a folder of parts is not complete before.
            clock: seconds that only grow.
            jitter: from 0 to 1.
        """
        self._open_services, self._folders, self._queue = open_services, folders, queue
        self._every = look_seconds or (NET_SECONDS if queue else LOOK_SECONDS)
        self._clock, self._settle_seconds, self._again = clock, settle_seconds + 1, math.inf
        self._patience = partial(Patience, clock=clock, jitter=jitter)
        self._patiences: dict[str, Patience] = {}
        self._tried: list[Patience] = []
        self._services: Services | None = None
        self._seen: dict[str, dict[Path, Waiting]] = {}
        self._notices: dict[str, Notice] = {}
        self._strangers: set[str] = set()
        self._is_unsent = False
        self._wake, self._stopping = threading.Event(), threading.Event()

    def run(self) -> None:
        """Watch until somebody asks to stop.

        Raises:
            KeyboardInterrupt: somebody did.
            ChurnError: a setting is wrong.
        """
        listening = [threading.Thread(target=self._listen_to_folders, name="folders", daemon=True)]
        if self._queue is not None:
            listening.append(threading.Thread(target=self._listen_to_queue, args=(self._queue,), daemon=True))
        for thread in listening:
            thread.start()
        try:
            while True:
                self._wake.clear()
                self.look()
                interrupts.check()
                self._wake.wait(self._rest())
        finally:
            self._stopping.set()
            listening[0].join(1)  # the other one may wait for a message, and is left to it

    def look(self) -> None:
        """Announce what is new in every inbox, see that it was sent, and delete the notices of it."""
        self._tried.clear()
        if self._services is None and not self._try("the services", self._open, forgiven=ServiceUnavailable):
            return  # a wrong setting does not mend itself, and ends the watcher
        services = self._services
        assert services is not None
        told, names = list(self._notices.values()), list[str]()
        if told or self._clock() >= self._again:
            self._again = self._clock() + self._settle_seconds if told else math.inf
        self._try("the specs", lambda: names.extend(services.model_names()))
        looked = {name for name in names if self._look_into(services, name)}
        if self._is_unsent:
            self._try("sending events", partial(self._send, services))
        if (away := outage(services)) is not None:  # local files were announced all the same
            looked.clear()
        self._try("files on S3", partial(_check, away))
        self._answer(told, known=frozenset(names), looked=looked)

    def _open(self) -> None:
        self._services = self._open_services()

    def _look_into(self, services: Services, model: str) -> bool:
        return self._try(f"the inbox of {model}", partial(self._announce, services, model))

    def _announce(self, services: Services, model: str) -> None:
        for event in announce(services, model, seen=self._seen.setdefault(model, {})):
            LOG.info("%s: %s %s", model, event.type.name, event.payload["file"])
            self._is_unsent = True

    def _send(self, services: Services) -> None:
        """Send what `announce` could not; whatever else waits in the outbox is the watchdog's work."""
        if dispatch(services)[1]:
            raise ServiceUnavailable(
                "Prefect does not take the events that wait in the outbox.", hint="They are kept until it does."
            )
        self._is_unsent = False

    def _answer(self, told: Sequence[Notice], *, known: frozenset[str], looked: Set[str]) -> None:
        """Delete the notices of what is announced now; the others are kept until it is."""
        for notice in told:
            for model in notice.models - known:
                self._leave(notice, f"tells of {model}, which has no spec")
        done = [notice for notice in told if notice.models <= looked]
        if done:
            self._try("the queue's messages", partial(self._delete, done))

    def _delete(self, notices: Sequence[Notice]) -> None:
        assert self._queue is not None
        self._queue.delete(notices)
        for notice in notices:
            self._notices.pop(notice.notice_id, None)

    def _leave(self, notice: Notice, why: str) -> None:
        """Leave a message in the queue, for whoever it is meant for, or until it is moved to the dead ones."""
        self._notices.pop(notice.notice_id, None)
        if notice.notice_id not in self._strangers:
            LOG.warning("message %s is left in the queue: it %s", notice.notice_id, why)
        if len(self._strangers) >= _STRANGERS_KEPT:
            self._strangers.clear()
        self._strangers.add(notice.notice_id)

    def _try(self, what: str, act: Callable[[], object], *, forgiven: type[Exception] = Exception) -> bool:
        patience = self._patiences.setdefault(what, self._patience(what))
        self._tried.append(patience)
        return patience.attempt(act, forgiven=forgiven)

    def _rest(self) -> float:
        """How long to wait for a reason to look: until the next look in any case, or the next try."""
        rests = [rest for each in self._tried if (rest := each.rest) is not None]
        return min([self._every, max(self._again - self._clock(), 0.0), *rests])

    def _listen_to_folders(self) -> None:
        patience = self._patience("notifications of folders")
        while not self._stopping.is_set():
            if not patience.attempt(self._watch_folders):
                self._stopping.wait(patience.rest)

    def _watch_folders(self) -> None:
        """Ask for a look at every change, until a folder is replaced by another one, or gone."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        places = [_place(folder) for folder in self._folders]
        is_new = True
        for changes in watch(
            *self._folders,
            watch_filter=None,
            stop_event=self._stopping,
            rust_timeout=round(_FOLDERS_SECONDS * 1000),
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            if changes or is_new:  # what came before the first notification could come
                self._wake.set()
            is_new = False
            if [_place(folder) for folder in self._folders] != places:
                return

    def _listen_to_queue(self, queue: NoticeQueue) -> None:
        patience = self._patience("the queue")
        while not self._stopping.is_set():
            if not patience.attempt(partial(self._receive, queue)):
                self._stopping.wait(patience.rest)

    def _receive(self, queue: NoticeQueue) -> None:
        for notice in queue.receive():
            if notice.stranger is None:
                self._notices[notice.notice_id] = notice
                self._wake.set()
            else:
                self._leave(notice, notice.stranger)


def _check(away: str | None) -> None:
    if away is not None:
        raise ServiceUnavailable(away, hint="Local folders are watched meanwhile.")


def _place(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that took its name; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
