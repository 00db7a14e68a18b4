"""Which run works on a batch, which of two deliveries counts, and the rows of a scored one."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError, FileRefused
from churnlib.intake.files import content_id
from churnlib.ports import LedgerTransaction
from churnlib.records import Batch, BatchStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.services import Run, Services

LEASE_SECONDS = 1800.0


def take(services: Services, run: Run, model: str, path: Path, key: str | None) -> tuple[Batch, str]:
    """Claim the batch: it is `mine`, `busy` in another run or a `duplicate`.

    Its arrival goes on record, because of two deliveries for one `as_of` the later one counts, even where
    the earlier one takes longer or was killed and is scored after it.
    """
    batch_id, now = content_id(path), services.clock()
    with services.ledger.begin() as tx:
        known = tx.batch(model, batch_id)
        if known is not None and known.status in {BatchStatus.SCORED, BatchStatus.SUPERSEDED}:
            if key is not None:
                tx.finish(key, result=f"duplicate of {batch_id}", now=now)
            return known, "duplicate"
        since = known.received_at if known is not None and known.status is BatchStatus.ARRIVED else now
        batch = Batch(model=model, batch_id=batch_id, source=path.name, received_at=since)
        claim = tx.claim(work_key(batch), owner=run.run_id, now=now, lease_seconds=LEASE_SECONDS)
        if claim.state != "mine":
            return batch, "busy"
        tx.save_batch(batch)
    return batch, "mine"


def hold(tx: LedgerTransaction, services: Services, run: Run, batch: Batch) -> None:
    """Renew the claim; a run that overslept it, and whose batch another one took, writes nothing more."""
    now = services.clock()
    claim = tx.claim(work_key(batch), owner=run.run_id, now=now, lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"{batch.source} was taken over by {claim.owner} after {LEASE_SECONDS / 60:.0f} minutes.",
            hint="Look at that run; this one wrote nothing.",
        )


def work_key(batch: Batch) -> str:
    """Key under which one run scores the batch."""
    return f"score:{batch.model}:{batch.batch_id}"


def superseded(batch: Batch, *, by: Batch) -> Batch:
    """The batch as it stands once a later delivery for its `as_of` counts."""
    said = f"superseded by {by.source} ({by.batch_id[:12]})"
    return batch.model_copy(update={"status": BatchStatus.SUPERSEDED, "reason": said})


def batch_rows(services: Services, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The accepted rows and the predictions of a scored batch, in the same order.

    Raises:
        FileRefused: rows of a batch that the ledger calls scored are not in the tables.
    """
    accepted = services.snapshots.scan_batch(batch.model, batch.batch_id)
    predictions = services.predictions.scan_batch(batch.model, batch.batch_id)
    if accepted is None or predictions is None:
        raise FileRefused(
            f"The rows of batch {batch.batch_id[:12]} ({batch.source}) are gone from the tables.",
            hint="Restore them from a backup, or deliver the file again after correcting a row.",
        )
    order = [ID, AS_OF]
    return accepted.sort(order).collect(), predictions.sort(order).collect()
