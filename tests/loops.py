"""The whole loop over real parts in a temporary folder; only the registry and the bus are fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tomlkit

from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.events import Event
from churnlib.ports import CHAMPION, Progress, Registration, Silent
from churnlib.records import Batch, Decision, Transition
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL, Spec
from churnlib.usecases.folders import Folders
from churnlib.usecases.outcomes import RECEIVED_AT
from churnlib.usecases.services import Run, Services
from tests import builders
from tests.fakes import FakeBus, FakeRegistry

MODEL = "telly"
HORIZON_DAYS = 7
FIRST = builders.FIRST_AS_OF

POLICIES: Mapping[str, Any] = {
    "horizon_days": HORIZON_DAYS,
    "drift": {"min_rows": 200},
    "retraining": {"cooldown_days": 7},
    "promotion": {"bootstrap_rounds": 100, "max_calibration_error": 0.25},
}
"""Made for a few hundred customers a week."""


def week(number: int) -> date:
    """The `as_of` of a week; the first is 0."""
    return FIRST + timedelta(weeks=number)


def batch_frame(number: int, rows: int = 300) -> pl.DataFrame:
    """The accepted rows of a week, each customer drawn anew."""
    return builders.accepted(rows, seed=500 + number, as_of=week(number))


def outcomes_of(accepted: pl.DataFrame, *, turned: bool = False, seed: int = 0) -> pl.DataFrame:
    """What became of the customers by the builders' rule, or by its opposite: customer, as_of, churned."""
    margin = np.log(1 / builders.churn_rate(accepted) - 1)
    margin = (margin - margin.mean()) * (-1 if turned else 1) + 0.5
    churned = np.random.default_rng(seed).random(accepted.height) < 1 / (1 + np.exp(margin))
    return accepted.select(ID, AS_OF).with_columns(pl.Series(LABEL, churned))


def as_delivered(accepted: pl.DataFrame) -> pl.DataFrame:
    """The columns as the files call them."""
    return accepted.rename({ID: "customer", LABEL: "churn"}, strict=False)


@dataclass
class Clock:
    """Says what tests tell it."""

    now: datetime

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now

    def move(self, **delta: float) -> None:
        """Let time pass."""
        self.now += timedelta(**delta)

    def set_to(self, day: date) -> None:
        """Nine o'clock of that day."""
        self.now = datetime.combine(day, time(9), tzinfo=UTC)


@dataclass
class PageReporter:
    """A `DriftReporter` whose page says how many rows it compares."""

    pages: list[Path] = field(default_factory=list)

    def write(self, reference: pl.DataFrame, current: pl.DataFrame, destination: Path) -> Path:
        """Write the page."""
        destination.write_text(f"<p>{reference.height} {current.height}</p>")
        self.pages.append(destination)
        return destination


