"""The few numbers and customers of a scored batch that a person looks at first."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from churnlib.records import Batch
from churnlib.spec import ID
from churnlib.usecases.services import Services
from churnlib.usecases.told_reasons import reasons_by_customer

SHOWN = 5


@dataclass(frozen=True)
class RiskyCustomer:
    """One customer at high risk.

    Attributes:
        probability: of churning, 0 to 1.
        value_at_risk: in the spec's money; None without a value column.
        reasons: sentences, strongest first; empty where the spec asks for none.
    """

    customer_id: str
    probability: float
    value_at_risk: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Highlights:
    """A scored batch at a glance.

    Attributes:
        customers: scored.
        expected: how many of them the probabilities promise to churn: their sum.
        tenth: customers in the riskiest tenth.
        tenth_from: the least probability among those.
        riskiest: highest probability first, ties by the order of the file.
    """

    customers: int
    expected: float
    tenth: int
    tenth_from: float
    riskiest: tuple[RiskyCustomer, ...]


def highlights(services: Services, batch: Batch, *, shown: int = SHOWN) -> Highlights | None:
    """Read the predictions of a batch, in a stream; None where they are not there (any more)."""
    found = services.predictions.scan_batch(batch.model, batch.batch_id)
    if found is None:
        return None
    risk, is_tenth = pl.col("probability"), pl.col("decile") == 1
    numbers = found.select(
        pl.len(), risk.sum().alias("sum"), is_tenth.sum().alias("tenth"), risk.filter(is_tenth).min().alias("from")
    )
    customers, expected, tenth, tenth_from = numbers.collect(engine="streaming").row(0)
    if not customers:
        return None
    riskiest = _riskiest(services, batch, found, shown)
    return Highlights(customers, expected, tenth, tenth_from, riskiest)


def _riskiest(services: Services, batch: Batch, found: pl.LazyFrame, shown: int) -> tuple[RiskyCustomer, ...]:
    rows = found.select(ID, "probability", "value_at_risk").with_row_index("place")
    best = rows.top_k(shown, by=["probability", "place"], reverse=[False, True]).collect(engine="streaming")
    ranked = best.sort("probability", "place", descending=[True, False]).drop("place")
    told = reasons_by_customer(services, found, ranked[ID].to_list())
    return tuple(
        RiskyCustomer(customer_id, probability, value_at_risk, told[customer_id])
        for customer_id, probability, value_at_risk in ranked.iter_rows()
    )
