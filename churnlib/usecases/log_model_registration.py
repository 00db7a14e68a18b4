"""What the registry and the release are told about a delivered model."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from churnlib.modelling.lineage import Handover
from churnlib.modelling.release import Content, Lineage
from churnlib.monitoring.profile import fit_reference
from churnlib.monitoring.sample import reference_sample
from churnlib.ports import Registration
from churnlib.spec import AS_OF
from churnlib.usecases.drift import REFERENCE, REFERENCE_SAMPLE
from churnlib.usecases.log_model_examining import Examined
from churnlib.usecases.log_model_files import Delivered
from churnlib.usecases.training import LIBRARIES, MLFLOW_TYPES, code_version

UNKNOWN = "unknown"
"""Value of the tags `training_date` and `churn.data`: the delivery does not say."""


def lineage_of(seen: Examined, files: Mapping[str, Delivered], *, by: str, now: datetime) -> Lineage:
    """Who handed over what, from where, with the hash of each file."""
    handover = Handover(
        by=by,
        files={what: each.record for what, each in files.items()},
        xgboost=seen.foreign.shape.version,
        trees=trees_text(seen),
        reproduced=seen.published,
    )
    return Lineage(
        source=files["model"].source,
        rows=None,
        digest=files["model"].digest,
        first_as_of=None,
        last_as_of=None,
        code_version=code_version(),
        created_at=now,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
        handover=handover,
    )


def trees_text(seen: Examined) -> str:
    """Which of the file's boosting rounds score."""
    foreign = seen.foreign
    if foreign.best_rounds in (None, foreign.rounds):
        return f"all {foreign.rounds}"
    if seen.scored.trees == "best":
        return f"the first {foreign.best_rounds} of {foreign.rounds}, up to the best one of its early stopping"
    return f"all {foreign.rounds}, those after the best one of its early stopping ({foreign.best_rounds}) too"


def content_of(seen: Examined) -> Content:
    """What goes into the release."""
    model = seen.scored.model
    return Content(
        spec=seen.spec,
        booster=model.booster,
        state=model.state,
        calibration=model.calibration,
        evaluation=seen.evaluation,
        candidates=seen.rows,
        cutoff=None,
    )


def parts_of(seen: Examined) -> dict[str, bytes]:
    """What drift is measured against: the delivered rows, there being no others."""
    probability = pl.Series("probability", seen.scored.probability)
    reference = fit_reference(seen.rows, probability, seen.spec).model_dump_json().encode()
    sample = reference_sample(seen.rows, probability, seen.spec, seed=seen.spec.training.seed)
    return {REFERENCE: reference, REFERENCE_SAMPLE: sample}


def registration_of(seen: Examined, lineage: Lineage, release: Path, key: str) -> Registration:
    """What makes the version; inputs are typed by the spec, not by what the sample happened to hold."""
    spec, shape, evaluation = seen.spec, seen.foreign.shape, seen.evaluation
    tags = {
        "churn.spec": spec.fingerprint(),
        "churn.data": UNKNOWN,
        "churn.code": lineage.code_version,
        "churn.trigger": "delivered",
        "churn.model_sha256": lineage.digest,
        "training_date": UNKNOWN,
    }
    return Registration(
        model=spec.name,
        experiment=spec.experiment,
        key=key,
        release=release,
        plots=None,
        inputs={
            spec.columns.as_of or AS_OF: ("datetime", False),
            **{name: (MLFLOW_TYPES[each.type], each.required) for name, each in spec.delivered.items()},
        },
        params={
            "rounds": evaluation.rounds,
            "calibration": seen.scored.model.calibration.method,
            "split": evaluation.split_text,
            "horizon_days": spec.horizon_days,
            "delivered.objective": shape.objective,
            "delivered.kind": shape.kind,
            "delivered.xgboost": shape.version,
            "delivered.trees": trees_text(seen),
        },
        metrics=_metrics(seen),
        tags=tags | spec.variant.tags,
        source=lineage.source,
        source_digest=lineage.digest,
        training_rows=None,
    )


def _metrics(seen: Examined) -> dict[str, float]:
    """Under the names of a trained version's test, or none at all."""
    test, interval = seen.evaluation.test, seen.evaluation.auc_interval
    measured = {} if test is None else {f"test.{name}": value for name, value in test.numbers().items()}
    if interval is not None:
        measured |= {"test.auc_low": interval[0], "test.auc_high": interval[1]}
    return measured
