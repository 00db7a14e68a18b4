"""Keep the chain whole: send what was not sent, start what never happened, end what is dead."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed

from churnlib.errors import ServiceUnavailable
from churnlib.usecases.alias_watch import AliasEdit, watch_aliases
from churnlib.usecases.arrivals import announce
from churnlib.usecases.promotion import conclude_forgotten
from churnlib.usecases.services import Services, dispatch
from flows.deployments import links
from flows.running import open_services, retried, show_text, this_run
from flows.wiring import catch_up

LINK_PATIENCE = timedelta(minutes=10)
"""An event that was sent this long ago and that nobody works on is a link that never happened."""

HEARTBEAT_PATIENCE = timedelta(seconds=420)
"""Prefect's runs send a heartbeat every 180 seconds; after two missed ones a run is dead."""


@retried
def send_waiting(services: Services) -> str:
    """Announce new files and empty the outbox."""
    new = [event for model in services.model_names() for event in announce(services, model)]
    sent, waiting = dispatch(services)
    return f"{len(new)} arrivals, {sent} events sent, {waiting} waiting"


@retried
def start_lost_links(services: Services) -> list[str]:
    """Start the runs that events should have started; a second start of one event gives the same run."""
    before = services.clock() - LINK_PATIENCE
    started = []
    with get_client(sync_client=True) as client:
        for link in links():
            with services.ledger.begin() as tx:
                lost = tx.lost(link.event, sent_before=before, now=services.clock())
            for event in lost:
                deployment = client.read_deployment_by_name(link.deployment)
                client.create_flow_run_from_deployment(
                    deployment.id,
                    parameters=link.render(event),
                    idempotency_key=f"{event.key}:{link.deployment}:{before:%Y%m%d%H}",
                )
                started.append(f"{link.deployment} for {event.key}")
    return started


@retried
def end_dead_runs(now: datetime) -> list[str]:
    """Mark runs as crashed that say Running but show no sign of life; suspended runs are not Running."""
    ended: list[str] = []
    with get_client(sync_client=True) as client:
        running = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
                tags=FlowRunFilterTags(all_=["churn"]),
            )
        )
        for run in running:
            if str(run.id) != flow_run.get_id() and now - _last_sign(client, run) > HEARTBEAT_PATIENCE:
                dead: State[None] = Crashed(message="No heartbeat: its process is gone. Ended by the watchdog.")
                client.set_flow_run_state(run.id, dead, force=True)
                ended.append(run.name)
    return ended


@retried
def look_at_aliases(services: Services) -> list[AliasEdit]:
    """Finish what a killed run or command left half-way, and compare the aliases with the record."""
    for approval in conclude_forgotten(services, this_run()):
        get_run_logger().warning("%s v%s: %s", approval.model, approval.challenger, approval.outcome)
    return watch_aliases(services, this_run())


@retried
def move_waiting_rows(services: Services) -> list[str]:
    """Move rows to S3 that had to be written to local folders while it could not be reached."""
    return catch_up(services)


@flow(name="churn-watchdog")
def watchdog() -> State[Any]:
    """Find what fell through: files and events that were not announced, links that never ran, dead runs.

    Rows that could not be written to S3 are moved there. An alias that somebody moved by hand, past the record,
    is reported once, with what to do about it. It never touches a run that is suspended and waits for a person.
    """
    services = open_services()
    said = send_waiting(services)
    dead = end_dead_runs(services.clock())
    started = start_lost_links(services)
    caught_up = move_waiting_rows(services)
    for line in [*(f"ended {name}" for name in dead), *(f"started {name}" for name in started), *caught_up]:
        get_run_logger().warning(line)
    aliases = _tell_of_aliases(services)
    return Completed(message=f"{said}; {len(started)} lost links started; {len(dead)} dead runs ended; {aliases}")


def _tell_of_aliases(services: Services) -> str:
    """Say what was moved by hand: new edits in the log and as an artifact, all of them in the count."""
    try:
        edits = look_at_aliases(services)
    except ServiceUnavailable as error:  # the rest of the watchdog's work needs no registry
        get_run_logger().warning("aliases were not looked at: %s", error)
        return "aliases not looked at"
    new = [edit for edit in edits if edit.is_new]
    for edit in new:
        get_run_logger().warning("%s %s", edit.text, edit.hint)
    if new:
        show_text("aliases by hand", "\n".join(f"- **{edit.text}** {edit.hint}" for edit in new))
    return f"aliases moved by hand: {len(edits)}"


def _last_sign(client: SyncPrefectClient, run: FlowRun) -> datetime:
    """The run's last heartbeat, or its start."""
    started = run.start_time or run.created
    assert started is not None
    wanted = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run.id}"]},
            "occurred": {"since": started.isoformat()},
            "order": "DESC",
        },
        "limit": 1,
    }
    events = client.request("POST", "/events/filter", json=wanted).json()["events"]
    if events:
        return datetime.fromisoformat(events[0]["occurred"])
    return started
