"""Compare a scored batch with what its model was trained on."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from churnlib.usecases.drift import DriftResult, check_drift, find_batch
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_table, this_run


@retried
def check(services: Services, model: str, batch_id: str, key: str | None) -> DriftResult:
    """Measure, judge and record the drift of one batch."""
    return check_drift(services, this_run(), model=model, batch_id=batch_id, key=key)


@flow(name="churn-drift", flow_run_name="drift {model} {as_of}")
def drift(model: str, batch_id: str | None = None, as_of: str | None = None, key: str | None = None) -> State[Any]:
    """Check whether inputs or scores moved away from the champion's training rows, and stayed away.

    An alarm needs an effect size, more than sampling noise, and several batches in a row. It is sent as
    the event churn.drift.detected, which starts a retraining.

    Args:
        model: Name of the model, as in models/<name>.toml.
        batch_id: Id of the scored batch. Empty: the newest.
        as_of: Date of the batch, for the run's name only.
        key: Key of the event that started this run; empty when started by hand.
    """
    services = open_services()
    if handled := acted_on(services, key):
        return Completed(message=handled)
    result = check(services, model, batch_id or find_batch(services, model), key)
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
    said = f"{result.verdict.verdict}: {result.verdict.reason}"
    show_table(f"drift {model}", rows, f"{model}, batch of {result.batch.as_of}: {said}")
    return Completed(message=said, data=result.verdict.verdict)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
