"""Everything on record about one customer: scores, reasons, contacts, outcomes, and where each came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from churnlib.errors import ChurnError
from churnlib.intake.cells import text
from churnlib.intake.row_check import REASONS
from churnlib.ports import BatchTable
from churnlib.records import Batch, BatchStatus, Contact
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL, Spec
from churnlib.usecases.outcomes import known_outcomes
from churnlib.usecases.services import Run, Services
from churnlib.usecases.told_reasons import sentences, worded_spec


@dataclass(frozen=True)
class Outcome:
    """What became of the customer within the horizon after an `as_of`; `known_at` is when that was known."""

    churned: bool
    known_at: date


@dataclass(frozen=True)
class CustomerScore:
    """One score of the customer.

    Attributes:
        batch: the delivered file, as the model scored it; a superseded one does not count.
        version: that scored this customer.
        probability: of churning, 0 to 1.
        percentile: 0 to 100 within the batch; 100 is the riskiest.
        decile: 1 is the riskiest tenth, 10 the safest.
        value_at_risk: in the spec's money; None without a value.
        reasons: sentences, strongest first; empty where there are none.
        run_id: the flow run (or command) that scored.
        outcome: None where it is not known.
        beside: probability by version that was not given out: of a challenger in the shadow, or of the
            champion where the challenger's score was given out.
    """

    batch: Batch
    as_of: date
    version: int
    probability: float
    percentile: float
    decile: int
    value_at_risk: float | None
    reasons: tuple[str, ...]
    run_id: str
    scored_at: datetime
    outcome: Outcome | None
    beside: Mapping[int, float]

    @property
    def counts(self) -> bool:
        """Whether no corrected delivery took its place."""
        return self.batch.status is BatchStatus.SCORED


@dataclass(frozen=True)
class QuarantinedRow:
    """One row of the customer that broke the contract."""

    batch: Batch
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ScoringVersion:
    """A version that scored the customer.

    Attributes:
        cutoff: last `as_of` that it learned from; None where that is not known.
        run_id: its MLflow run; None where the registry has it no more.
        model: the base model, or that of the customer's slice.
    """

    version: int
    cutoff: date | None
    run_id: str | None
    model: str = ""


@dataclass(frozen=True)
class Explanation:
    """One customer's whole record.

    Attributes:
        scores: oldest first.
        quarantined: oldest first.
        contacts: oldest first, those in a holdout too.
        versions: those that scored, oldest first.
    """

    model: str
    customer_id: str
    scores: tuple[CustomerScore, ...]
    quarantined: tuple[QuarantinedRow, ...]
    contacts: tuple[Contact, ...]
    versions: tuple[ScoringVersion, ...]


def explain(services: Services, run: Run, *, model: str, customer_id: str) -> Explanation:
    """Collect what is on record about a customer; of every table only the customer's own rows are read.

    Raises:
        ChurnError: no batch was scored yet, or the customer is in none.
    """
    spec = services.spec(model)
    with services.ledger.begin() as tx:
        family = [batch for batch in tx.family_batches(model) if batch.scored_at is not None]
        contacts = tuple(tx.contacts(model, customer_id=customer_id))
    batches = [batch for batch in family if batch.model == model]
    if not batches:
        raise ChurnError(
            f"No batch of {model} was scored yet.", hint=f"Score one first: churn score {model} FILE."
        )
    run.progress.step(f"looking in {len(batches):,} batches of {model}")
    scores = _scores(services, model, customer_id, family)
    quarantined = _quarantined(services, spec, customer_id, batches)
    if not (scores or quarantined or contacts):
        raise ChurnError(
            f"No customer {customer_id!r} was in a batch of {model}: {len(batches):,} were looked at, "
            f"from {batches[0].as_of} on.",
            hint=f"Look into the column {spec.columns.id!r} of a delivered file: ids are compared to the letter.",
        )
    versions = sorted({(score.batch.model, score.version) for score in scores})
    return Explanation(
        model=model,
        customer_id=customer_id,
        scores=scores,
        quarantined=quarantined,
        contacts=contacts,
        versions=tuple(_version(services, scorer, version) for scorer, version in versions),
    )


def _scores(
    services: Services, model: str, customer_id: str, batches: Sequence[Batch]
) -> tuple[CustomerScore, ...]:
    rows = _by_batch(services.predictions, [batch.model for batch in batches], customer_id)
    if not rows:
        return ()
    shadows: dict[tuple[str, str], dict[int, float]] = {}
    for beside_of, found in _by_batch(services.shadows, [scorer for scorer, _ in rows], customer_id).items():
        shadows[beside_of] = {row["version"]: row["probability"] for row in found}
    outcomes = _outcomes(services, model, customer_id)
    scored_by = {(scorer, row["version"]) for (scorer, _), found in rows.items() for row in found}
    specs = {each: worded_spec(services, *each) for each in scored_by}
    return tuple(
        CustomerScore(
            batch=batch,
            as_of=row[AS_OF],
            version=row["version"],
            probability=row["probability"],
            percentile=row["percentile"],
            decile=row["decile"],
            value_at_risk=row["value_at_risk"],
            reasons=sentences(specs[batch.model, row["version"]], row),
            run_id=row["run_id"],
            scored_at=row["scored_at"],
            outcome=outcomes.get(row[AS_OF]),
            beside=shadows.get((batch.model, batch.batch_id), {}),
        )
        for batch in batches
        for row in rows.get((batch.model, batch.batch_id), ())
    )


def _by_batch(
    table: BatchTable, models: Iterable[str], customer_id: str
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The customer's rows, by model and batch."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for model in dict.fromkeys(models):
        for row in _rows_of(table, model, customer_id):
            found.setdefault((model, row["batch_id"]), []).append(row)
    return found


def _rows_of(table: BatchTable, model: str, customer_id: str) -> list[dict[str, Any]]:
    found = table.scan(model)
    return [] if found is None else _mine(found, customer_id)


def _mine(rows: pl.LazyFrame, customer_id: str) -> list[dict[str, Any]]:
    return rows.filter(pl.col(ID) == customer_id).collect(engine="streaming").to_dicts()


def _outcomes(services: Services, model: str, customer_id: str) -> dict[date, Outcome]:
    known = known_outcomes(services, model)
    rows = [] if known is None else _mine(known, customer_id)
    return {row[AS_OF]: Outcome(row[LABEL], row[KNOWN_AT]) for row in rows}


def _quarantined(
    services: Services, spec: Spec, customer_id: str, batches: Sequence[Batch]
) -> tuple[QuarantinedRow, ...]:
    """The customer's refused rows; they are as delivered, so the id is read as the contract reads it."""
    found = []
    for batch in batches:
        rows = services.quarantine.scan_batch(batch.model, batch.batch_id) if batch.quarantined else None
        dtype = None if rows is None else rows.collect_schema().get(spec.columns.id)
        if rows is None or dtype is None:
            continue
        is_mine = text(spec.columns.id, dtype, spec.input.missing) == customer_id
        reasons = rows.filter(is_mine).select(REASONS).collect(engine="streaming").to_series()
        found += [QuarantinedRow(batch, tuple(each)) for each in reasons]
    return tuple(found)


def _version(services: Services, model: str, version: int) -> ScoringVersion:
    """What is known of a version; a registry that is away hides the rest, and not the scores."""
    try:
        registered = services.registry.version(model, version)
        cutoff = services.release(model, version).cutoff if registered else None
    except ChurnError:
        return ScoringVersion(version, None, None, model)
    return ScoringVersion(version, cutoff, registered.run_id if registered else None, model)
