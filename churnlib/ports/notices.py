"""Who tells that something arrived, where nobody has to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Notice:
    """One message of a queue.

    Attributes:
        notice_id: the same each time the message is delivered.
        receipt: of this delivery; it is what a message is deleted by.
        models: whose inbox it tells of; empty where there is nothing to do but to delete it.
        stranger: why it is no message for us, in words that follow "it"; None where it is one.
    """

    notice_id: str
    receipt: str
    models: frozenset[str] = frozenset()
    stranger: str | None = None


class NoticeQueue(Protocol):
    """Notices of arrivals; what is not deleted comes again.

    Both methods raise ServiceUnavailable when the queue cannot be reached, another ChurnError when it refuses.
    """

    def receive(self) -> Sequence[Notice]:
        """Wait for messages, for some seconds at most; empty where none came."""
        ...

    def delete(self, notices: Sequence[Notice]) -> None:
        """Take the messages out of the queue; nothing happens for one that is gone."""
        ...
