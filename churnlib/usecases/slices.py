"""Which rows are whose in a family: the base model's customers by slice, wherever their rows were put."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from churnlib.records import Batch, BatchStatus, KnownVariant
from churnlib.spec import AS_OF, LABEL, Spec
from churnlib.usecases.services import Services
from churnlib.usecases.splitting import slugs, variant_of
from churnlib.variants import Variant

MODEL = "model"
"""Column with the name of a registered model."""


@dataclass(frozen=True)
class Counted:
    """One slice of labelled rows.

    Attributes:
        positives: rows of customers who churned.
    """

    variant: Variant
    rows: int
    positives: int


def model_of(spec: Spec) -> pl.Expr:
    """The registered model of each row's slice, as scoring names it; the base model's for a row of none.

    Needs the dimensions' columns, see `with_dimensions`.
    """
    parts = [pl.lit("-") + slugs(pl.col(column)) for column in spec.variants.dimensions.values()]
    suffix = pl.concat_str(parts, ignore_nulls=True) if parts else pl.lit("")
    return (pl.lit(spec.family) + suffix).alias(MODEL)


def with_dimensions(rows: pl.LazyFrame, spec: Spec) -> pl.LazyFrame:
    """The rows with every dimension's column; all null where a frame of before has none."""
    there = rows.collect_schema()
    absent = [column for column in spec.variants.dimensions.values() if column not in there]
    return rows.with_columns(pl.lit(None, pl.String).alias(column) for column in absent) if absent else rows


def rows_of_slice(rows: pl.LazyFrame, spec: Spec) -> pl.LazyFrame:
    """The rows of the spec's slice; of the base variant all."""
    if not spec.variant.dimensions:
        return rows
    columns = rows.collect_schema().names()
    return with_dimensions(rows, spec).filter(model_of(spec) == spec.name).select(columns)


def count_slices(labelled: pl.DataFrame, spec: Spec) -> list[Counted]:
    """The slices of labelled rows, by registered model; rows of no slice are left out."""
    columns = spec.variants.dimensions
    if not columns:
        return []
    rows = with_dimensions(labelled.lazy(), spec).with_columns(model_of(spec))
    first = [pl.col(column).cast(pl.String).first() for column in columns.values()]
    each = rows.group_by(MODEL).agg(*first, rows=pl.len(), positives=pl.col(LABEL).sum()).sort(MODEL).collect()
    found = [
        Counted(variant_of({name: row[column] for name, column in columns.items()}), row["rows"], row["positives"])
        for row in each.iter_rows(named=True)
    ]
    return [counted for counted in found if counted.variant.dimensions]


def record_slices(services: Services, labelled: pl.DataFrame, spec: Spec) -> list[KnownVariant]:
    """Put the slices of labelled rows on record, so that their models have a spec; returns all that are known."""
    first = labelled.get_column(AS_OF).min()
    seen = [
        KnownVariant(
            model=counted.variant.registered_model(spec.family),
            family=spec.family,
            dimensions=dict(counted.variant.dimensions),
            first_as_of=first,
        )
        for counted in count_slices(labelled, spec)
    ]
    with services.ledger.begin() as tx:
        tx.save_variants(seen)
    return services.slices(spec.family)


def counting_batches(services: Services, spec: Spec) -> list[Batch]:
    """One for each delivered file that counts, the base model's: every file of the family has one."""
    with services.ledger.begin() as tx:
        return [batch for batch in tx.batches(spec.family) if batch.status is BatchStatus.SCORED]


def kept_rows(services: Services, spec: Spec, batches: Sequence[Batch]) -> list[pl.LazyFrame]:
    """The accepted rows of delivered files that the spec's model is for, lazily; one frame or more a file.

    They lie with the model that scored them: those of the base model are its own and those of every slice, those
    of a slice are its own and what the base model scored of it.

    Args:
        services: the ports.
        spec: of the base model or of a slice.
        batches: the base model's.
    """
    places = _places(services, spec)
    wanted = [(model, batch.batch_id) for batch in batches for model in places.get(batch.batch_id, ())]
    found = [services.snapshots.scan_batch(model, batch_id) for model, batch_id in wanted]
    return [rows_of_slice(rows, spec) for rows in found if rows is not None]


def family_predictions(services: Services, batch: Batch) -> pl.LazyFrame | None:
    """The predictions of a delivered file, by whichever model of the family each row was scored; None without any.

    Args:
        services: the ports.
        batch: the base model's; that of a slice gives the slice's own.
    """
    with services.ledger.begin() as tx:
        same = tx.family_batches(batch.model, batch_id=batch.batch_id)
    found = [services.predictions.scan_batch(each.model, each.batch_id) for each in same]
    rows = [each for each in found if each is not None]
    return pl.concat(rows, how="diagonal_relaxed") if rows else None


def _places(services: Services, spec: Spec) -> dict[str, list[str]]:
    """By batch id, the models under whose names its rows lie."""
    with services.ledger.begin() as tx:
        if not spec.variants.dimensions:
            mine = tx.batches(spec.family)
        elif not spec.variant.dimensions:
            mine = tx.family_batches(spec.family)
        else:
            own = {batch.batch_id: batch for batch in tx.batches(spec.name)}
            mine = [own.get(batch.batch_id, batch) for batch in tx.batches(spec.family)]
    return _by_id(mine)


def _by_id(batches: Iterable[Batch]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for batch in batches:
        found.setdefault(batch.batch_id, []).append(batch.model)
    return found
