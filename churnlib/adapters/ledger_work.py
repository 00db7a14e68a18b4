"""Events that wait to be sent, and keys whose work is done once."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, Select, exists, select, update

from churnlib.adapters.ledger_rows import changed, insert_once
from churnlib.adapters.ledger_schema import EVENTS, WORK
from churnlib.events import Event, EventType, event_type
from churnlib.records import Claim


class Outbox:
    """The part of a transaction that keeps events until they are sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, event: Event) -> bool:
        """Put the event into the outbox; False when its key is there already."""
        values = {
            "event_id": event.id,
            "key": event.key,
            "name": event.type.name,
            "model": event.model,
            "payload": dict(event.payload),
            "occurred_at": event.occurred_at,
            "attempts": 0,
        }
        return insert_once(self._connection, EVENTS, values)

    def event(self, key: str) -> Event | None:
        """The event of that key, sent or not."""
        found = self._events(select(EVENTS).where(EVENTS.c.key == key))
        return found[0] if found else None

    def unsent(self, *, limit: int = 100) -> list[Event]:
        """Oldest first; of the same time, in the order they were published."""
        query = select(EVENTS).where(EVENTS.c.sent_at.is_(None))
        return self._events(query.order_by(EVENTS.c.occurred_at, EVENTS.c.seq).limit(limit))

    def mark_sent(self, event_id: UUID, at: datetime) -> None:
        """Take it out of what waits; sent again, the later time counts."""
        sent = update(EVENTS).where(EVENTS.c.event_id == event_id)
        self._connection.execute(sent.values(sent_at=at, last_error=None))

    def mark_failed(self, event_id: UUID, error: str) -> None:
        """Count a failed attempt and keep its message."""
        failed = update(EVENTS).where(EVENTS.c.event_id == event_id)
        self._connection.execute(failed.values(attempts=EVENTS.c.attempts + 1, last_error=error))

    def lost(self, name: str, *, sent_before: datetime, now: datetime) -> list[Event]:
        """Events of that name, sent before the time, whose key nobody holds or finished; oldest first."""
        is_held = WORK.c.owner.is_not(None) & (WORK.c.leased_until > now)
        in_hand = exists().where(WORK.c.key == EVENTS.c.key, WORK.c.done_at.is_not(None) | is_held)
        query = select(EVENTS).where(EVENTS.c.name == name, EVENTS.c.sent_at < sent_before, ~in_hand)
        return self._events(query.order_by(EVENTS.c.occurred_at, EVENTS.c.seq))

    def _events(self, query: Select[Any]) -> list[Event]:
        return [_event(row) for row in self._connection.execute(query).mappings()]


def _event(row: RowMapping) -> Event:
    payload = MappingProxyType(dict(row["payload"]))
    try:
        kind = event_type(row["name"])
    except KeyError:  # written by an earlier version of the code; it still is to be sent
        kind = EventType(row["name"], "no longer defined", tuple(payload))
    return Event(kind, row["model"], row["key"], row["occurred_at"], payload)


class Work:
    """The part of a transaction that hands out keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, key: str, *, owner: str, now: datetime, lease_seconds: float) -> Claim:
        """Take the key: `mine` when free, when the lease ran out or when the owner holds it already."""
        lease = {"owner": owner, "leased_until": now + timedelta(seconds=lease_seconds)}
        if insert_once(self._connection, WORK, {"key": key, **lease}):
            return Claim(state="mine", owner=owner)
        is_free = WORK.c.owner.is_(None) | (WORK.c.owner == owner) | (WORK.c.leased_until <= now)
        take = update(WORK).where(WORK.c.key == key, WORK.c.done_at.is_(None), is_free)
        if changed(self._connection, take.values(lease)):
            return Claim(state="mine", owner=owner)
        held = self._connection.execute(select(WORK).where(WORK.c.key == key)).mappings().one()
        state = "busy" if held["done_at"] is None else "done"
        return Claim(state=state, result=held["result"], owner=held["owner"])

    def finish(self, key: str, *, result: str, now: datetime) -> None:
        """Mark the key as done for ever (inserting it where it was never claimed); the first result stays."""
        insert_once(self._connection, WORK, {"key": key})
        done = update(WORK).where(WORK.c.key == key, WORK.c.done_at.is_(None))
        self._connection.execute(done.values(done_at=now, result=result, leased_until=None))

    def release(self, key: str, *, owner: str) -> None:
        """Give the key back undone; nothing happens when another owner holds it or it is done."""
        mine = update(WORK).where(WORK.c.key == key, WORK.c.owner == owner, WORK.c.done_at.is_(None))
        self._connection.execute(mine.values(owner=None, leased_until=None))
