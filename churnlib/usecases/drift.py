"""Compare a scored batch with what its version was trained on, and say whether that is an alarm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.events import DRIFT_DETECTED, make_event
from churnlib.monitoring.drift import DriftVerdict, judge
from churnlib.monitoring.measurement import DriftMeasurement, measure
from churnlib.monitoring.profile import Reference
from churnlib.monitoring.sample import read_sample, sample_columns
from churnlib.records import Batch, BatchStatus, Report, ReportKind
from churnlib.usecases.fleet import Fleet, apart, over
from churnlib.usecases.services import Run, Services, dispatch, metric_step
from churnlib.usecases.watched import watched_rows

REFERENCE, REFERENCE_SAMPLE = "reference.json", "reference_sample.parquet"
"""Parts of a release that hold what its drift is measured against."""

MOST_PAGES = 12
"""Of models that are checked together, so many get pictures, the worst first; a page takes seconds."""


@dataclass(frozen=True)
class DriftResult:
    """What the check of one batch said; `page` is the report with pictures, where one was made."""

    batch: Batch
    measurement: DriftMeasurement
    verdict: DriftVerdict
    page: Path | None = None


@dataclass(frozen=True)
class _Checked:
    """A check whose pictures are not drawn yet.

    Attributes:
        reference: the release's sample, as it lies there; empty where no pictures are wanted.
        current: a sample of the batch; None where no pictures are wanted.
    """

    result: DriftResult
    reference: bytes
    current: pl.DataFrame | None

    @property
    def urgency(self) -> int:
        """Least first."""
        return ("broken", "drifted", "watch", "stable").index(self.result.verdict.verdict)


def check_drift(services: Services, run: Run, *, model: str, batch_id: str, key: str | None = None) -> DriftResult:
    """Measure, judge and record the drift of one batch; repeating it replaces its own report.

    Of a base model whose slices have models of their own, all customers of the delivered file count.

    Raises:
        ChurnError: the batch is unknown or was not scored, or has no customers.
    """
    checked = _check(services, run, model, batch_id, key)
    dispatch(services)
    return _drawn(services, run, checked)


def check_family(
    services: Services, run: Run, *, model: str, batch_id: str, key: str | None = None
) -> Fleet[DriftResult]:
    """Check every model that scored a part of a delivered file, the base model first.

    Alarms are sent once all are measured, so that whoever retrains sees them together. Then come the pictures, of
    the worst models where there are many.

    Args:
        services: the ports.
        run: who is at work.
        model: of the base model; one of a slice is checked alone.
        batch_id: of the delivered file.
        key: of the event behind it; done, once every model was checked or cannot be for a reason of its own.

    Raises:
        ServiceUnavailable: a service did not answer for some; the others are done.
        ChurnError: the batch is unknown or was not scored; or there is but one model, and it cannot be checked.
    """
    _scored_batch(services, model, batch_id)
    with services.ledger.begin() as tx:
        family = tx.family_batches(model, batch_id=batch_id)
    models = sorted((batch.model for batch in family), key=lambda name: (name != model, name))
    if len(models) == 1:
        return Fleet({model: check_drift(services, run, model=model, batch_id=batch_id, key=key)}, {})
    run.progress.step(f"checking {len(models)} models against their training rows")

    def one(name: str) -> _Checked:
        return _check(*apart(services, run), name, batch_id, None)

    found = over(models, one, workers=services.workers, progress=run.progress)
    if key is not None and not found.is_unreachable:
        _finish(services, key, found)
    dispatch(services)
    found.check()
    worst = sorted(found.done, key=lambda name: (found.done[name].urgency, name != model))[:MOST_PAGES]
    drawn = {name: _drawn(services, run, found.done[name]) for name in worst}
    return Fleet({name: drawn.get(name, checked.result) for name, checked in found.done.items()}, found.failed)


def _finish(services: Services, key: str, found: Fleet[_Checked]) -> None:
    counts = Counter(checked.result.verdict.verdict for checked in found.done.values())
    said = [f"{count} {verdict}" for verdict, count in sorted(counts.items())]
    if found.failed:
        said.append(f"{len(found.failed)} not checked: {found.text}")
    with services.ledger.begin() as tx:
        tx.finish(key, result=", ".join(said), now=services.clock())


def _check(services: Services, run: Run, model: str, batch_id: str, key: str | None) -> _Checked:
    spec = services.spec(model)
    batch, version = _scored_batch(services, model, batch_id)
    release = services.release(model, version)
    reference = Reference.model_validate_json(release.parts[REFERENCE])
    accepted, predictions = watched_rows(services, batch)
    run.progress.step(f"comparing {accepted.height:,} customers with version {version}'s training rows")
    measurement = measure(reference, accepted, predictions["probability"], release.spec)
    reports = services.live_reports(model, ReportKind.DRIFT, version=version)
    earlier = [report for report in reports if batch.as_of and report.as_of < batch.as_of]
    verdict = judge(measurement, earlier, spec.drift)
    _log_metrics(services, batch, version, measurement)
    _record(services, run, batch, version, measurement, verdict, key)
    current = None
    if spec.drift.report == "always" or (spec.drift.report == "moved" and verdict.verdict != "stable"):
        seed = release.spec.training.seed
        current = sample_columns(accepted, predictions["probability"], release.spec, seed=seed)
    reference_sample = b"" if current is None else release.parts[REFERENCE_SAMPLE]
    return _Checked(DriftResult(batch, measurement, verdict), reference_sample, current)


def _drawn(services: Services, run: Run, checked: _Checked) -> DriftResult:
    """Drawing comes after the verdict: it takes longer than measuring, and nothing waits for a picture."""
    if checked.current is None:
        return checked.result
    run.progress.step("drawing the drift report")
    page = _page(services, run, checked.result.batch, read_sample(checked.reference), checked.current)
    return replace(checked.result, page=page)


def find_batch(services: Services, model: str, start: str | None = None) -> str:
    """Id of the counting batch whose id begins so; of the newest one where nothing is given.

    Raises:
        ChurnError: nothing was scored yet, or no batch (or several) begin so.
    """
    live = services.live_batches(model)
    with services.ledger.begin() as tx:
        batches = [batch.batch_id for batch in tx.batches(model) if batch.batch_id in live]
    if not batches:
        raise ChurnError(
            f"No batch of {model} was scored yet.", hint=f"Score one first: churn score {model} FILE."
        )
    found = batches[-1:] if start is None else [each for each in batches if each.startswith(start)]
    if len(found) != 1:
        said = f"Several batches of {model} begin" if found else f"No batch of {model} begins"
        raise ChurnError(
            f"{said} with {start!r}.",
            hint="Give more of its id, which `churn score` prints, or none for the newest.",
        )
    return found[0]


def _scored_batch(services: Services, model: str, batch_id: str) -> tuple[Batch, int]:
    with services.ledger.begin() as tx:
        batch = tx.batch(model, batch_id)
    if batch is None or batch.version is None:
        raise ChurnError(
            f"Batch {batch_id[:12]} of {model} was not scored, so there is nothing to compare.",
            hint=f"Score its file first: churn score {model} FILE.",
        )
    return batch, batch.version


def _page(
    services: Services, run: Run, batch: Batch, reference: pl.DataFrame, current: pl.DataFrame
) -> Path | None:
    """Draw the page and hang it on the version's run; a worker without the drawing library goes on without."""
    assert batch.version is not None
    folder = services.reports / batch.model
    folder.mkdir(parents=True, exist_ok=True)
    destination = folder / f"drift-{batch.as_of}-{batch.batch_id[:12]}.html"
    try:
        page = services.reporter.write(reference, current, destination)
    except ServiceUnavailable as error:
        run.progress.step(str(error))
        return None
    services.registry.log_artifact(batch.model, batch.version, page, "drift")
    return page


