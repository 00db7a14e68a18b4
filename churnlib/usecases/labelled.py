"""Rows to learn from: a labelled file, or what was scored joined with what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError
from churnlib.intake.contract import check
from churnlib.intake.files import content_id, read_raw
from churnlib.spec import AS_OF, ID, LABEL, Spec
from churnlib.usecases.outcomes import known_outcomes
from churnlib.usecases.services import Services


@dataclass(frozen=True)
class LabelledRows:
    """Rows to learn from, and where they came from.

    Attributes:
        frame: one row per customer and `as_of`, with `churned`.
        source: the file, or the history of the ledger, in words.
        digest: SHA-256 that changes with the rows.
        quarantined_by: rows that the contract refused, by reason.
    """

    frame: pl.DataFrame
    source: str
    digest: str
    quarantined_by: Mapping[str, int]


def rows_from_file(services: Services, spec: Spec, path: Path) -> LabelledRows:
    """Read a labelled file; raises FileRefused."""
    today = services.clock().date()
    raw = read_raw(path, spec.input)
    checked = check(raw, spec, source=path.name, delivered_on=today, today=today, labelled=True)
    return LabelledRows(checked.accepted, path.name, content_id(path), checked.quarantined_by)


def rows_from_history(services: Services, spec: Spec) -> LabelledRows:
    """Join what customers looked like with what became of them, matured outcomes only.

    Raises:
        ChurnError: no batch has matured outcomes yet.
    """
    model, today = spec.name, services.clock().date()
    latest = today - timedelta(days=spec.horizon_days)
    outcomes = known_outcomes(services, model, until=latest)
    if outcomes is None:
        raise _nothing_matured(spec)
    live = _live_dates(services, model)
    matured = outcomes.select(ID, AS_OF, LABEL)
    dates = matured_dates(services, spec)[-(spec.training.max_snapshots or 10_000) :]
    keys = [batch for as_of in dates for batch in live[as_of]]
    rows = [services.snapshots.scan_batch(model, batch_id) for batch_id in keys]
    frames = [frame for frame in rows if frame is not None]
    if not frames:
        raise _nothing_matured(spec)
    kept = pl.concat(frames, how="diagonal_relaxed")  # snapshots of before a column came lack it
    absent = [name for name in spec.delivered if name not in kept.collect_schema()]
    if absent:
        raise ChurnError(
            f"No kept snapshot of {model} has {absent[0]!r}, which the spec names.",
            hint=f"Train on a labelled file that has it: churn train {model} --data FILE.",
        )
    joined = kept.select(ID, AS_OF, *spec.delivered).join(matured, on=[ID, AS_OF], how="inner")
    labelled = joined.sort(AS_OF, ID).collect()
    source = f"{len(dates)} snapshots {min(dates)} to {max(dates)}"
    content = "-".join([*sorted(keys), *map(str, labelled.get_column(LABEL).to_list())])
    return LabelledRows(labelled, source, hashlib.sha256(content.encode()).hexdigest(), {})


def matured_dates(services: Services, spec: Spec) -> tuple[date, ...]:
    """The `as_of` dates of counting batches whose outcomes are known and matured, oldest first."""
    today = services.clock().date()
    latest = today - timedelta(days=spec.horizon_days)
    outcomes = known_outcomes(services, spec.name, until=latest)
    if outcomes is None:
        return ()
    known = outcomes.select(pl.col(AS_OF).unique().sort()).collect()
    live = _live_dates(services, spec.name)
    return tuple(as_of for as_of in known.get_column(AS_OF).to_list() if as_of in live)


def matured_counts(services: Services, spec: Spec) -> tuple[int, int]:
    """Matured outcomes, and how many of them churned."""
    today = services.clock().date()
    outcomes = known_outcomes(services, spec.name, until=today - timedelta(days=spec.horizon_days))
    if outcomes is None:
        return 0, 0
    known = outcomes.select(pl.len(), pl.col(LABEL).sum().alias("churned")).collect()
    rows, positives = known.row(0)
    return int(rows), int(positives or 0)


def _live_dates(services: Services, model: str) -> dict[date, list[str]]:
    live = services.live_batches(model)
    dates: dict[date, list[str]] = {}
    with services.ledger.begin() as tx:
        for batch in tx.batches(model):
            if batch.batch_id in live and batch.as_of is not None:
                dates.setdefault(batch.as_of, []).append(batch.batch_id)
    return dates


def _nothing_matured(spec: Spec) -> ChurnError:
    return ChurnError(
        f"{spec.name} has no batch whose outcomes are known and older than {spec.horizon_days} days.",
        hint="Deliver outcomes (churn outcomes NAME FILE), or train on a labelled file (churn train --data).",
    )
