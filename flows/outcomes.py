"""Take in what became of customers, and measure the scores they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from churnlib.errors import ChurnError
from churnlib.records import Report
from churnlib.usecases.outcomes import OutcomesResult, take_outcomes
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_table, this_run, waiting_files


@retried
def take(services: Services, model: str, path: Path, key: str | None) -> OutcomesResult:
    """Keep one file of outcomes and measure every batch that it completes."""
    return take_outcomes(services, this_run(), model=model, path=path, key=key)


@flow(name="churn-outcomes", flow_run_name="outcomes {model} {file}")
def outcomes(model: str | None = None, file: str | None = None, key: str | None = None) -> State[Any]:
    """Join outcomes that have matured with the scores given then, and say how good those were.

    Args:
        model: Name of the model, as in models/<name>.toml. Empty: every model.
        file: File name in data/incoming/<model>/outcomes/. Empty: every file that waits.
        key: Key of the event that started this run; empty when started by hand or by the clock.
    """
    services = open_services()
    if handled := acted_on(services, key, is_repeatable=True):
        return Completed(message=handled)
    reports: list[Report] = []
    refused = []
    for name, path, own_key in waiting_files(services, services.inbox.pending_outcomes, model, file, key):
        try:
            taken = take(services, name, path, own_key)
            reports += taken.reports
            refused += [f"{path.name}, {each} was not measured: {why}" for each, why in taken.failed.items()]
        except ChurnError as error:
            refused.append(f"{path.name}: {error}")
    if reports:
        show_table(f"performance {model or 'all'}", [_row(report) for report in reports], "Matured outcomes")
    if refused:
        return Failed(message=" | ".join(refused))
    return Completed(message=_said(reports), data=len(reports))


def _said(reports: list[Report]) -> str:
    if len({report.model for report in reports}) <= 1:
        return "; ".join(f"{report.as_of}: {report.reason}" for report in reports) or "no batch completed"
    low = [f"{report.model} {report.as_of}" for report in reports if report.verdict in {"low", "degraded"}]
    said = f"{len(reports)} measurements of {len({report.model for report in reports})} models"
    return f"{said}, low: {', '.join(low)}" if low else f"{said}, none low"


def _row(report: Report) -> dict[str, Any]:
    shown = ("matured", "pending", "auc", "pr_auc", "brier", "calibration_error", "lift_top_decile")
    values = {name: report.values.get(name) for name in shown}
    return {
        "model": f"{report.model} v{report.version}",
        "as of": str(report.as_of),
        "verdict": report.verdict,
        **{name: None if value is None else round(value, 4) for name, value in values.items()},
        "reason": report.reason,
    }
