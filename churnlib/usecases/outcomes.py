"""Take in what became of customers, and measure the scores that were given then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError, FileRefused
from churnlib.events import PERFORMANCE_DEGRADED, make_event
from churnlib.intake.files import content_id, read_raw
from churnlib.intake.outcomes import check_outcomes
from churnlib.monitoring.performance import Performance, judge_performance, measure_performance
from churnlib.ports import CHAMPION
from churnlib.records import Batch, BatchStatus, OutcomeFile, Report, ReportKind
from churnlib.spec import AS_OF, ID, KNOWN_AT, Spec
from churnlib.usecases.fleet import Fleet, apart, over
from churnlib.usecases.services import Run, Services, dispatch, metric_step
from churnlib.usecases.watched import watched_scores

RECEIVED_AT = "received_at"
"""When a row of the outcomes table was delivered, UTC: a correction may be known on the same day."""


@dataclass(frozen=True)
class OutcomesResult:
    """What one file of outcomes brought.

    Attributes:
        reports: the measurements it made possible: of the base model, then of its slices' models; by date.
        failed: why a model could not be measured, by model; the others are.
    """

    file: OutcomeFile
    is_duplicate: bool
    quarantined_by: dict[str, int]
    reports: tuple[Report, ...]
    failed: dict[str, str] = field(default_factory=dict)


def take_outcomes(
    services: Services, run: Run, *, model: str, path: Path, key: str | None = None
) -> OutcomesResult:
    """Check and keep a file of outcomes, then measure every batch whose outcomes it completes.

    Outcomes are of a family: they are delivered once for all its models, under the base model's name.

    Raises:
        FileRefused: the file as a whole cannot be used; it is in failed/ then, with the reason.
        ChurnError: the model is that of a slice; or there is but one model, and it cannot be measured.
        ServiceUnavailable: a service did not answer; repeat it.
    """
    spec = services.spec(model)
    if spec.variant.dimensions:
        raise ChurnError(
            f"{model} is the model of a slice, and outcomes are delivered for all of {spec.family} at once.",
            hint=f"churn outcomes {spec.family} FILE",
        )
    file_id = content_id(path)
    with services.ledger.begin() as tx:
        known = tx.outcome_file(model, file_id)
    try:
        file, quarantined_by = (known, {}) if known else _keep(services, run, spec, path, file_id)
    except FileRefused as error:
        _refuse(services, model, path, error, key)
        raise
    measured = measure_batches(services, run, model=model, since=file.first_as_of, until=file.last_as_of)
    measured.check()
    with services.ledger.begin() as tx:
        tx.save_outcome_file(file)
        if key is not None:
            tx.finish(key, result=f"{file.rows} outcomes", now=services.clock())
    if services.inbox.owns(path):
        services.inbox.accept(model, path)
    dispatch(services)
    reports = tuple(report for each in measured.done.values() for report in each)
    failed = {name: str(error) for name, error in measured.failed.items()}
    return OutcomesResult(file, known is not None, quarantined_by, reports, failed)


def known_outcomes(
    services: Services, model: str, *, since: date | None = None, until: date | None = None
) -> pl.LazyFrame | None:
    """What is known by now of each customer and `as_of`: an outcomes frame, of the model's whole family.

    Of several for one pair the one counts that was known last; known on the same day, the one delivered last.
    """
    rows = services.outcomes.scan(services.family(model), since=since, until=until)
    if rows is None:
        return None
    known = rows.filter(pl.col(KNOWN_AT) <= services.clock().date()).sort(KNOWN_AT, RECEIVED_AT)
    return known.unique([ID, AS_OF], keep="last", maintain_order=True).drop(RECEIVED_AT)


def measure_batches(services: Services, run: Run, *, model: str, since: date, until: date) -> Fleet[list[Report]]:
    """Measure every counting batch with `since <= as_of <= until` on the outcomes known by now.

    Of a base model its slices' batches as well, by model. A base model is measured on all customers of the
    delivered file, as drift is. A challenger that scored along is measured as the champion was, on the same
    customers.
    """
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.family_batches(model) if batch.status is BatchStatus.SCORED]
    due: dict[str, list[Batch]] = {model: []}
    for batch in batches:
        if batch.as_of is not None and since <= batch.as_of <= until:
            due.setdefault(batch.model, []).append(batch)
    dates = sorted({batch.as_of for same in due.values() for batch in same if batch.as_of is not None})
    known = {as_of: _known_on(services, model, as_of) for as_of in dates}
    if len(due) > 1:
        run.progress.step(f"measuring the scores of {len(due)} models")

    def one(name: str) -> list[Report]:
        wired, quiet = apart(services, run) if len(due) > 1 else (services, run)
        return _measure_model(wired, quiet, due[name], known)

    return over(list(due), one, workers=services.workers, progress=run.progress)


def _known_on(services: Services, model: str, as_of: date) -> pl.DataFrame | None:
    known = known_outcomes(services, model, since=as_of, until=as_of)
    return None if known is None else known.collect()


def _measure_model(
    services: Services, run: Run, batches: list[Batch], known: Mapping[date, pl.DataFrame | None]
) -> list[Report]:
    """One after the other, by date: a verdict looks at those before it."""
    scored = [(batch, version) for batch in batches for version in (batch.version, batch.challenger) if version]
    reports = []
    for batch, version in scored:
        assert batch.as_of is not None
        outcomes = known[batch.as_of]
        if outcomes is not None:
            reports.append(_measure(services, run, batch, version, outcomes))
    return [report for report in reports if report is not None]


def _keep(
    services: Services, run: Run, spec: Spec, path: Path, file_id: str
) -> tuple[OutcomeFile, dict[str, int]]:
    run.progress.step(f"checking {path.name}")
    today = services.clock().date()
    checked = check_outcomes(read_raw(path, spec.input), spec, source=path.name, today=today)
    dates = checked.outcomes.get_column(AS_OF).unique().sort().to_list()
    received = pl.lit(services.clock()).cast(pl.Datetime("us", "UTC")).alias(RECEIVED_AT)
    outcomes = checked.outcomes.lazy().with_columns(received)
    for as_of in dates:
        rows = outcomes.filter(pl.col(AS_OF) == as_of)
        services.outcomes.replace(spec.name, f"{file_id[:32]}-{as_of}", as_of, rows)
    file = OutcomeFile(
        model=spec.name,
        file_id=file_id,
        source=path.name,
        rows=checked.rows,
        first_as_of=dates[0],
        last_as_of=dates[-1],
        received_at=services.clock(),
    )
    return file, checked.quarantined_by


def _measure(services: Services, run: Run, batch: Batch, version: int, outcomes: pl.DataFrame) -> Report | None:
    assert batch.as_of is not None
    spec = services.spec(batch.model)
    predictions = watched_scores(services, batch, version)
    if predictions is None:
        return None
    run.progress.step(f"measuring the scores that version {version} gave on {batch.as_of}")
    performance = measure_performance(
        predictions,
        outcomes,
        horizon_days=spec.horizon_days,
        cutoff=services.clock().date(),
    )
    release = services.release(batch.model, version)
    earlier = services.live_reports(batch.model, ReportKind.PERFORMANCE, version=version)
    history = [report for report in earlier if report.as_of < batch.as_of]
    verdict, reason = judge_performance(
        performance,
        release.auc_interval,
        history,
        spec.retraining,
        max_calibration_error=spec.promotion.max_calibration_error,
    )
    return _record(services, run, batch, version, performance, verdict, reason)


def _record(
    services: Services, run: Run, batch: Batch, version: int, performance: Performance, verdict: str, reason: str
) -> Report:
    assert batch.as_of is not None
    values = performance.headline
    report = Report(
        model=batch.model,
        kind=ReportKind.PERFORMANCE,
        batch_id=batch.batch_id,
        version=version,
        as_of=batch.as_of,
        verdict=verdict,
        reason=reason,
        values=values,
        body=performance.model_dump_json(),
        run_id=run.run_id,
        created_at=services.clock(),
    )
    logged = {f"live.{name}": value for name, value in values.items() if value is not None}
    services.registry.log_metrics(batch.model, version, logged, step=metric_step(batch.as_of))
    event = make_event(
        PERFORMANCE_DEGRADED,
        model=batch.model,
        subject=batch.batch_id,
        occurred_at=services.clock(),
        as_of=batch.as_of.isoformat(),
        reason=reason,
    )
    champion = services.registry.by_alias(batch.model, CHAMPION) if verdict == "degraded" else None
    with services.ledger.begin() as tx:
        tx.save_report(report)
        if champion is not None and champion.version == version:  # a former one has had its successor
            tx.publish(event)
    return report


def _refuse(services: Services, model: str, path: Path, error: FileRefused, key: str | None) -> None:
    with services.ledger.begin() as tx:
        if key is not None:
            tx.finish(key, result="refused", now=services.clock())
    if services.inbox.owns(path):
        services.inbox.refuse(model, path, {"file": path.name, "error": error.message, "hint": error.hint})
