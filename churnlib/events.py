"""The events that chain the flows: their names, what they carry, and the key that makes each act once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID, uuid5

NAMESPACE = UUID("6f0d5c5e-6a0e-5b5e-9c58-5f2f1f0c3a11")

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class EventType:
    """One kind of event.

    Attributes:
        name: dotted name, as it stands in `prefect.yaml`.
        meaning: one line for people.
        payload: the payload's fields; every event carries `key` and `model` as well.
    """

    name: str
    meaning: str
    payload: tuple[str, ...]


BATCH_ARRIVED = EventType("churn.batch.arrived", "a file of customers lies in the inbox", ("file",))
BATCH_SCORED = EventType(
    "churn.batch.scored", "a batch was scored and written", ("batch_id", "as_of", "version", "rows")
)
BATCH_REFUSED = EventType("churn.batch.refused", "a file was moved to failed/", ("file", "reason"))
DRIFT_DETECTED = EventType(
    "churn.drift.detected", "inputs or scores moved and stayed", ("batch_id", "as_of", "triage", "reason")
)
BATCH_DUPLICATE = EventType(
    "churn.batch.duplicate",
    "content that was scored before was delivered again",
    ("file", "batch_id", "first_file"),
)
OUTCOMES_ARRIVED = EventType("churn.outcomes.arrived", "a file of outcomes lies in the inbox", ("file",))
PERFORMANCE_DEGRADED = EventType(
    "churn.performance.degraded", "matured outcomes say the champion got worse", ("as_of", "reason")
)
CHALLENGER_REGISTERED = EventType(
    "churn.challenger.registered",
    "a challenger won its comparison and awaits a person",
    ("version", "as_of", "approval_id"),
)
CHALLENGER_HELD = EventType("churn.challenger.held", "a challenger did not pass the gates", ("version", "reason"))
CHAMPION_CHANGED = EventType(
    "churn.champion.changed", "the champion alias moved", ("version", "from_version", "kind")
)
ALIAS_EDITED = EventType(
    "churn.alias.edited",
    "an alias was moved by hand, past the record",
    ("alias", "version", "recorded_version"),
)
APPROVAL_EXPIRED = EventType("churn.approval.expired", "nobody answered in time", ("approval_id", "version"))

EVENT_TYPES = (
    BATCH_ARRIVED,
    BATCH_SCORED,
    BATCH_REFUSED,
    BATCH_DUPLICATE,
    DRIFT_DETECTED,
    OUTCOMES_ARRIVED,
    PERFORMANCE_DEGRADED,
    CHALLENGER_REGISTERED,
    CHALLENGER_HELD,
    CHAMPION_CHANGED,
    ALIAS_EDITED,
    APPROVAL_EXPIRED,
)


@dataclass(frozen=True)
class Event:
    """One event, as it stands in the ledger's outbox and as it is sent.

    Attributes:
        type: what happened.
        model: registered model name; the event's resource is `churn.model.<model>`.
        key: what makes the event one and the same: the ledger keeps one event a key,
            and whatever is triggered by it works under this key once.
        occurred_at: UTC.
        payload: scalars only.
    """

    type: EventType
    model: str
    key: str
    occurred_at: datetime
    payload: Mapping[str, Scalar]

    @property
    def id(self) -> UUID:
        """The same for the same key, so that a second delivery is recognised as the first."""
        return uuid5(NAMESPACE, self.key)

    @property
    def resource_id(self) -> str:
        """What Prefect's automations match on."""
        return f"churn.model.{self.model}"


def event_key(kind: EventType, *, model: str, subject: str) -> str:
    """The key of the event of that kind about that subject."""
    return f"{kind.name}:{model}:{subject}"


def make_event(kind: EventType, /, *, model: str, subject: str, occurred_at: datetime, **payload: Scalar) -> Event:
    """Build an event whose key is `<name>:<model>:<subject>`.

    Raises:
        ValueError: the payload's fields are not those that the event type declares.
    """
    if set(payload) != set(kind.payload):
        raise ValueError(f"{kind.name} carries {sorted(kind.payload)}, not {sorted(payload)}")
    key = event_key(kind, model=model, subject=subject)
    return Event(kind, model, key, occurred_at, MappingProxyType({"key": key, "model": model, **payload}))


def event_type(name: str) -> EventType:
    """Return the type of that name; raises KeyError for a name the project does not define."""
    return {kind.name: kind for kind in EVENT_TYPES}[name]
