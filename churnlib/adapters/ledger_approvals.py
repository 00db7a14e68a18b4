"""Requests to people, their answers, and the moves of the aliases."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from churnlib.adapters.ledger_rows import changed, insert_once, read_all, read_one
from churnlib.adapters.ledger_schema import APPROVALS, TRANSITIONS
from churnlib.records import CHAMPION_KINDS, Approval, ApprovalStatus, Transition


class Approvals:
    """The part of a transaction that keeps who decided what; triggers keep it from being rewritten."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def approval(self, approval_id: str) -> Approval | None:
        """One request."""
        return read_one(
            self._connection, Approval, select(APPROVALS).where(APPROVALS.c.approval_id == approval_id)
        )

    def approvals(
        self, model: str | None = None, *, status: ApprovalStatus | None = None, bundle: str | None = None
    ) -> list[Approval]:
        """Ordered by creation."""
        query = select(APPROVALS)
        if bundle is not None:
            query = query.where(APPROVALS.c.bundle == bundle)
        if model is not None:
            query = query.where(APPROVALS.c.model == model)
        if status is not None:
            query = query.where(APPROVALS.c.status == status)
        order = (APPROVALS.c.created_at, APPROVALS.c.approval_id)
        return read_all(self._connection, Approval, query.order_by(*order))

    def open_approval(self, approval: Approval) -> bool:
        """Insert; False when the id is there already. Other pending ones of the model become superseded."""
        if not insert_once(self._connection, APPROVALS, approval.model_dump()):
            return False
        earlier = update(APPROVALS).where(
            APPROVALS.c.model == approval.model,
            APPROVALS.c.approval_id != approval.approval_id,
            APPROVALS.c.status == ApprovalStatus.PENDING,
        )
        self._connection.execute(
            earlier.values(
                status=ApprovalStatus.SUPERSEDED,
                decided_at=approval.created_at,
                reason=f"superseded by {approval.approval_id}",
            )
        )
        return True

    def settle(
        self,
        approval_id: str,
        status: ApprovalStatus,
        *,
        who: str,
        source: str,
        reason: str | None,
        now: datetime,
    ) -> bool:
        """Compare-and-set from `pending`; False when it was not pending any more, or is unknown.

        Raises:
            ValueError: `status` is `pending`, which is no answer.
        """
        if status is ApprovalStatus.PENDING:
            raise ValueError("an approval cannot be settled as pending")
        pending = update(APPROVALS).where(
            APPROVALS.c.approval_id == approval_id, APPROVALS.c.status == ApprovalStatus.PENDING
        )
        answer = {"decided_by": who, "source": source, "reason": reason, "decided_at": now}
        return changed(self._connection, pending.values(status=status, **answer))

    def annotate_approval(
        self,
        approval_id: str,
        *,
        flow_run_id: str | None = None,
        outcome: str | None = None,
        woken_at: datetime | None = None,
    ) -> None:
        """Set what is given; the decision itself cannot be changed."""
        notes = {"flow_run_id": flow_run_id, "outcome": outcome, "woken_at": woken_at}
        given = {name: value for name, value in notes.items() if value is not None}
        if given:
            mine = APPROVALS.c.approval_id == approval_id
            self._connection.execute(update(APPROVALS).where(mine).values(given))

    def append_transition(self, transition: Transition) -> None:
        """Append; the ledger numbers it, whatever its `seq`."""
        self._connection.execute(TRANSITIONS.insert().values(transition.model_dump(exclude={"seq"})))

    def transitions(self, model: str | None = None, *, every: bool = False) -> list[Transition]:
        """Moves of the champion alias, with `every` those of challengers and of the archive too; by `seq`."""
        query = select(TRANSITIONS)
        if not every:
            query = query.where(TRANSITIONS.c.kind.in_(sorted(CHAMPION_KINDS)))
        if model is not None:
            query = query.where(TRANSITIONS.c.model == model)
        return read_all(self._connection, Transition, query.order_by(TRANSITIONS.c.seq))
