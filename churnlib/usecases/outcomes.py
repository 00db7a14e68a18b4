"""Take in what became of customers, and measure the scores that were given then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.events import PERFORMANCE_DEGRADED, make_event
from churnlib.intake.files import content_id, read_raw
from churnlib.intake.outcomes import check_outcomes
from churnlib.monitoring.performance import Performance, judge_performance, measure_performance
from churnlib.ports import CHAMPION
from churnlib.records import Batch, OutcomeFile, Report, ReportKind
from churnlib.spec import AS_OF, ID, KNOWN_AT, Spec
from churnlib.usecases.services import Run, Services, dispatch, metric_step

RECEIVED_AT = "received_at"
"""When a row of the outcomes table was delivered, UTC: a correction may be known on the same day."""


@dataclass(frozen=True)
class OutcomesResult:
    """What one file of outcomes brought; `reports` are the measurements it made possible."""

    file: OutcomeFile
    is_duplicate: bool
    quarantined_by: dict[str, int]
    reports: tuple[Report, ...]


def take_outcomes(
    services: Services, run: Run, *, model: str, path: Path, key: str | None = None
) -> OutcomesResult:
    """Check and keep a file of outcomes, then measure every batch whose outcomes it completes.

    Raises:
        FileRefused: the file as a whole cannot be used; it is in failed/ then, with the reason.
    """
    spec = services.spec(model)
    file_id = content_id(path)
    with services.ledger.begin() as tx:
        known = tx.outcome_file(model, file_id)
    try:
        file, quarantined_by = (known, {}) if known else _keep(services, run, spec, path, file_id)
    except FileRefused as error:
        _refuse(services, model, path, error, key)
        raise
    reports = tuple(measure_batches(services, run, model=model, since=file.first_as_of, until=file.last_as_of))
    with services.ledger.begin() as tx:
        tx.save_outcome_file(file)
        if key is not None:
            tx.finish(key, result=f"{file.rows} outcomes", now=services.clock())
    if services.inbox.owns(path):
        services.inbox.accept(model, path)
    dispatch(services)
    return OutcomesResult(file, known is not None, quarantined_by, reports)


def known_outcomes(
    services: Services, model: str, *, since: date | None = None, until: date | None = None
) -> pl.LazyFrame | None:
    """What is known by now of each customer and `as_of`: an outcomes frame.

    Of several for one pair the one counts that was known last; known on the same day, the one delivered last.
    """
    rows = services.outcomes.scan(model, since=since, until=until)
    if rows is None:
        return None
    known = rows.filter(pl.col(KNOWN_AT) <= services.clock().date()).sort(KNOWN_AT, RECEIVED_AT)
    return known.unique([ID, AS_OF], keep="last", maintain_order=True).drop(RECEIVED_AT)


def measure_batches(services: Services, run: Run, *, model: str, since: date, until: date) -> list[Report]:
    """Measure every counting batch with `since <= as_of <= until` on the outcomes known by now."""
    live = services.live_batches(model)
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.batches(model, until=until) if batch.batch_id in live]
    due = [batch for batch in batches if batch.as_of is not None and batch.as_of >= since]
    return [report for batch in due if (report := _measure(services, run, batch)) is not None]


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


def _measure(services: Services, run: Run, batch: Batch) -> Report | None:
    assert batch.as_of is not None
    assert batch.version is not None
    spec = services.spec(batch.model)
    predictions = services.predictions.scan_batch(batch.model, batch.batch_id)
    outcomes = known_outcomes(services, batch.model, since=batch.as_of, until=batch.as_of)
    if predictions is None or outcomes is None:
        return None
    run.progress.step(f"measuring the scores of {batch.as_of}")
    performance = measure_performance(
        predictions.collect(),
        outcomes.collect(),
        horizon_days=spec.horizon_days,
        cutoff=services.clock().date(),
    )
    release = services.release(batch.model, batch.version)
    earlier = services.live_reports(batch.model, ReportKind.PERFORMANCE, version=batch.version)
    history = [report for report in earlier if report.as_of < batch.as_of]
    verdict, reason = judge_performance(
        performance,
        release.auc_interval,
        history,
        spec.retraining,
        max_calibration_error=spec.promotion.max_calibration_error,
    )
    return _record(services, run, batch, performance, verdict, reason)


def _record(
    services: Services, run: Run, batch: Batch, performance: Performance, verdict: str, reason: str
) -> Report:
    assert batch.as_of is not None
    assert batch.version is not None
    values = performance.headline
    report = Report(
        model=batch.model,
        kind=ReportKind.PERFORMANCE,
        batch_id=batch.batch_id,
        version=batch.version,
        as_of=batch.as_of,
        verdict=verdict,
        reason=reason,
        values=values,
        body=performance.model_dump_json(),
        run_id=run.run_id,
        created_at=services.clock(),
    )
    logged = {f"live.{name}": value for name, value in values.items() if value is not None}
    services.registry.log_metrics(batch.model, batch.version, logged, step=metric_step(batch.as_of))
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
        if champion is not None and champion.version == batch.version:  # a former one has had its successor
            tx.publish(event)
    return report


def _refuse(services: Services, model: str, path: Path, error: FileRefused, key: str | None) -> None:
    with services.ledger.begin() as tx:
        if key is not None:
            tx.finish(key, result="refused", now=services.clock())
    if services.inbox.owns(path):
        services.inbox.refuse(model, path, {"file": path.name, "error": error.message, "hint": error.hint})
