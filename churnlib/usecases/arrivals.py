"""Notice files in the inbox and announce each once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType

from churnlib.errors import FileRefused
from churnlib.events import BATCH_ARRIVED, OUTCOMES_ARRIVED, Event, EventType, make_event
from churnlib.intake.files import content_id
from churnlib.intake.looks import Look, look_at
from churnlib.ports import LedgerTransaction
from churnlib.usecases.services import Services, dispatch

LOG = logging.getLogger("churn.arrivals")
_WHO = "arrivals"


@dataclass(frozen=True)
class Waiting:
    """A file in the inbox as it was when it was dealt with.

    Attributes:
        kind: of the event that announces it.
        look: its sizes and times; None where it has gone, or is a copy whose path says what it is a copy of.
        laid_at: when it came there, in seconds since 1970 by the disk's clock; 0 where a copy does not tell.
    """

    kind: EventType
    look: Look | None
    laid_at: float


def announce(services: Services, model: str, *, seen: dict[Path, Waiting] | None = None) -> list[Event]:
    """Publish an event for every file that waits and was not announced before; returns the new ones.

    The key is the file's name and content, so that a corrected file under the old name is news. A file
    that was acted on, and laid there again afterwards, is news too: under the next number of its key.

    Args:
        services: the ports.
        model: whose inbox to look into.
        seen: what was dealt with, for one who looks often and keeps it: only what changed is read again.

    Raises:
        ServiceUnavailable: the inbox or the ledger cannot be reached. That an event cannot be sent is no
            error: it stays in the outbox.
    """
    waiting = _waiting(services, model)
    news = {path: file for path, file in waiting.items() if seen is None or seen.get(path) != file}
    arrivals = {path: _arrival(services, file.kind, model, path) for path, file in news.items()}
    new = _publish(
        services, [(event, news[path].laid_at) for path, event in arrivals.items() if event is not None]
    )
    if new:
        dispatch(services)
    if seen is not None:
        seen.clear()
        seen.update(waiting)
    return new


def _waiting(services: Services, model: str) -> Mapping[Path, Waiting]:
    listed = [(path, BATCH_ARRIVED) for path in services.inbox.pending(model)]
    listed += [(path, OUTCOMES_ARRIVED) for path in services.inbox.pending_outcomes(model)]
    return {path: _look_at(services, kind, model, path) for path, kind in listed}


def _look_at(services: Services, kind: EventType, model: str, path: Path) -> Waiting:
    if "://" in services.inbox.origin(model, path):
        return Waiting(kind, None, 0.0)
    try:
        laid_at = path.stat().st_ctime  # moving a file keeps the time of its content, not this one
    except FileNotFoundError:
        laid_at = 0.0
    return Waiting(kind, look_at(path), laid_at)


def _arrival(services: Services, kind: EventType, model: str, path: Path) -> Event | None:
    name = services.inbox.name_of(model, path)
    try:
        subject = f"{name}:{content_id(path)[:16]}"
    except (FileRefused, FileNotFoundError):  # another run took it since it was listed
        return None
    except OSError as error:  # the others do not wait for it
        LOG.warning("%s cannot be read and is not announced: %s", path, error.strerror or error)
        return None
    return make_event(kind, model=model, subject=subject, occurred_at=services.clock(), file=name)


def _publish(services: Services, arrivals: list[tuple[Event, float]]) -> list[Event]:
    """Put those into the outbox that are news; the ledger is left alone where nothing arrived."""
    if not arrivals:
        return []
    with services.ledger.begin() as tx:
        told = [_next(tx, event, laid_at) for event, laid_at in arrivals]
        return [event for event in told if event is not None and tx.publish(event)]


def _next(tx: LedgerTransaction, event: Event, laid_at: float) -> Event | None:
    """The event under the first number of its key that is free; None where the arrival before is this one."""
    last, free = None, event
    for number in count(2):
        if (known := tx.event(free.key)) is None:
            break
        last, free = known, _numbered(event, number)
    if last is None or (laid_at > last.occurred_at.timestamp() and _is_done(tx, last.key, event)):
        return free
    return None


def _numbered(event: Event, number: int) -> Event:
    key = f"{event.key}:{number}"
    return replace(event, key=key, payload=MappingProxyType({**event.payload, "key": key}))


def _is_done(tx: LedgerTransaction, key: str, event: Event) -> bool:
    claim = tx.claim(key, owner=_WHO, now=event.occurred_at, lease_seconds=0)
    tx.release(key, owner=_WHO)
    return claim.state == "done"
