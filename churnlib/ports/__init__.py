"""What the use cases need from the outside, as protocols. Adapters fulfil them; fakes in tests do too."""

from churnlib.ports.ledger import Ledger, LedgerTransaction
from churnlib.ports.registry import (
    CHALLENGER,
    CHAMPION,
    FORMER_CHAMPION,
    ModelRegistry,
    ModelVersion,
    Registration,
)
from churnlib.ports.stores import BatchTable, Inbox
from churnlib.ports.surroundings import DriftReporter, EventBus, Progress, Silent

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "FORMER_CHAMPION",
    "BatchTable",
    "DriftReporter",
    "EventBus",
    "Inbox",
    "Ledger",
    "LedgerTransaction",
    "ModelRegistry",
    "ModelVersion",
    "Progress",
    "Registration",
    "Silent",
]
