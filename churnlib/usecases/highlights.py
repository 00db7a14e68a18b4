"""The few numbers and customers of a scored batch that a person looks at first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from churnlib.records import Batch
from churnlib.spec import ID
from churnlib.usecases.services import Services

SHOWN = 5


@dataclass(frozen=True)
class RiskyCustomer:
    """One customer at high risk.

    Attributes:
        probability: of churning, 0 to 1.
        value_at_risk: in the spec's money; None without a value column.
        reasons: feature and value, strongest first, such as `tenure 1`; one that speaks for the customer
            to stay says so.
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
    """Read the predictions of a batch; None where they are not there (any more)."""
    found = services.predictions.scan_batch(batch.model, batch.batch_id)
    if found is None:
        return None
    rows = found.sort("probability", descending=True, maintain_order=True).collect()
    if rows.is_empty():
        return None
    probability = rows.get_column("probability")
    tenth = math.ceil(rows.height / 10)
    return Highlights(
        customers=rows.height,
        expected=float(probability.sum()),
        tenth=tenth,
        tenth_from=float(probability[tenth - 1]),
        riskiest=tuple(_customer(row) for row in rows.head(shown).iter_rows(named=True)),
    )


def _customer(row: Mapping[str, object]) -> RiskyCustomer:
    value = row["value_at_risk"]
    told = [_reason(row, k) for k in range(1, len(row)) if row.get(f"reason_{k}_feature") is not None]
    assert isinstance(row["probability"], float)
    return RiskyCustomer(
        customer_id=str(row[ID]),
        probability=row["probability"],
        value_at_risk=value if isinstance(value, float) else None,
        reasons=tuple(told),
    )


def _reason(row: Mapping[str, object], k: int) -> str:
    contribution = row[f"reason_{k}_contribution"]
    assert isinstance(contribution, float)
    said = f"{row[f'reason_{k}_feature']} {row[f'reason_{k}_value']}"
    return said if contribution > 0 else f"{said} (lowers the risk)"
