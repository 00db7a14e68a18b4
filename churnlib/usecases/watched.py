"""The rows that the checks of a scored batch are about."""

from __future__ import annotations

import polars as pl

from churnlib.modelling.scoring import probabilities
from churnlib.records import Batch
from churnlib.spec import AS_OF, ID
from churnlib.usecases.batches import batch_rows, scores_of
from churnlib.usecases.services import Services


def watched_rows(services: Services, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accepted rows, and the champion's scores of them in the same order.

    A base model learned from every customer of its family, so every customer of the delivered file counts, also
    those whose slice has a model of its own: these get the base model's score here. Otherwise a slice that gets
    a model of its own would look as if its customers had left, and the base model would be measured on other
    people than its test was.

    Raises:
        FileRefused: rows of a batch that the ledger calls scored are not in the tables.
        ChurnError: nobody is in the batch.
    """
    assert batch.version is not None
    elsewhere = _elsewhere(services, batch)
    if elsewhere is None:
        return batch_rows(services, batch)
    theirs = elsewhere.select(ID, AS_OF).with_columns(
        probabilities(services.release(batch.model, batch.version), elsewhere)
    )
    if not batch.accepted:
        return elsewhere, theirs
    mine, scores = batch_rows(services, batch)
    return pl.concat([mine, elsewhere], how="diagonal_relaxed"), pl.concat([scores, theirs.select(scores.columns)])


def watched_scores(services: Services, batch: Batch, version: int) -> pl.DataFrame | None:
    """`customer_id`, `as_of` and `probability` of the same customers as that version scores them.

    The champion's or the challenger's; None where there are no rows.
    """
    mine = scores_of(services, batch, version)
    elsewhere = _elsewhere(services, batch)
    found = [] if mine is None else [mine.collect()]
    if elsewhere is not None:
        release = services.release(batch.model, version)
        found.append(elsewhere.select(ID, AS_OF).with_columns(probabilities(release, elsewhere)))
    return pl.concat(found) if found else None


def _elsewhere(services: Services, batch: Batch) -> pl.DataFrame | None:
    """The accepted rows of the same file that slices with a model of their own scored; None without any."""
    with services.ledger.begin() as tx:
        same = tx.family_batches(batch.model, batch_id=batch.batch_id)
    found = (
        services.snapshots.scan_batch(each.model, each.batch_id) for each in same if each.model != batch.model
    )
    frames = [rows for rows in found if rows is not None]
    if not frames:
        return None
    return pl.concat(frames, how="diagonal_relaxed").sort(ID, AS_OF).collect()
