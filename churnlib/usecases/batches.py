"""Which run works on a batch, which of two deliveries counts, and the rows of a scored one."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError, FileRefused
from churnlib.events import BATCH_DUPLICATE, Event, make_event
from churnlib.intake.files import content_id
from churnlib.ports import LedgerTransaction
from churnlib.records import Batch, BatchStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.services import Run, Services

LEASE_SECONDS = 300.0
"""How long a batch is a run's after it last said so; that of a killed run is free again then."""

_STILL_THE_FIRST = timedelta(hours=1)
"""A file of the same name is, for so long, the first delivery, which a killed run did not put away."""

_RENEWED_AFTER = timedelta(seconds=LEASE_SECONDS / 5)


def take(services: Services, run: Run, model: str, path: Path, key: str | None) -> tuple[Batch, str]:
    """Claim the batch: it is `mine`, `busy` in another run or a `duplicate`.

    Its arrival goes on record, because of two deliveries for one `as_of` the later one counts, even where
    the earlier one takes longer or was killed and is scored after it. So does a duplicate, once a name.
    """
    batch_id, now = content_id(path), services.clock()
    with services.ledger.begin() as tx:
        known = tx.batch(model, batch_id)
        if known is not None and known.status in {BatchStatus.SCORED, BatchStatus.SUPERSEDED}:
            if key is not None:
                tx.finish(key, result=f"duplicate of {batch_id}", now=now)
            if path.name != known.source or now - (known.scored_at or now) > _STILL_THE_FIRST:
                tx.publish(_duplicate(known, path.name, now))
            return known, "duplicate"
        since = known.received_at if known is not None and known.status is BatchStatus.ARRIVED else now
        batch = Batch(
            model=model,
            batch_id=batch_id,
            source=path.name,
            origin=services.inbox.origin(model, path),
            received_at=since,
        )
        claim = tx.claim(work_key(batch), owner=run.run_id, now=now, lease_seconds=LEASE_SECONDS)
        if claim.state != "mine":
            return batch, "busy"
        tx.save_batch(batch)
    return batch, "mine"


def _duplicate(known: Batch, file: str, now: datetime) -> Event:
    return make_event(
        BATCH_DUPLICATE,
        model=known.model,
        subject=f"{file}:{known.batch_id}",
        occurred_at=now,
        file=file,
        batch_id=known.batch_id,
        first_file=known.source,
    )


def hold(tx: LedgerTransaction, services: Services, run: Run, batch: Batch) -> None:
    """Renew the claim; a run that overslept it, and whose batch another one took, writes nothing more."""
    now = services.clock()
    claim = tx.claim(work_key(batch), owner=run.run_id, now=now, lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"{batch.source} was taken over by {claim.owner} after {LEASE_SECONDS / 60:.0f} minutes.",
            hint="Look at that run; this one wrote nothing.",
        )


class Holding:
    """Says again and again, while a long batch is worked on, that it is this run's."""

    def __init__(self, services: Services, run: Run, batch: Batch) -> None:
        self._services, self._run, self._batch = services, run, batch
        self._renewed = services.clock()

    def __call__(self) -> None:
        """Renew the claim when it is time; raises ChurnError where another run has taken the batch."""
        now = self._services.clock()
        if now - self._renewed < _RENEWED_AFTER:
            return
        with self._services.ledger.begin() as tx:
            hold(tx, self._services, self._run, self._batch)
        self._renewed = now


def work_key(batch: Batch) -> str:
    """Key under which one run scores the batch."""
    return f"score:{batch.model}:{batch.batch_id}"


def superseded(batch: Batch, *, by: Batch) -> Batch:
    """The batch as it stands once a later delivery for its `as_of` counts."""
    said = f"superseded by {by.source} ({by.batch_id[:12]})"
    return batch.model_copy(update={"status": BatchStatus.SUPERSEDED, "reason": said})


def batch_rows(services: Services, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The accepted rows and the champion's scores of a scored batch, in the same order.

    Raises:
        FileRefused: rows of a batch that the ledger calls scored are not in the tables.
    """
    assert batch.version is not None
    accepted = services.snapshots.scan_batch(batch.model, batch.batch_id)
    scores = scores_of(services, batch, batch.version)
    if accepted is None or scores is None:
        raise FileRefused(
            f"The rows of batch {batch.batch_id[:12]} ({batch.source}) are gone from the tables.",
            hint="Restore them from a backup, or deliver the file again after correcting a row.",
        )
    order = [ID, AS_OF]
    return accepted.sort(order).collect(), scores.sort(order).collect()


def scores_of(services: Services, batch: Batch, version: int) -> pl.LazyFrame | None:
    """`customer_id`, `as_of` and `probability` as that version scored every customer of the batch.

    Where two versions scored, each customer was given one of the scores, and the other was kept beside. None
    where there are no rows.
    """
    kept = [services.predictions.scan_batch(batch.model, batch.batch_id)]
    if batch.challenger is not None:
        kept.append(services.shadows.scan_batch(batch.model, batch.batch_id))
    found = [rows.filter(pl.col("version") == version) for rows in kept if rows is not None]
    return pl.concat([rows.select(ID, AS_OF, "probability") for rows in found]) if found else None