@dataclass(frozen=True)
class Loop:
    """Services and what tests hold of them."""

    folder: Path
    services: Services
    registry: FakeRegistry
    bus: FakeBus
    clock: Clock
    reporter: PageReporter

    @property
    def data(self) -> Path:
        """The folder of incoming/, processed/, failed/ and the tables."""
        return self.folder / "data"

    def restarted(self) -> Services:
        """The services of a new process over the same folders."""
        return replace(self.services, releases={})

    def deliver(self, frame: pl.DataFrame, name: str) -> Path:
        """Lay a CSV of the frame into the inbox; `outcomes/<name>` for outcomes."""
        path = self.data / "incoming" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        as_delivered(frame).write_csv(path)
        return path

    def batches(self) -> list[Batch]:
        """Every batch on record."""
        with self.services.ledger.begin() as tx:
            return tx.batches(MODEL)

    def decisions(self) -> list[Decision]:
        """Every answer of the policy on record."""
        with self.services.ledger.begin() as tx:
            return tx.decisions(MODEL)

    def transitions(self) -> list[Transition]:
        """Every move of the champion on record."""
        with self.services.ledger.begin() as tx:
            return tx.transitions(MODEL)

    def unsent(self) -> list[Event]:
        """What waits in the outbox."""
        with self.services.ledger.begin() as tx:
            return tx.unsent()

    def sent(self, name: str) -> list[Event]:
        """Events of that name that the bus took."""
        return [event for event in self.bus.sent if event.type.name == name]

    def champion(self) -> int | None:
        """The version with the alias."""
        version = self.registry.by_alias(MODEL, CHAMPION)
        return version.version if version else None

    def register(
        self, release: Path, *, key: str = "first", alias: str | None = CHAMPION, model: str = MODEL
    ) -> int:
        """Put a release into the registry without any record of it in the ledger."""
        registration = Registration(
            model=model,
            experiment=model,
            key=key,
            release=release,
            plots=None,
            inputs={},
            params={},
            metrics={},
            tags={},
            source="tests",
            source_digest="",
            training_rows=0,
        )
        version = self.registry.register(registration).version
        if alias is not None:
            self.registry.set_alias(model, alias, version)
        return version

    def know(self, outcomes: pl.DataFrame, *, known_at: date, file_id: str) -> None:
        """Put outcomes into the table without a file, whatever a file may not say."""
        received = pl.lit(self.clock()).cast(pl.Datetime("us", "UTC"))
        rows = outcomes.lazy().with_columns(pl.lit(known_at).alias(KNOWN_AT), received.alias(RECEIVED_AT))
        self.services.outcomes.replace(MODEL, file_id, outcomes.item(0, AS_OF), rows)


MakeLoop = Callable[[], Loop]
"""Makes loops, each in a folder of its own."""


def small_spec(**changes: Any) -> Spec:
    """The builders' spec with `POLICIES`; `changes` are merged into both."""
    merged = {
        name: {**POLICIES.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }
    return builders.spec(**{**POLICIES, **merged})


def write_spec(folder: Path, spec: Spec) -> Path:
    """Write the spec as the file that `load_spec` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    content = spec.model_dump(mode="json", exclude={"name"}, exclude_none=True, exclude_defaults=True)
    path = folder / f"{spec.name}.toml"
    path.write_text(tomlkit.dumps(content))
    return path


def make_loop(folder: Path, *, spec: Spec | None = None, now: date = FIRST, process: str = "") -> Loop:
    """A loop without any model, at nine o'clock of that day; what lies in the folder is kept.

    The registry is in memory: several processes in one folder need a name each for its files.
    """
    data, clock = folder / "data", Clock(datetime.combine(now, time(9), tzinfo=UTC))
    data.mkdir(parents=True, exist_ok=True)
    write_spec(folder / "models", spec or small_spec())
    registry, bus, reporter = FakeRegistry(folder / f"registry{process}"), FakeBus(), PageReporter()
    ledger = SqlLedger.open(f"sqlite:///{data / 'ledger.db'}")
    folders = Folders(ledger, folder / "models")
    services = Services(
        ledger=ledger,
        registry=registry,
        snapshots=ParquetTable(data / "snapshots", folders),
        outcomes=ParquetTable(data / "outcomes", folders),
        predictions=ParquetTable(data / "predictions", folders),
        shadows=ParquetTable(data / "shadows", folders),
        quarantine=ParquetTable(data / "quarantine", folders),
        inbox=LocalInbox(data, settle_seconds=0),
        bus=bus,
        reporter=reporter,
        specs=folder / "models",
        reports=folder / "reports",
        clock=clock,
    )
    return Loop(folder, services, registry, bus, clock, reporter)


def close(loop: Loop) -> None:
    """Let go of the ledger's file, so that it can be copied."""
    assert isinstance(loop.services.ledger, SqlLedger)
    loop.services.ledger.close()


def run(run_id: str = "run-1", *, who: str = "tester", progress: Progress | None = None) -> Run:
    """Who is at work."""
    return Run(run_id=run_id, who=who, progress=progress or Silent())
