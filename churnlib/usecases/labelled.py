"""Rows to learn from: a labelled file, or what was scored joined with what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError
from churnlib.intake.contract import check
from churnlib.intake.files import content_id, read_raw
from churnlib.records import Batch
from churnlib.spec import AS_OF, ID, LABEL, Spec
from churnlib.usecases.outcomes import known_outcomes
from churnlib.usecases.services import Services
from churnlib.usecases.slices import MODEL, counting_batches, kept_rows, model_of, rows_of_slice, with_dimensions


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

    def of_slice(self, spec: Spec) -> LabelledRows:
        """The rows of the spec's slice; of the base variant all."""
        if not spec.variant.dimensions:
            return self
        return LabelledRows(
            rows_of_slice(self.frame.lazy(), spec).collect(), self.source, self.digest, self.quarantined_by
        )


@dataclass(frozen=True)
class Matured:
    """What a model could learn from by now.

    Attributes:
        dates: `as_of` of counting batches whose outcomes are known and matured, oldest first.
        rows: outcomes that have matured.
        positives: customers among them who churned.
    """

    dates: tuple[date, ...] = ()
    rows: int = 0
    positives: int = 0


def rows_from_file(services: Services, spec: Spec, path: Path) -> LabelledRows:
    """Read a labelled file, for the model of a slice its rows of that slice; raises FileRefused."""
    today = services.clock().date()
    raw = read_raw(path, spec.input)
    checked = check(raw, spec, source=path.name, delivered_on=today, today=today, labelled=True)
    return LabelledRows(checked.accepted, path.name, content_id(path), checked.quarantined_by).of_slice(spec)


def rows_from_history(services: Services, spec: Spec) -> LabelledRows:
    """Join what customers looked like with what became of them, matured outcomes only.

    The base model learns from all customers of its family, the model of a slice from those of the slice, whichever
    model scored them then.

    Raises:
        ChurnError: no batch has matured outcomes yet.
    """
    outcomes = _matured_outcomes(services, spec)
    if outcomes is None:
        raise _nothing_matured(spec)
    live = _by_date(counting_batches(services, spec))
    known = outcomes.select(pl.col(AS_OF).unique().sort()).collect().get_column(AS_OF).to_list()
    dates = [as_of for as_of in known if as_of in live][-(spec.training.max_snapshots or 10_000) :]
    batches = [batch for as_of in dates for batch in live[as_of]]
    frames = kept_rows(services, spec, batches)
    if not frames:
        raise _nothing_matured(spec)
    kept = pl.concat(frames, how="diagonal_relaxed")  # snapshots of before a column came lack it
    absent = [name for name in spec.delivered if name not in kept.collect_schema()]
    if absent:
        raise ChurnError(
            f"No kept snapshot of {spec.name} has {absent[0]!r}, which the spec names.",
            hint=f"Train on a labelled file that has it: churn train {spec.family} --data FILE.",
        )
    matured = outcomes.select(ID, AS_OF, LABEL)
    joined = kept.select(ID, AS_OF, *spec.delivered).join(matured, on=[ID, AS_OF], how="inner")
    labelled = joined.sort(AS_OF, ID).collect()
    if labelled.is_empty():
        raise _nothing_matured(spec)
    found = labelled.get_column(AS_OF).unique().sort().to_list()
    source = f"{len(found)} snapshots {found[0]} to {found[-1]}"
    content = "-".join(
        [*sorted(batch.batch_id for batch in batches), *map(str, labelled.get_column(LABEL).to_list())]
    )
    return LabelledRows(labelled, source, hashlib.sha256(content.encode()).hexdigest(), {})


def matured_of(services: Services, spec: Spec) -> Matured:
    """What the spec's model could learn from by now."""
    outcomes = _matured_outcomes(services, spec)
    if outcomes is None:
        return Matured()
    live = _by_date(counting_batches(services, spec))
    if spec.variant.dimensions:
        return _matured_rows(services, spec, outcomes, live).get(spec.name, Matured())
    churned = pl.col(LABEL).sum().alias("churned")
    known = outcomes.group_by(AS_OF).agg(pl.len().alias("rows"), churned).sort(AS_OF).collect()
    dates = tuple(as_of for as_of in known.get_column(AS_OF) if as_of in live)
    return Matured(dates, int(known.get_column("rows").sum()), int(known.get_column("churned").sum()))


def matured_by_model(services: Services, spec: Spec) -> dict[str, Matured]:
    """The same of the base model and of every slice that has any, by registered model, in one look at the rows.

    Args:
        services: the ports.
        spec: the base variant's.
    """
    outcomes = _matured_outcomes(services, spec)
    if outcomes is None:
        return {}
    found = _matured_rows(services, spec, outcomes, _by_date(counting_batches(services, spec)))
    return found | {spec.name: matured_of(services, spec)}


def _matured_rows(
    services: Services, spec: Spec, outcomes: pl.LazyFrame, live: Mapping[date, Sequence[Batch]]
) -> dict[str, Matured]:
    batches = [batch for same in live.values() for batch in same]
    columns = list(spec.variants.dimensions.values())
    frames = [
        with_dimensions(rows, spec).select(ID, AS_OF, *(pl.col(name).cast(pl.String) for name in columns))
        for rows in kept_rows(services, spec, batches)
    ]
    if not frames:
        return {}
    joined = pl.concat(frames).join(outcomes.select(ID, AS_OF, LABEL), on=[ID, AS_OF], how="inner")
    churned = pl.col(LABEL).sum().alias("churned")
    counted = joined.group_by(model_of(spec), AS_OF).agg(pl.len().alias("rows"), churned).sort(AS_OF).collect()
    return {
        str(model): Matured(
            tuple(rows.get_column(AS_OF)),
            int(rows.get_column("rows").sum()),
            int(rows.get_column("churned").sum()),
        )
        for (model,), rows in counted.partition_by(MODEL, as_dict=True, maintain_order=True).items()
    }


def _matured_outcomes(services: Services, spec: Spec) -> pl.LazyFrame | None:
    latest = services.clock().date() - timedelta(days=spec.horizon_days)
    return known_outcomes(services, spec.family, until=latest)


def _by_date(batches: Sequence[Batch]) -> dict[date, list[Batch]]:
    dates: dict[date, list[Batch]] = {}
    for batch in batches:
        if batch.as_of is not None:
            dates.setdefault(batch.as_of, []).append(batch)
    return dates


def _nothing_matured(spec: Spec) -> ChurnError:
    whose = "no batch" if not spec.variant.dimensions else "no customers"
    return ChurnError(
        f"{spec.name} has {whose} whose outcomes are known and older than {spec.horizon_days} days.",
        hint="Deliver outcomes (churn outcomes NAME FILE), or train on a labelled file (churn train --data).",
    )
