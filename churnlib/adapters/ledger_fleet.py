"""What the ledger knows of many models at once, in a query each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, func, or_, select, tuple_

from churnlib.adapters.ledger_records import BATCH_ORDER
from churnlib.adapters.ledger_rows import read_all
from churnlib.adapters.ledger_schema import BATCHES, REPORTS, VARIANTS
from churnlib.records import Batch, BatchStatus, Report, ReportKind

_COUNTS = BATCHES.c.status == BatchStatus.SCORED

_VERSION = (REPORTS.c.model, REPORTS.c.version)

_NO_BODY = [column for column in REPORTS.c if column is not REPORTS.c.body]


class Fleet:
    """The part of a transaction that looks at whole families."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def family_batches(self, family: str, *, batch_id: str | None = None) -> list[Batch]:
        """Batches of a base model and of its slices, ordered as all batches are."""
        slices = select(VARIANTS.c.model).where(VARIANTS.c.family == family)
        query = select(BATCHES).where(or_(BATCHES.c.model == family, BATCHES.c.model.in_(slices)))
        if batch_id is not None:
            query = query.where(BATCHES.c.batch_id == batch_id)
        return read_all(self._connection, Batch, query.order_by(*BATCH_ORDER))

    def newest_batches(self) -> dict[str, Batch]:
        """By model, the last of those that count."""
        newest = _newest(
            select(BATCHES.c.model, func.max(BATCHES.c.as_of).label("as_of")).where(_COUNTS), BATCHES.c.model
        )
        mine = tuple_(BATCHES.c.model, BATCHES.c.as_of).in_(select(newest.c.model, newest.c.as_of))
        query = select(BATCHES).where(_COUNTS, mine).order_by(*BATCH_ORDER)
        return {batch.model: batch for batch in read_all(self._connection, Batch, query)}

    def newest_reports(self, kind: ReportKind) -> list[Report]:
        """Of each model and version, the last on a counting batch; without its body, which is most of a report."""
        is_known = (REPORTS.c.kind == kind) & (REPORTS.c.verdict != "unknown")
        last = func.max(REPORTS.c.as_of).label("as_of")
        newest = _newest(_on_counting(select(*_VERSION, last), is_known), *_VERSION)
        mine = tuple_(*_VERSION, REPORTS.c.as_of).in_(select(newest))
        query = _on_counting(select(*_NO_BODY), is_known & mine)
        order = (REPORTS.c.model, REPORTS.c.as_of, REPORTS.c.version, REPORTS.c.created_at)
        found = read_all(self._connection, Report, query.order_by(*order))
        return list({(report.model, report.version): report for report in found}.values())


def _newest(query: Select[Any], *of: ColumnElement[Any]) -> Subquery:
    return query.group_by(*of).subquery()


def _on_counting(query: Select[Any], which: ColumnElement[bool]) -> Select[Any]:
    same = (BATCHES.c.model == REPORTS.c.model) & (BATCHES.c.batch_id == REPORTS.c.batch_id)
    return query.select_from(REPORTS.join(BATCHES, same)).where(which, _COUNTS)
