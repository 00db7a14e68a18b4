"""Take the checked rows of one batch through its models, and write everything that comes of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from churnlib.intake.delivery import lazy
from churnlib.modelling.reasons import reason_schema
from churnlib.records import Batch, BatchStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.batches import Holding, hold
from churnlib.usecases.contenders import Contenders
from churnlib.usecases.flowing import Spill
from churnlib.usecases.passes import Passes
from churnlib.usecases.services import Run, Services
from churnlib.usecases.splitting import Parts
from churnlib.usecases.summary import Summary

_Types = dict[str, type[pl.DataType] | pl.DataType]

_KEY: _Types = {ID: pl.String, AS_OF: pl.Date}
_SCORES: _Types = {"probability": pl.Float64, "margin": pl.Float64}
_RANKS: _Types = {"percentile": pl.Float64, "decile": pl.Int8, "value_at_risk": pl.Float64}
_RECORD: _Types = {
    "model": pl.String,
    "run_id": pl.String,
    "batch_id": pl.String,
    "scored_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class Work:
    """Who writes, and on whose claim.

    Attributes:
        claimed: the delivered file's batch, which the run holds a claim on.
        slices: of the accepted rows, the slice of each as text; None for a model without slices.
    """

    services: Services
    run: Run
    claimed: Batch
    slices: pl.Expr | None = None


def write_batch(
    work: Work, batch: Batch, parts: Parts, schema: pl.Schema, models: Contenders, quarantined: Spill
) -> tuple[Batch, Summary]:
    """Score the rows and write them to the tables, before the ledger says that they are there.

    Args:
        work: who writes.
        batch: under whose name; the claimed one, or a slice of it.
        parts: its rows.
        schema: of its accepted rows.
        models: who scores.
        quarantined: where refused rows are set aside.

    Returns:
        The batch as it will stand on record, and its scores in a few numbers. Without an accepted row
        nothing is scored, and its `output` is None.

    Raises:
        FileRefused: the file as a whole cannot be used; nothing of it is in the tables then.
    """
    services, run, started = work.services, work.run, time.monotonic()
    passes = Passes(
        parts,
        models,
        quarantined,
        _record(work, batch),
        slices=work.slices,
        progress=run.progress,
        holding=Holding(services, run, work.claimed),
    )
    output = None
    as_of = passes.begin()
    with services.ledger.begin() as tx:
        hold(tx, services, run, work.claimed)
    if as_of is not None:
        place = (batch.model, batch.batch_id, as_of)
        services.snapshots.replace(*place, lazy(passes.accepted, schema))
    totals = passes.totals
    if quarantined.rows:
        services.quarantine.replace(batch.model, batch.batch_id, totals.as_of, quarantined.scan())
    if as_of is not None:
        output = _score(work, batch, passes, models)
    return batch.model_copy(
        update={
            "as_of": totals.as_of,
            "rows": passes.rows + quarantined.rows,
            "accepted": passes.rows,
            "quarantined": quarantined.rows,
            "quarantined_by": totals.quarantined_by,
            "output": output,
            "status": BatchStatus.SCORED,
            "version": models.champion,
            "challenger": models.challenger,
            "run_id": run.run_id,
            "seconds": round(time.monotonic() - started, 3),
            "scored_at": services.clock(),
            "reason": None,
        }
    ), passes.summary


def _score(work: Work, batch: Batch, passes: Passes, models: Contenders) -> str:
    """The second pass; returns where the predictions are."""
    services, place = work.services, (batch.model, batch.batch_id, passes.totals.as_of)
    accepted = services.snapshots.scan_batch(batch.model, batch.batch_id)
    assert accepted is not None
    work.run.progress.step(f"scoring {passes.rows:,} customers with {batch.model} v{models.champion}")
    predictions = lazy(lambda: passes.predictions(accepted), _predictions(work, models))
    output = services.predictions.replace(*place, predictions)
    if models.challenger is not None:
        services.shadows.replace(*place, lazy(lambda: passes.beside(accepted), _shadows()))
    return output


def _record(work: Work, batch: Batch) -> Mapping[str, pl.Expr]:
    """The columns that are the same in every prediction of the batch."""
    values = {
        "model": batch.model,
        "run_id": work.run.run_id,
        "batch_id": batch.batch_id,
        "scored_at": work.services.clock(),
    }
    return {name: pl.lit(value).cast(_RECORD[name]).alias(name) for name, value in values.items()}


def _predictions(work: Work, models: Contenders) -> pl.Schema:
    top = models.releases[models.champion].spec.reasons.top
    sliced: _Types = {} if work.slices is None else {"variant": pl.String}
    return pl.Schema({**_KEY, **_SCORES, **_RANKS, **reason_schema(top), "version": pl.Int64, **sliced, **_RECORD})


def _shadows() -> pl.Schema:
    return pl.Schema({**_KEY, **_SCORES, "version": pl.Int64, **_RECORD})
