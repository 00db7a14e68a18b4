"""What every flow shares: its services, its name in the record, its log, its artifacts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.tasks import Task

from churnlib.errors import ServiceUnavailable
from churnlib.settings import Settings
from churnlib.usecases.arrivals import announce
from churnlib.usecases.services import Run, Services
from churnlib.variants import slug
from flows.stack import running
from flows.wiring import services


class LoggedProgress:
    """Progress as lines in the flow run's log."""

    def __init__(self) -> None:
        self.logger = get_run_logger()
        self.tenth = -1

    def step(self, text: str) -> None:
        """Log what is being done now."""
        self.logger.info(text)

    def advance(self, done: int, total: int, unit: str) -> None:
        """Log every tenth of the way; what comes in chunks, whenever another tenth is passed."""
        tenth = done * 10 // total if total else -1
        if tenth != self.tenth or done == total:
            self.logger.debug("%d of %s %s", done, total or "?", unit)
        self.tenth = tenth


def open_services() -> Services:
    """The services that the environment's settings ask for."""
    return services(Settings())


def mlflow_url() -> str | None:
    """Where MLflow's pages are: its server's address, or the local stack's; None where no pages run."""
    settings = Settings()
    if settings.tracking_uri.startswith(("http://", "https://")):
        return settings.tracking_uri.rstrip("/")
    stack = running(settings)
    return None if stack is None else stack["mlflow"]


def this_run() -> Run:
    """This flow run, for the record."""
    return Run(run_id=str(flow_run.get_id()), who="prefect", progress=LoggedProgress())


async def _is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    try:
        await state.aresult()
    except ServiceUnavailable:
        return True
    except BaseException:  # noqa: BLE001  whatever else it is, trying again does not mend it
        return False
    return False


retried = task(
    retries=3,
    retry_delay_seconds=[2, 10, 30],
    retry_jitter_factor=0.5,  # runs that failed together do not come back together
    retry_condition_fn=_is_transient,
    cache_policy=NO_CACHE,  # the ledger knows what was done; services cannot be hashed
)
"""A task that is tried again where a service did not answer, and only then."""


def acted_on(
    services: Services, key: str | None, *, lease_seconds: float = 3600.0, is_repeatable: bool = False
) -> str | None:
    """Take the key of the event that started this run; a sentence where there is nothing left to do.

    The same run may take its key again: Prefect starts a run from the top after a suspension or a retry.

    Args:
        services: the ports.
        key: None for a run that no event started.
        lease_seconds: after so long without an end, another run may take the key.
        is_repeatable: the work itself knows what was done; repeating it tidies up after a kill.
    """
    if key is None:
        return None
    run = str(flow_run.get_id())
    with services.ledger.begin() as tx:
        claim = tx.claim(key, owner=run, now=services.clock(), lease_seconds=lease_seconds)
    if claim.state == "mine":
        return None
    if claim.state == "done" and is_repeatable:
        return None
    if claim.state == "done":
        return f"this event was acted on before: {claim.result}"
    return f"run {claim.owner} is at work on this event"


def waiting_files(
    services: Services,
    pending: Callable[[str], Sequence[Path]],
    model: str | None,
    file: str | None,
    key: str | None,
) -> list[tuple[str, Path, str | None]]:
    """The files that a run is about, each with its model and its event's key; new ones are announced.

    Args:
        services: the ports.
        pending: of the inbox: what waits for a model.
        model: None for every model.
        file: None for all that wait; those have no key.
        key: of the event that named the file.
    """
    if model is not None and file is not None:
        return [(model, services.inbox.resolve(model, file), key)]
    names = [model] if model else services.model_names()
    for name in names:
        announce(services, name)
    return [(name, path, None) for name in names for path in pending(name)]


def show_table(key: str, rows: Sequence[dict[str, Any]], text: str) -> None:
    """Leave a table on the flow run's page."""
    create_table_artifact(key=slug(key), table=list(rows), description=text)


def show_text(key: str, markdown: str) -> None:
    """Leave a text on the flow run's page."""
    create_markdown_artifact(key=slug(key), markdown=markdown)
