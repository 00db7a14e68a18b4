"""Fit a model, put it into the registry as a release, and compare it with the champion."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError
from churnlib.governance.comparison import Evidence, compare
from churnlib.governance.gates import GateResult, judge
from churnlib.intake.contract import check
from churnlib.intake.files import content_id, read_raw
from churnlib.modelling.plots import write_plots
from churnlib.modelling.release import Lineage, write_release
from churnlib.modelling.scoring import probabilities, score
from churnlib.modelling.training import Trained, train
from churnlib.monitoring.profile import fit_reference
from churnlib.monitoring.sample import reference_sample
from churnlib.ports import ModelVersion, Registration
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL, Spec
from churnlib.usecases.drift import REFERENCE, REFERENCE_SAMPLE
from churnlib.usecases.outcomes import known_outcomes
from churnlib.usecases.services import Run, Services
from churnlib.variants import BASE

LIBRARIES = ("churnlib", "mlflow", "numpy", "polars", "xgboost")

MLFLOW_TYPES = {"number": "double", "category": "string", "boolean": "boolean", "date": "datetime"}


@dataclass(frozen=True)
class LabelledRows:
    """Rows to learn from, and where they came from.

    Attributes:
        frame: one row per customer and `as_of`, with `churned`.
        source: the file, or the history of the ledger, in words.
        digest: SHA-256 that changes with the rows.
        quarantined_by: rows that the contract refused, by reason.
    """

    frame: pl.DataFrame
    source: str
    digest: str
    quarantined_by: Mapping[str, int]


def rows_from_file(services: Services, spec: Spec, path: Path) -> LabelledRows:
    """Read a labelled file; raises FileRefused."""
    today = services.clock().date()
    raw = read_raw(path, spec.input)
    checked = check(raw, spec, source=path.name, delivered_on=today, today=today, labelled=True)
    return LabelledRows(checked.accepted, path.name, content_id(path), checked.quarantined_by)


def rows_from_history(services: Services, spec: Spec) -> LabelledRows:
    """Join what customers looked like with what became of them, matured outcomes only.

    Raises:
        ChurnError: no batch has matured outcomes yet.
    """
    model, today = spec.name, services.clock().date()
    latest = today - timedelta(days=spec.horizon_days)
    outcomes = known_outcomes(services, model, until=latest)
    if outcomes is None:
        raise _nothing_matured(spec)
    live = _live_dates(services, model)
    matured = outcomes.filter(pl.col(KNOWN_AT) <= today).select(ID, AS_OF, LABEL)
    dates = matured_dates(services, spec)[-(spec.training.max_snapshots or 10_000) :]
    keys = [batch for as_of in dates for batch in live[as_of]]
    rows = [services.snapshots.scan_batch(model, batch_id) for batch_id in keys]
    frames = [frame for frame in rows if frame is not None]
    if not frames:
        raise _nothing_matured(spec)
    columns = [ID, AS_OF, *spec.delivered]
    joined = pl.concat([frame.select(columns) for frame in frames]).join(matured, on=[ID, AS_OF], how="inner")
    labelled = joined.sort(AS_OF, ID).collect()
    source = f"{len(dates)} snapshots {min(dates)} to {max(dates)}"
    content = "-".join([*sorted(keys), *map(str, labelled.get_column(LABEL).to_list())])
    return LabelledRows(labelled, source, hashlib.sha256(content.encode()).hexdigest(), {})


def matured_dates(services: Services, spec: Spec) -> tuple[date, ...]:
    """The `as_of` dates of counting batches whose outcomes are known and matured, oldest first."""
    today = services.clock().date()
    latest = today - timedelta(days=spec.horizon_days)
    outcomes = known_outcomes(services, spec.name, until=latest)
    if outcomes is None:
        return ()
    known = outcomes.filter(pl.col(KNOWN_AT) <= today).select(pl.col(AS_OF).unique().sort()).collect()
    live = _live_dates(services, spec.name)
    return tuple(as_of for as_of in known.get_column(AS_OF).to_list() if as_of in live)


def matured_counts(services: Services, spec: Spec) -> tuple[int, int]:
    """Matured outcomes, and how many of them churned."""
    today = services.clock().date()
    outcomes = known_outcomes(services, spec.name, until=today - timedelta(days=spec.horizon_days))
    if outcomes is None:
        return 0, 0
    known = outcomes.filter(pl.col(KNOWN_AT) <= today).select(pl.len(), pl.col(LABEL).sum().alias("churned"))
    rows, positives = known.collect().row(0)
    return int(rows), int(positives or 0)


def fit_and_register(
    services: Services, run: Run, spec: Spec, rows: LabelledRows, *, key: str, trigger: str
) -> tuple[Trained, ModelVersion]:
    """Fit, write the release, register it. The same key gives the version that is there already.

    Raises:
        ChurnError: too few rows or churned customers to learn from.
    """
    run.progress.step(f"training on {rows.frame.height:,} customers ({rows.source})")
    trained = train(rows.frame, spec, progress=lambda done, most: run.progress.advance(done, most, "rounds"))
    run.progress.step("writing the release")
    with tempfile.TemporaryDirectory(prefix="churn-release-") as folder:
        release, plots = Path(folder) / "release", Path(folder) / "plots"
        lineage = _lineage(services, rows, trained)
        write_release(release, trained, lineage=lineage, parts=_reference_parts(trained))
        plots.mkdir()
        write_plots(plots, trained)
        run.progress.step("registering the release")
        version = services.registry.register(
            _registration(spec, trained, lineage, release, plots, key=key, trigger=trigger)
        )
    services.release(spec.name, version.version)  # verified by its own probe before anyone relies on it
    return trained, version


def compare_with_champion(
    services: Services, spec: Spec, trained: Trained, challenger: int, champion: int | None
) -> tuple[Evidence, GateResult]:
    """Score the challenger's test rows with both versions and judge the result."""
    rows = trained.split.test
    order = [ID, AS_OF]
    ours = score(services.release(spec.name, challenger), rows, reasons=False).frame.sort(order)
    theirs = None
    if champion is not None:
        release = services.release(spec.name, champion)
        lost = [name for name in release.spec.delivered if name not in rows.columns]
        if lost:
            raise ChurnError(
                f"The champion {spec.name} v{champion} needs {lost[0]!r}, which the spec has dropped.",
                hint="Put the column back (input_only = true keeps it out of the new model).",
            )
        theirs = score(release, rows, reasons=False).frame.sort(order)
    rows = rows.sort(order)
    evidence = compare(
        churned=rows.get_column(LABEL).to_numpy(),
        champion_probability=None if theirs is None else theirs.get_column("probability").to_numpy(),
        challenger_probability=ours.get_column("probability").to_numpy(),
        rows=rows,
        spec=spec,
        champion=champion,
        challenger=challenger,
        cutoff=trained.split.cutoff if trained.split.kind == "time" else None,
    )
    return evidence, judge(evidence, spec.promotion)


