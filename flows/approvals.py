"""The approvals service: decisions recorded, expired requests closed, suspended runs resumed."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import FastAPI

from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.promotion import expire_due
from churnlib.usecases.services import Services

LOG = logging.getLogger("churn.approvals")
PERIOD_SECONDS = 0.5


def application(services: Services) -> FastAPI:
    """The service's pages, with its loop running as long as the application does."""
    stopping = threading.Event()
    loop = threading.Thread(target=_loop, args=(services, stopping), name="approvals", daemon=True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop.start()
        yield
        stopping.set()

    app = FastAPI(title="churn approvals", openapi_url=None, lifespan=lifespan)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok" if loop.is_alive() else "stopped"}

    @app.get("/approvals")
    def approvals() -> list[dict[str, Any]]:
        with services.ledger.begin() as tx:
            open_now = tx.approvals(status=ApprovalStatus.PENDING)
        return [approval.model_dump(mode="json", exclude={"evidence"}) for approval in open_now]

    return app


def serve(services: Services, *, host: str, port: int) -> None:
    """Serve until stopped."""
    import uvicorn

    uvicorn.run(application(services), host=host, port=port, log_level="warning", access_log=False)


def wake_decided(services: Services) -> list[Approval]:
    """Resume the runs whose answer is in the ledger; returns those that were told now.

    The record is the authority: what the run is told only wakes it, and it reads the record again.
    """
    with services.ledger.begin() as tx:
        asked = [each for each in tx.approvals() if each.flow_run_id is not None and each.woken_at is None]
    runs: dict[str, list[Approval]] = {}
    for each in asked:
        runs.setdefault(str(each.flow_run_id), []).append(each)
    told: list[Approval] = []
    for same in runs.values():
        is_decided = all(each.status is not ApprovalStatus.PENDING for each in same)  # a bundle waits as one
        due = [each for each in same if each.outcome is None]
        if is_decided and due and _wake(services, due, services.clock()):
            told += due
    return told


def _loop(services: Services, stopping: threading.Event) -> None:
    while not stopping.wait(PERIOD_SECONDS):
        try:
            for approval in expire_due(services):
                LOG.warning("approval %s expired unanswered", approval.approval_id)
            for approval in wake_decided(services):
                LOG.warning("run %s told: %s", approval.flow_run_id, approval.status.value)
        except Exception:  # the loop outlives every fault: what it did not do now, it does next time
            LOG.exception("trying again in %s seconds", PERIOD_SECONDS)


def _wake(services: Services, approvals: list[Approval], now: datetime) -> bool:
    """Resume the one run that waits for them; False where it has to be tried again."""
    if not _resume(approvals[0]):
        return False
    with services.ledger.begin() as tx:
        for each in approvals:
            tx.annotate_approval(each.approval_id, woken_at=now)
    return True


def _resume(approval: Approval) -> bool:
    from prefect.client.orchestration import get_client

    decision = "approve" if approval.status is ApprovalStatus.APPROVED else "reject"
    answer = {
        "decision": decision,
        "approver": (approval.decided_by or "churn")[:80],
        "reason": (approval.reason or "")[:500],
    }
    run_id = UUID(str(approval.flow_run_id))
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
        if state is None or state.is_final() or state.name == "Resuming":
            return state is not None
        if not state.is_paused():
            return False  # answered before the run went to sleep; it looks at the record itself, or sleeps soon
        response = client.resume_flow_run(run_id, run_input=answer)
    return response.status.value == "ACCEPT"
