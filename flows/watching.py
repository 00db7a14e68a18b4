"""See in the ledger how far the chain has come."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from churnlib.records import Approval, ApprovalStatus, Batch, Decision, Report, ReportKind
from churnlib.usecases.services import Services


def failed_run(prefect_api_url: str) -> str | None:
    """What the newest run says that failed or crashed; None while all is well."""
    import httpx

    wanted = {
        "flow_runs": {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    with contextlib.suppress(httpx.HTTPError):
        found = httpx.post(f"{prefect_api_url}/flow_runs/filter", json=wanted, timeout=5).json()
        if found:
            return f"{found[0]['name']}: {found[0]['state']['message']}"
    return None


@dataclass(frozen=True)
class Watch:
    """Looks at one model's record; every look returns None where the thing is not there yet."""

    services: Services
    model: str

    def outcomes_taken(self, path: Path) -> bool | None:
        """Whether the file of outcomes has left the inbox."""
        return None if path.exists() else True

    def scored(self, as_of: date) -> Batch | None:
        """The scored batch of that date."""
        with self.services.ledger.begin() as tx:
            batches = tx.batches(self.model)
        return next((batch for batch in batches if batch.as_of == as_of and batch.scored_at is not None), None)

    def checked(self, batch: Batch) -> Report | None:
        """The batch's drift report."""
        with self.services.ledger.begin() as tx:
            reports = tx.reports(self.model, ReportKind.DRIFT)
        return next((report for report in reports if report.batch_id == batch.batch_id), None)

    def decided(self, key: str) -> Decision | None:
        """The policy's answer to an event."""
        with self.services.ledger.begin() as tx:
            decisions = tx.decisions(self.model)
        return next((decision for decision in decisions if decision.key == key), None)

    def waits_for_person(self) -> Approval | None:
        """The open request, once a flow run waits for its answer."""
        with self.services.ledger.begin() as tx:
            waiting = tx.approvals(self.model, status=ApprovalStatus.PENDING)
        return next((approval for approval in waiting if approval.flow_run_id is not None), None)

    def concluded(self, approval: Approval) -> Approval | None:
        """The request, once it was acted on."""
        with self.services.ledger.begin() as tx:
            now = tx.approval(approval.approval_id)
        return now if now is not None and now.outcome is not None else None
