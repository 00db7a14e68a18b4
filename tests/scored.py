"""Scored batches laid into the tables and the ledger without scoring anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from churnlib.records import Batch, BatchStatus
from churnlib.spec import AS_OF, ID
from tests.loops import MODEL, Loop, week

REASONS = (("support_calls", "7", 0.9), ("autopay", "true", -0.4))
"""Feature, value and log-odds of every customer's first two reasons; there is no third."""


def predictions(risks: dict[str, float], as_of: date, *, version: int = 1, **columns: Any) -> pl.DataFrame:
    """Predictions of customers with these probabilities, each worth 100; `columns` replace some."""
    frame = pl.DataFrame({ID: list(risks), "probability": list(risks.values())}).with_columns(
        pl.lit(as_of).alias(AS_OF),
        percentile=pl.col("probability").rank("max") / max(len(risks), 1) * 100,
        decile=pl.lit(1, pl.Int8),
        value_at_risk=pl.col("probability") * 100,
        model=pl.lit(MODEL),
        version=pl.lit(version, pl.Int64),
        run_id=pl.lit("run-1"),
        scored_at=pl.lit(datetime.combine(as_of, time(9), tzinfo=UTC)),
    )
    for k, (feature, value, log_odds) in enumerate((*REASONS, (None, None, None)), start=1):
        parts = {"feature": pl.lit(feature, pl.String), "value": pl.lit(value, pl.String)}
        parts["log_odds"] = pl.lit(log_odds, pl.Float64)
        frame = frame.with_columns(part.alias(f"reason_{k}_{name}") for name, part in parts.items())
    return frame.with_columns(**columns)


def lay(
    loop: Loop,
    risks: dict[str, float],
    *,
    number: int = 0,
    batch_id: str = "",
    status: BatchStatus = BatchStatus.SCORED,
    quarantined: Sequence[tuple[object, list[str]]] = (),
    **columns: Any,
) -> Batch:
    """A scored batch of that week.

    Args:
        loop: where.
        risks: probability by customer.
        number: of the week.
        batch_id: the week's own where it is empty.
        status: `superseded` for a delivery that was corrected since.
        quarantined: raw id and reasons of refused rows.
        columns: of the predictions, to replace.
    """
    as_of = week(number)
    batch_id = batch_id or f"{number:02}" * 32
    frame = predictions(risks, as_of, **columns).with_columns(batch_id=pl.lit(batch_id))
    loop.services.predictions.replace(MODEL, batch_id, as_of, frame.lazy())
    if quarantined:
        ids, reasons = zip(*quarantined, strict=True)
        refused = pl.DataFrame({"customer": ids, "support_calls": "x", "_reasons": reasons})
        loop.services.quarantine.replace(MODEL, batch_id, as_of, refused.lazy())
    scored_at = datetime.combine(as_of, time(9), tzinfo=UTC)
    batch = Batch(
        model=MODEL,
        batch_id=batch_id,
        source=f"week {number}.csv",
        origin=f"/incoming/week {number}.csv",
        as_of=as_of,
        status=status,
        rows=len(risks) + len(quarantined),
        accepted=len(risks),
        quarantined=len(quarantined),
        version=1,
        run_id="run-1",
        received_at=scored_at,
        scored_at=scored_at,
    )
    with loop.services.ledger.begin() as tx:
        tx.save_batch(batch)
    return batch
