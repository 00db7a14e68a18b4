"""Who carries events, draws reports and says how far long work is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl

from churnlib.events import Event


class EventBus(Protocol):
    """Carries events to whoever is triggered by them."""

    def emit(self, event: Event) -> None:
        """Deliver one event, confirmed.

        Raises:
            ServiceUnavailable: the bus cannot be reached or did not take it.
        """
        ...


class DriftReporter(Protocol):
    """Makes the drift report that people look at."""

    def write(self, reference: pl.DataFrame, current: pl.DataFrame, destination: Path) -> Path:
        """Write one self-contained HTML page about two samples with the same columns."""
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def step(self, text: str) -> None:
        """Say what is being done now."""
        ...

    def advance(self, done: int, total: int, unit: str) -> None:
        """Say how much is done; a total of 0 is not known yet."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int, unit: str) -> None:
        """Say nothing."""
