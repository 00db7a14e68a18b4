"""A file that waits is announced once, and again only when there is something new about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from churnlib.adapters.inbox import LocalInbox
from churnlib.usecases.arrivals import announce
from tests.loops import MODEL, Loop, outcomes_of


def test_every_file_that_waits_is_announced_once(empty: Loop, frame: pl.DataFrame) -> None:
    empty.deliver(frame, "week.csv")
    empty.deliver(outcomes_of(frame), "outcomes/week.csv")
    assert [event.type.name for event in announce(empty.services, MODEL)] == [
        "churn.batch.arrived",
        "churn.outcomes.arrived",
    ]
    assert announce(empty.services, MODEL) == []
    assert [event.payload["file"] for event in empty.bus.sent] == ["week.csv", "outcomes/week.csv"]


def test_a_corrected_file_under_the_old_name_is_news(empty: Loop, frame: pl.DataFrame) -> None:
    empty.deliver(frame, "week.csv")
    announce(empty.services, MODEL)
    empty.deliver(frame.head(10), "week.csv")
    assert len(announce(empty.services, MODEL)) == 1


def test_a_file_that_another_run_took_does_not_stop_the_others(empty: Loop, frame: pl.DataFrame) -> None:
    gone, there = empty.deliver(frame, "a.csv"), empty.deliver(frame, "b.csv")
    gone.unlink()

    class Listed(LocalInbox):
        """An inbox whose list is a moment old."""

        def pending(self, model: str) -> list[Path]:
            del model
            return [gone, there]

    services = replace(empty.services, inbox=Listed(empty.data))
    assert [event.payload["file"] for event in announce(services, MODEL)] == ["b.csv"]
