"""What every use case is handed: the ports, the clock, and who is asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from churnlib.errors import NoChampion, ServiceUnavailable
from churnlib.modelling.release import Release, load_release
from churnlib.ports import (
    CHAMPION,
    BatchTable,
    DriftReporter,
    EventBus,
    Inbox,
    Ledger,
    ModelRegistry,
    ModelVersion,
    Progress,
    Silent,
)
from churnlib.records import BatchStatus, KnownVariant, Report, ReportKind
from churnlib.spec import Spec, load_spec
from churnlib.variants import Variant


@dataclass(frozen=True)
class Services:
    """The outside world, and a cache of releases that were loaded and verified once.

    Attributes:
        snapshots: accepted rows by batch: the history that models learn from.
        outcomes: what became of customers, by outcome file and `as_of`.
        predictions: scores by batch.
        shadows: scores by batch that were not given out: the challenger's, or the champion's where the
            challenger's were.
        quarantine: refused rows by batch, with their reasons.
        bus: carries events; None leaves them in the outbox for the watchdog.
        specs: folder with `<name>.toml`.
        reports: folder for pages that people look at.
        clock: now, UTC.
        workers: how many models of a family are worked on at a time.
    """

    ledger: Ledger
    registry: ModelRegistry
    snapshots: BatchTable
    outcomes: BatchTable
    predictions: BatchTable
    shadows: BatchTable
    quarantine: BatchTable
    inbox: Inbox
    bus: EventBus | None
    reporter: DriftReporter
    specs: Path
    reports: Path
    clock: Callable[[], datetime]
    workers: int = 2
    releases: dict[tuple[str, int], Release] = field(default_factory=dict)

    def spec(self, model: str) -> Spec:
        """The model's spec, for the model of a slice that of its family; raises SpecError where there is none."""
        known = self.known_variant(model)
        if known is not None:
            return self.spec(known.family).of_variant(Variant(dimensions=known.dimensions))
        return load_spec(self.specs / f"{model}.toml")

    def known_variant(self, model: str) -> KnownVariant | None:
        """The slice whose model that is; None for a model with a spec of its own, and for an unknown one."""
        return known_variant(self.ledger, self.specs, model)

    def family(self, model: str) -> str:
        """Name of the spec that the model is of: its own, or for the model of a slice that of its family."""
        known = self.known_variant(model)
        return model if known is None else known.family

    def slices(self, family: str) -> list[KnownVariant]:
        """Every slice of the family's customers that was ever seen, by model; none has a spec of its own."""
        own = set(self.model_names())
        with self.ledger.begin() as tx:
            return [variant for variant in tx.variants(family) if variant.model not in own]

    def model_names(self) -> list[str]:
        """Every model that has a spec."""
        return sorted(path.stem for path in self.specs.glob("*.toml"))

    def family_models(self, family: str) -> list[str]:
        """The base model, then those that its slices have or could have."""
        return [family, *(known.model for known in self.slices(family))]

    def champion(self, model: str) -> ModelVersion:
        """The version that scores.

        Raises:
            NoChampion: no version has the alias.
        """
        version = self.registry.by_alias(model, CHAMPION)
        if version is None:
            raise NoChampion(
                f"{model} has no champion yet, so nothing can be scored.",
                hint=f"Train the first one: churn train {model} --data FILE.",
            )
        return version

    def release(self, model: str, version: int) -> Release:
        """The version's release, loaded and verified; raises ReleaseCorrupt."""
        key = (model, version)
        if key not in self.releases:
            self.releases[key] = load_release(self.registry.fetch(model, version))
        return self.releases[key]

    def live_batches(self, model: str) -> frozenset[str]:
        """Batches that count: scored, and not superseded by a corrected delivery."""
        with self.ledger.begin() as tx:
            scored = (batch for batch in tx.batches(model) if batch.status is BatchStatus.SCORED)
            return frozenset(batch.batch_id for batch in scored)

    def live_reports(self, model: str, kind: ReportKind, *, version: int | None) -> list[Report]:
        """Reports on the batches that count, by `as_of`, then creation; of all versions where none is given."""
        live = self.live_batches(model)
        with self.ledger.begin() as tx:
            reports = tx.reports(model, kind, version=version)
        return [report for report in reports if report.batch_id in live]


def known_variant(ledger: Ledger, specs: Path, model: str) -> KnownVariant | None:
    """The slice whose model that is; None for a model with a spec of its own, and for an unknown one."""
    if (specs / f"{model}.toml").is_file():
        return None
    with ledger.begin() as tx:
        return tx.variant(model)


@dataclass(frozen=True)
class Run:
    """Who is at work, for the record.

    Attributes:
        run_id: the flow run, or the command's own id.
        who: a person or a service.
        progress: where to say how far the work is.
    """

    run_id: str
    who: str
    progress: Progress = field(default_factory=Silent)


def dispatch(services: Services, *, limit: int = 100) -> tuple[int, int]:
    """Emit what waits in the outbox, oldest first; returns (sent, still waiting).

    An event that cannot be sent stays, with its error; nothing is raised, because the fact that it
    announces stands in the ledger and the watchdog tries again.
    """
    if services.bus is None:
        return 0, 0
    with services.ledger.begin() as tx:
        waiting = tx.unsent(limit=limit)
    for sent, event in enumerate(waiting):
        try:
            services.bus.emit(event)
        except ServiceUnavailable as error:
            with services.ledger.begin() as tx:
                tx.mark_failed(event.id, error.message)
            return sent, len(waiting) - sent
        with services.ledger.begin() as tx:
            tx.mark_sent(event.id, services.clock())
    return len(waiting), 0


def metric_step(as_of: date) -> int:
    """The MLflow step of a date: days since 1970-01-01, so that weeks are evenly spaced."""
    return (as_of - date(1970, 1, 1)).days


def as_json(content: object) -> str:
    """JSON text with sorted keys; dates as ISO text."""
    return json.dumps(content, sort_keys=True, default=str)
