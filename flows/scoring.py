"""Score the files that wait in the inbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from churnlib.errors import ChurnError
from churnlib.usecases.scoring import ScoreResult, score_file
from churnlib.usecases.services import Services
from flows.batch_page import batch_page
from flows.running import (
    acted_on,
    mlflow_url,
    open_services,
    retried,
    show_table,
    show_text,
    this_run,
    waiting_files,
)


@retried
def score_one(services: Services, model: str, path: Path, key: str | None) -> ScoreResult:
    """Score one file with the champion, exactly once."""
    return score_file(services, this_run(), model=model, path=path, key=key)


@flow(name="churn-scoring", flow_run_name="score {model} {file}")
def scoring(model: str | None = None, file: str | None = None, key: str | None = None) -> State[Any]:
    """Score delivered files of customers with the champion and write predictions with reasons.

    Without a file, everything that waits in the inbox is scored. A file that was scored before is
    recognised by its content and not scored again.

    Args:
        model: Name of the model, as in models/<name>.toml. Empty: every model.
        file: File name in data/incoming/<model>/. Empty: every file that waits.
        key: Key of the event that started this run; empty when started by hand or by the clock.
    """
    services = open_services()
    if handled := acted_on(services, key, is_repeatable=True):
        return Completed(message=handled)
    results, refused = [], []
    for name, path, own_key in waiting_files(services, services.inbox.pending, model, file, key):
        try:
            results.append(score_one(services, name, path, own_key))
        except ChurnError as error:
            refused.append(f"{path.name}: {error}")
    if results:
        show_table(f"scored {model or 'all'}", [_row(result) for result in results], "Scored batches")
    for result in results:
        if result.state == "scored":
            show_text(f"batch {result.batch.model}", batch_page(result, links=_links(result)))
    if refused:
        return Failed(message=" | ".join(refused))
    return Completed(message=_said(results), data=[result.batch.batch_id for result in results])


def _links(result: ScoreResult) -> dict[str, str]:
    batch, pages = result.batch, mlflow_url()
    if pages is None:
        return {}
    return {f"version {batch.version} in MLflow": f"{pages}/#/models/{batch.model}/versions/{batch.version}"}


def _row(result: ScoreResult) -> dict[str, Any]:
    batch = result.batch
    return {
        "file": batch.source,
        "as of": str(batch.as_of),
        "state": result.state,
        "rows": batch.rows,
        "accepted": batch.accepted,
        "quarantined": batch.quarantined,
        "why": ", ".join(f"{reason} ({count})" for reason, count in batch.quarantined_by.items()),
        "model": f"{batch.model} v{batch.version}",
        "engine": result.engine,
        "output": batch.output or "",
    }


def _said(results: list[ScoreResult]) -> str:
    if not results:
        return "nothing waits in the inbox"
    return "; ".join(
        f"{result.batch.source}: {result.state}, {result.batch.accepted:,} by v{result.batch.version}"
        for result in results
    )
