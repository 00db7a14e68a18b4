"""The whole chain for real: a drift event in, the champion alias moved after an approval, out."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from churnlib.errors import DecisionRefused
from churnlib.events import BATCH_ARRIVED, DRIFT_DETECTED, Event, event_key, make_event
from churnlib.governance.approvals import request
from churnlib.governance.comparison import compare
from churnlib.ports import CHAMPION, FORMER_CHAMPION
from churnlib.records import Approval, ApprovalStatus
from churnlib.simulation.history import write_labelled
from churnlib.usecases.drift import check_drift
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.promotion import settle
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import Run, Services, dispatch
from flows import deployments
from flows.approvals import wake_decided
from flows.bus import PrefectBus
from flows.stack import Stack, running
from flows.watchdog import HEARTBEAT_PATIENCE, end_dead_runs
from flows.watching import Watch
from tests.integration.conftest import MODEL, Home, make_home, now

pytestmark = pytest.mark.server

RUN = Run(run_id="test", who="test")
HISTORY = 6
PLAYED = 13
PATIENCE_SECONDS = 120.0

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {PATIENCE_SECONDS:.0f} s")


def runs(stack: Stack, **found_by: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{stack.prefect_api_url}/flow_runs/filter", json={"flow_runs": found_by}, timeout=10)
    answer.raise_for_status()
    listed: list[dict[str, Any]] = answer.json()
    return listed


def play(home: Home, services: Services, weeks: range) -> None:
    """Weeks at speed: batches scored and checked, outcomes of the week before taken in."""
    folder = home.settings.home / "delivered"
    folder.mkdir(exist_ok=True)
    for number in weeks:
        week = home.world.week(number)
        if number > weeks[0]:
            before = home.world.week(number - 1)
            before.truth.write_parquet(folder / f"outcomes-{number - 1}.parquet")
            take_outcomes(services, RUN, model=MODEL, path=folder / f"outcomes-{number - 1}.parquet")
        week.batch.write_parquet(folder / f"week-{number}.parquet")
        scored = score_file(services, RUN, model=MODEL, path=folder / f"week-{number}.parquet")
        check_drift(services, RUN, model=MODEL, batch_id=scored.batch.batch_id)


@pytest.fixture(scope="module")
def history(stack_home: Home) -> Services:
    """A champion from before the change, and weeks scored until the change has lasted; nothing was sent."""
    services = stack_home.services
    path = write_labelled(
        [stack_home.world.week(number) for number in range(HISTORY)], stack_home.settings.home / "h.parquet"
    )
    train_from_file(services, RUN, model=MODEL, path=path)
    play(stack_home, services, range(HISTORY, PLAYED + 1))
    with services.ledger.begin() as tx:  # what was played is history: only what is sent from now on acts
        for event in tx.unsent(limit=1000):
            tx.mark_sent(event.id, now())
    return services


def test_drift_event_in_alias_moved_after_an_approval_out(history: Services, live: Services, stack: Stack) -> None:
    batch = history.ledger
    with batch.begin() as tx:
        newest = tx.batches(MODEL)[-1]
    assert newest.as_of is not None
    event = make_event(
        DRIFT_DETECTED,
        model=MODEL,
        subject="chain-test",
        occurred_at=now(),
        batch_id=newest.batch_id,
        as_of=newest.as_of.isoformat(),
        triage="inputs_moved",
        reason="weekly_price moved",
    )
    with live.ledger.begin() as tx:
        assert tx.publish(event)
        assert not tx.publish(event)
    assert dispatch(live) == (1, 0)
    watch = Watch(live, MODEL)
    decision = until(lambda: watch.decided(event.key), "the policy's answer")
    assert decision.action == "retrain", decision.reasons
    approval = until(watch.waits_for_person, "the request for approval")
    assert approval.champion == 1
    assert approval.challenger == 2
    assert "ranks better" in approval.summary
    assert live.champion(MODEL).version == 1, "nothing moves before a person has answered"
    suspended = until(lambda: _suspended(stack, approval), "the suspended run")
    assert suspended["name"] == "promote subscription v2"

    PrefectBus(stack.prefect_api_url).emit(event)  # the same event again

    settle(live, approval.approval_id, approve=True, who="Ada", source="cli", reason="clear win")
    with pytest.raises(DecisionRefused, match="approved by Ada"):
        settle(live, approval.approval_id, approve=False, who="Bob", source="slack", reason="no")
    done = until(lambda: watch.concluded(approval), "the promotion")
    assert done.outcome == "promoted v2"
    assert live.champion(MODEL).version == 2
    former = live.registry.by_alias(MODEL, FORMER_CHAMPION)
    assert former is not None
    assert former.version == 1
    with live.ledger.begin() as tx:
        moves = [(move.kind, move.from_version, move.to_version, move.who) for move in tx.transitions(MODEL)]
        retrained = [each for each in tx.decisions(MODEL) if each.action == "retrain"]
    assert moves == [("initial", None, 1, "test"), ("promotion", 1, 2, "Ada")]
    assert len(retrained) == 1, "an event that comes twice is acted on once"
    until(lambda: _state(stack, suspended["id"]) == "Completed" or None, "the end of the promotion run")
    assert [version.version for version in live.registry.versions(MODEL)] == [2, 1]


def test_a_file_that_is_written_slowly_is_announced_once_complete_and_scored_by_the_new_champion(
    history: Services, live: Services, stack: Stack, stack_home: Home
) -> None:
    week = stack_home.world.week(PLAYED + 1)
    inbox = stack_home.settings.data / "incoming" / MODEL
    inbox.mkdir(parents=True, exist_ok=True)
    week.batch.write_parquet(stack_home.settings.home / "next.parquet")
    content = (stack_home.settings.home / "next.parquet").read_bytes()
    steps = [content[: len(content) * part // 4] for part in range(1, 5)]
    for step in steps:
        (inbox / "next.parquet").write_bytes(step)
        time.sleep(0.7)
    event = until(lambda: _arrival(live, "next.parquet", content), "the watcher's announcement")
    watch = Watch(live, MODEL)
    batch = until(lambda: watch.scored(week.as_of), "the scores")
    champion = live.registry.by_alias(MODEL, CHAMPION)
    assert champion is not None
    assert batch.version == champion.version
    assert batch.accepted == week.batch.height
    until(lambda: None if (inbox / "next.parquet").exists() else True, "the move of the file")
    assert until(lambda: watch.checked(batch), "the drift report").version == champion.version
    with live.ledger.begin() as tx:
        assert event.id not in {waiting.id for waiting in tx.unsent()}
    assert [_arrival(live, "next.parquet", step) for step in steps[:-1]] == [None] * 3
    assert len(runs(stack, name={"any_": [f"score {MODEL} next.parquet"]})) == 1


def test_an_event_of_a_time_without_prefect_is_kept_then_sent_and_acted_on_once(
    history: Services, live: Services, stack: Stack
) -> None:
    down = make_bus_services(live, "http://127.0.0.1:9/api")
    event = make_event(
        DRIFT_DETECTED,
        model=MODEL,
        subject="prefect-was-down",
        occurred_at=now(),
        batch_id="none",
        as_of="2026-06-01",
        triage="inputs_moved",
        reason="a test",
    )
    with down.ledger.begin() as tx:
        tx.publish(event)
    assert dispatch(down) == (0, 1)
    with down.ledger.begin() as tx:
        assert [waiting.key for waiting in tx.unsent()] == [event.key]
    _run_deployment(stack, "churn-watchdog", "watchdog")  # the watchdog, as its schedule starts it
    watch = Watch(live, MODEL)
    decision = until(lambda: watch.decided(event.key), "the policy's answer")
    assert decision.action == "wait"
    with live.ledger.begin() as tx:
        assert tx.unsent() == []
        assert tx.claim(event.key, owner="late", now=now(), lease_seconds=1).state == "done"


def test_the_watchdog_ends_a_dead_run_and_leaves_a_suspended_one(
    history: Services, live: Services, stack: Stack
) -> None:
    suspended = _open_question(live, stack)
    with temporary_settings({PREFECT_API_URL: stack.prefect_api_url}):
        dead = _pretend_running(stack)
        assert end_dead_runs.fn(now()) == [], "a young run without a heartbeat is not dead yet"
        later = now() + HEARTBEAT_PATIENCE * 2
        assert dead.name in end_dead_runs.fn(later)
    assert _state(stack, str(dead.id)) == "Crashed"
    assert _state(stack, suspended.flow_run_id or "") == "Suspended"
    settle(live, suspended.approval_id, approve=False, who="Ada", source="cli", reason="only a test")
    done = until(lambda: Watch(live, MODEL).concluded(suspended), "the end of the question")
    assert done.outcome == "not promoted: rejected"


def test_an_answer_in_the_prefect_form_counts_and_is_recorded_with_its_door(
    history: Services, live: Services, stack: Stack
) -> None:
    asked = _open_question(live, stack)
    form = {"decision": "reject", "approver": "Grace", "reason": "not this one"}
    url = f"{stack.prefect_api_url}/flow_runs/{asked.flow_run_id}/resume"
    nothing = httpx.post(url, json={"run_input": {"approver": "Grace"}}, timeout=10).json()
    assert nothing["status"] == "REJECT", "there is no default that could decide by accident"
    assert httpx.post(url, json={"run_input": form}, timeout=10).json()["status"] == "ACCEPT"
    done = until(lambda: Watch(live, MODEL).concluded(asked), "the end of the question")
    assert (done.status, done.decided_by, done.source) == (ApprovalStatus.REJECTED, "Grace", "prefect_ui")
    assert wake_decided(live) == [], "a run that was woken by its form is not woken again"


def test_deploying_again_changes_nothing(stack: Stack) -> None:
    def names() -> list[str]:
        found = httpx.post(f"{stack.prefect_api_url}/automations/filter", json={}, timeout=10).json()
        return sorted(automation["name"] for automation in found)

    before = names()
    done = deployments.apply(stack.prefect_api_url)
    assert names() == before
    assert [line for line in done if line.startswith("automation")] == [
        "automation churn-action-failed-wakes-watchdog: unchanged",
        "automation churn-run-crashed-wakes-watchdog: unchanged",
    ]


def test_a_running_stack_is_found_by_its_home_and_by_no_other(
    stack: Stack, stack_home: Home, tmp_path: Path
) -> None:
    found = running(stack_home.settings)
    assert found is not None
    assert found["prefect_api"] == stack.prefect_api_url
    assert running(make_home(tmp_path / "other").settings) is None


def _arrival(live: Services, name: str, content: bytes) -> Event | None:
    key = event_key(BATCH_ARRIVED, model=MODEL, subject=f"{name}:{sha256(content).hexdigest()[:16]}")
    with live.ledger.begin() as tx:
        return tx.event(key)


def make_bus_services(live: Services, url: str) -> Services:
    from dataclasses import replace

    return replace(live, bus=PrefectBus(url))


def _open_question(live: Services, stack: Stack) -> Approval:
    """A request about a challenger, with its run suspended."""
    champion = live.champion(MODEL)
    batch = live.snapshots.scan(MODEL)
    assert batch is not None
    rows = batch.collect().unique("customer_id", maintain_order=True)
    rng = np.random.default_rng(1)
    churned = rng.random(rows.height) < 0.2
    evidence = compare(
        churned=churned,
        champion_probability=rng.random(rows.height),
        challenger_probability=np.clip(0.4 * churned + 0.5 * rng.random(rows.height), 0, 1),
        rows=rows,
        spec=live.spec(MODEL),
        champion=champion.version,
        challenger=99,
        cutoff=None,
    )
    asked = request(
        evidence,
        model=MODEL,
        challenger=99,
        challenger_run_id="none",
        champion=champion.version,
        key=str(uuid4()),
        flow_run_id=None,
        now=now(),
        policy=live.spec(MODEL).approval,
    )
    with live.ledger.begin() as tx:
        assert tx.open_approval(asked)
    parameters = {"model": MODEL, "version": asked.challenger, "approval_id": asked.approval_id}
    _run_deployment(stack, "churn-promotion", "promotion", parameters)
    attached = until(
        lambda: next((each for each in _pending(live) if each.flow_run_id is not None), None), "the run that asks"
    )
    until(lambda: _suspended(stack, attached), "its suspension")
    return attached


def _pending(live: Services) -> list[Approval]:
    with live.ledger.begin() as tx:
        return tx.approvals(MODEL, status=ApprovalStatus.PENDING)


def _run_deployment(stack: Stack, flow: str, name: str, parameters: dict[str, Any] | None = None) -> None:
    found = httpx.get(f"{stack.prefect_api_url}/deployments/name/{flow}/{name}", timeout=10).json()
    url = f"{stack.prefect_api_url}/deployments/{found['id']}/create_flow_run"
    wanted = {"parameters": parameters or {}, "state": {"type": "SCHEDULED"}}
    # 503 is how Prefect says that its SQLite is busy; its own clients try again
    until(lambda: _unless_busy(httpx.post(url, json=wanted, timeout=10)), "a run to be made").raise_for_status()


def _unless_busy(answer: httpx.Response) -> httpx.Response | None:
    return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer


def _pretend_running(stack: Stack) -> FlowRun:
    """A run of ours that says Running although no process is behind it."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("churn-drift/drift")
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters={"model": MODEL}, state=Running(), tags=["churn"]
        )
        if run.state is None or run.state.name != "Running":
            client.set_flow_run_state(run.id, Running(), force=True)
        return client.read_flow_run(UUID(str(run.id)))


def _suspended(stack: Stack, approval: Approval) -> dict[str, Any] | None:
    found = runs(stack, id={"any_": [approval.flow_run_id]})
    return found[0] if found and found[0]["state"]["name"] == "Suspended" else None


def _state(stack: Stack, run_id: str) -> str:
    return str(runs(stack, id={"any_": [run_id]})[0]["state"]["name"])
