"""Compare a scored batch with what its models were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from churnlib.usecases.drift import DriftResult, check_family, find_batch
from churnlib.usecases.fleet import Fleet
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_table, this_run


@retried
def check(services: Services, model: str, batch_id: str, key: str | None) -> Fleet[DriftResult]:
    """Measure, judge and record the drift of one batch, for every model that scored a part of it."""
    return check_family(services, this_run(), model=model, batch_id=batch_id, key=key)


@flow(name="churn-drift", flow_run_name="drift {model} {as_of}")
def drift(model: str, batch_id: str | None = None, as_of: str | None = None, key: str | None = None) -> State[Any]:
    """Check whether inputs or scores moved away from the champion's training rows, and stayed away.

    An alarm needs an effect size, more than sampling noise, and several batches in a row. It is sent as
    the event churn.drift.detected, which starts a retraining. A base model and those of its slices are checked in
    one run.

    Args:
        model: Name of the model, as in models/<name>.toml.
        batch_id: Id of the scored batch. Empty: the newest.
        as_of: Date of the batch, for the run's name only.
        key: Key of the event that started this run; empty when started by hand.
    """
    services = open_services()
    if handled := acted_on(services, key):
        return Completed(message=handled)
    found = check(services, model, batch_id or find_batch(services, model), key)
    said = _show(model, found.done)
    if found.failed:
        return Failed(message=f"{len(found.failed)} models were not checked: {found.text} | {said}")
    return Completed(message=said, data={name: result.verdict.verdict for name, result in found.done.items()})


def _show(model: str, checked: Mapping[str, DriftResult]) -> str:
    """Leave the tables on the run's page; returns what they say in one line."""
    if len(checked) != 1:
        rows = [_model_row(name, result) for name, result in checked.items()]
        moved = [row["model"] for row in rows if row["verdict"] != "stable"]
        said = f"{len(rows)} models checked, {len(moved)} not stable" + (f": {', '.join(moved)}" if moved else "")
        show_table(f"drift {model}", rows, said)
        return said
    (result,) = checked.values()
    said = f"{result.verdict.verdict}: {result.verdict.reason}"
    rows = [
        {
            "feature": feature.name,
            "PSI": _number(feature.psi),
            "JS": _number(feature.js),
            "missing then": f"{feature.missing_reference:.1%}",
            "missing now": f"{feature.missing_current:.1%}",
            "moved": "yes" if feature.is_drifted else "",
            "clock": "yes" if feature.is_clock else "",
        }
        for feature in result.measurement.features
    ]
    show_table(f"drift {model}", rows, f"{model}, batch of {result.batch.as_of}: {said}")
    return said


def _model_row(model: str, result: DriftResult) -> dict[str, Any]:
    headline = result.measurement.headline
    return {
        "model": model,
        "version": result.batch.version,
        "customers": result.measurement.rows,
        "verdict": result.verdict.verdict,
        "why": result.verdict.reason,
        "max PSI": _number(headline["max_psi"]),
        "score PSI": _number(headline["score_psi"]),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