def _log_metrics(services: Services, batch: Batch, version: int, measurement: DriftMeasurement) -> None:
    assert batch.as_of is not None
    values = {f"psi.{feature.name}": feature.psi for feature in measurement.features}
    services.registry.log_metrics(batch.model, version, values, step=metric_step(batch.as_of))


def _record(
    services: Services,
    run: Run,
    batch: Batch,
    version: int,
    measurement: DriftMeasurement,
    verdict: DriftVerdict,
    key: str | None,
) -> None:
    assert batch.as_of is not None
    report = Report(
        model=batch.model,
        kind=ReportKind.DRIFT,
        batch_id=batch.batch_id,
        version=version,
        as_of=batch.as_of,
        verdict=verdict.verdict,
        triage=verdict.triage,
        reason=verdict.reason,
        values={feature.name: feature.psi for feature in measurement.features},
        body=measurement.model_dump_json(),
        run_id=run.run_id,
        created_at=services.clock(),
    )
    event = make_event(
        DRIFT_DETECTED,
        model=batch.model,
        subject=batch.batch_id,
        occurred_at=services.clock(),
        batch_id=batch.batch_id,
        as_of=batch.as_of.isoformat(),
        triage=verdict.triage,
        reason=verdict.reason,
    )
    with services.ledger.begin() as tx:
        tx.save_report(report)
        if verdict.verdict == "drifted" and batch.status is BatchStatus.SCORED:  # a corrected one alarms nobody
            tx.publish(event)
        if key is not None:
            tx.finish(key, result=verdict.verdict, now=services.clock())
