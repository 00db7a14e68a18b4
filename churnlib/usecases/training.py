"""Fit a model, put it into the registry as a release, and compare it with the champion."""

from __future__ import annotations

import importlib.metadata
import tempfile
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Final

from churnlib.errors import ChurnError
from churnlib.governance.comparison import Evidence, compare
from churnlib.governance.gates import GateResult, judge
from churnlib.modelling.plots import write_plots
from churnlib.modelling.release import Lineage, write_release
from churnlib.modelling.scoring import probabilities, score
from churnlib.modelling.training import Trained, train
from churnlib.monitoring.profile import fit_reference
from churnlib.monitoring.sample import reference_sample
from churnlib.ports import ModelVersion, Registration
from churnlib.spec import AS_OF, ID, LABEL, Spec
from churnlib.usecases.drift import REFERENCE, REFERENCE_SAMPLE
from churnlib.usecases.labelled import LabelledRows
from churnlib.usecases.services import Run, Services

LIBRARIES = ("churnlib", "mlflow", "numpy", "polars", "xgboost")

_ONE_AT_A_TIME: Final = Lock()
"""Matplotlib's fonts are shared by threads and made for one."""

MLFLOW_TYPES = {"number": "double", "category": "string", "boolean": "boolean", "date": "datetime"}


def fit_and_register(
    services: Services, run: Run, spec: Spec, rows: LabelledRows, *, key: str, trigger: str, threads: int = 0
) -> tuple[Trained, ModelVersion]:
    """Fit, write the release, register it. The same key gives the version that is there already.

    Args:
        services: the ports.
        run: who is at work.
        spec: of a base model or of a slice; says under which names it is registered.
        rows: to learn from.
        key: of the event or command behind it.
        trigger: why, for the version's tags.
        threads: 0 takes all cores; the model is the same.

    Raises:
        ChurnError: too few rows or churned customers to learn from.
    """

    def rounds(done: int, most: int) -> None:
        run.progress.advance(done, most, "rounds")

    run.progress.step(f"training on {rows.frame.height:,} customers ({rows.source})")
    trained = train(rows.frame, spec, progress=rounds, threads=threads)
    run.progress.step("writing the release")
    with tempfile.TemporaryDirectory(prefix="churn-release-") as folder:
        release, plots = Path(folder) / "release", Path(folder) / "plots"
        lineage = _lineage(services, rows, trained)
        write_release(release, trained, lineage=lineage, parts=_reference_parts(trained))
        plots.mkdir()
        with _ONE_AT_A_TIME:
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


def fingerprints(spec: Spec, digest: str) -> dict[str, str]:
    """Tags that say what a version was made of: the spec, the rows' content, the code.

    Two versions with the same ones have the same booster, byte for byte (on the same kind of machine).
    """
    return {"churn.spec": spec.fingerprint(), "churn.data": digest, "churn.code": code_version()}


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
        model=spec.name,
        experiment=spec.experiment,
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
            "trained_on": trained.device.name,
            **({"trained_on.instead": trained.device.instead} if trained.device.instead else {}),
        },
        metrics={**test, "test.auc_low": low, "test.auc_high": high},
        tags={
            **fingerprints(spec, lineage.digest),
            "churn.trigger": trigger,
            "training_date": lineage.created_at.date().isoformat(),
            **spec.variant.tags,
        },
        source=lineage.source,
        source_digest=lineage.digest,
        training_rows=lineage.rows,
    )