def code_version() -> str:
    """Version of the library, as installed."""
    return importlib.metadata.version("churnlib")


def _reference_parts(trained: Trained) -> dict[str, bytes]:
    """What drift is measured against: the newest rows the model learned from, scored by it.

    The test rows are the newest and were not learned from, so their scores are honest.
    """
    rows = trained.split.test.drop(LABEL)
    scores = probabilities(trained, rows)
    sample = reference_sample(rows, scores, trained.spec, seed=trained.spec.training.seed)
    reference = fit_reference(rows, scores, trained.spec).model_dump_json().encode()
    return {REFERENCE: reference, REFERENCE_SAMPLE: sample}


def _lineage(services: Services, rows: LabelledRows, trained: Trained) -> Lineage:
    dates = rows.frame.get_column(AS_OF)
    first, last = dates.min(), dates.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    return Lineage(
        source=rows.source,
        rows=rows.frame.height,
        digest=rows.digest,
        first_as_of=first,
        last_as_of=last,
        code_version=code_version(),
        created_at=services.clock(),
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
    )


def _registration(
    spec: Spec, trained: Trained, lineage: Lineage, release: Path, plots: Path, *, key: str, trigger: str
) -> Registration:
    test = {f"test.{name}": float(value) for name, value in trained.test.model_dump().items() if value is not None}
    low, high = trained.test_auc_interval
    return Registration(
        model=BASE.registered_model(spec.name),
        experiment=BASE.experiment(spec.name),
        key=key,
        release=release,
        plots=plots,
        inputs={
            spec.columns.as_of or AS_OF: ("datetime", False),
            **{name: (MLFLOW_TYPES[each.type], each.required) for name, each in spec.delivered.items()},
        },
        params={
            **{
                f"training.{name}": value
                for name, value in spec.training.model_dump().items()
                if value is not None
            },
            "rounds": trained.rounds,
            "calibration": trained.calibration.method,
            "split": trained.split.text,
            "horizon_days": spec.horizon_days,
        },
        metrics={**test, "test.auc_low": low, "test.auc_high": high},
        tags={
            "churn.spec": spec.fingerprint(),
            "churn.data": lineage.digest,
            "churn.code": lineage.code_version,
            "churn.trigger": trigger,
            "training_date": lineage.created_at.date().isoformat(),
        },
        source=lineage.source,
        source_digest=lineage.digest,
        training_rows=lineage.rows,
    )


def _live_dates(services: Services, model: str) -> dict[date, list[str]]:
    live = services.live_batches(model)
    dates: dict[date, list[str]] = {}
    with services.ledger.begin() as tx:
        for batch in tx.batches(model):
            if batch.batch_id in live and batch.as_of is not None:
                dates.setdefault(batch.as_of, []).append(batch.batch_id)
    return dates


def _nothing_matured(spec: Spec) -> ChurnError:
    return ChurnError(
        f"{spec.name} has no batch whose outcomes are known and older than {spec.horizon_days} days.",
        hint="Deliver outcomes (churn outcomes NAME FILE), or train on a labelled file (churn train --data).",
    )
