"""Notice files in the inbox and announce each once."""

from __future__ import annotations

from pathlib import Path

from churnlib.errors import FileRefused
from churnlib.events import BATCH_ARRIVED, OUTCOMES_ARRIVED, Event, EventType, make_event
from churnlib.intake.files import content_id
from churnlib.usecases.services import Services, dispatch


def announce(services: Services, model: str) -> list[Event]:
    """Publish an event for every file that waits and was not announced before; returns the new ones.

    The key is the file's name and content, so that a corrected file under the old name is news.
    """
    waiting = [(BATCH_ARRIVED, path) for path in services.inbox.pending(model)]
    waiting += [(OUTCOMES_ARRIVED, path) for path in services.inbox.pending_outcomes(model)]
    arrivals = [_arrival(services, kind, model, path) for kind, path in waiting]
    events = [event for event in arrivals if event is not None]
    with services.ledger.begin() as tx:
        new = [event for event in events if tx.publish(event)]
    dispatch(services)
    return new


def _arrival(services: Services, kind: EventType, model: str, path: Path) -> Event | None:
    name = services.inbox.name_of(model, path)
    try:
        subject = f"{name}:{content_id(path)[:16]}"
    except (FileRefused, FileNotFoundError):  # another run took it since it was listed
        return None
    return make_event(kind, model=model, subject=subject, occurred_at=services.clock(), file=name)
