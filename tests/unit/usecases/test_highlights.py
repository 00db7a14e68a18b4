"""The customers that a person looks at first are the ones at highest risk, with reasons in words."""

from __future__ import annotations

import polars as pl
import pytest

from churnlib.records import Batch
from churnlib.usecases.highlights import Highlights, highlights
from tests.loops import MODEL, Loop
from tests.scored import lay

RISKS = {f"c{number:03}": ((number * 7) % 90) / 100 for number in range(95)}
DECILES = pl.col("probability").rank("ordinal", descending=True).sub(1).mul(10).floordiv(95).add(1).cast(pl.Int8)


@pytest.fixture
def batch(loop: Loop) -> Batch:
    """95 customers; the riskiest tenth are ten of them."""
    return lay(loop, RISKS, decile=DECILES)


def seen(loop: Loop, batch: Batch, **options: int) -> Highlights:
    found = highlights(loop.services, batch, **options)
    assert found is not None
    return found


def test_the_five_riskiest_come_riskiest_first(loop: Loop, batch: Batch) -> None:
    ranked = sorted(RISKS, key=lambda customer: -RISKS[customer])
    riskiest = seen(loop, batch).riskiest
    assert [each.customer_id for each in riskiest] == ranked[:5]
    assert [each.probability for each in riskiest] == [RISKS[customer] for customer in ranked[:5]]
    assert [each.value_at_risk for each in riskiest] == [
        pytest.approx(100 * each.probability) for each in riskiest
    ]


def test_ties_go_by_the_order_of_the_file(loop: Loop) -> None:
    batch = lay(loop, {"z": 0.5, "a": 0.5, "m": 0.9, "b": 0.5})
    assert [each.customer_id for each in seen(loop, batch).riskiest] == ["m", "z", "a", "b"]


def test_the_numbers_are_of_all_customers(loop: Loop, batch: Batch) -> None:
    found, risks = seen(loop, batch), sorted(RISKS.values(), reverse=True)
    assert (found.customers, found.tenth) == (95, 10)
    assert found.expected == pytest.approx(sum(risks))
    assert found.tenth_from == risks[9]


def test_reasons_are_sentences(loop: Loop, batch: Batch) -> None:
    told = {each.reasons for each in seen(loop, batch).riskiest}
    assert told == {("support calls: 7, raises the risk", "autopay: yes, lowers the risk")}


def test_customers_without_reasons_are_shown_without(loop: Loop) -> None:
    has_none = pl.when(pl.col("probability") < 0.5).then(None)
    batch = lay(
        loop,
        {"a": 0.9, "b": 0.1},
        reason_1_feature=has_none.otherwise("reason_1_feature"),
        reason_2_feature=has_none.otherwise("reason_2_feature"),
    )
    assert [len(each.reasons) for each in seen(loop, batch, shown=10_000).riskiest] == [2, 0]


def test_predictions_that_are_gone_give_no_highlights(loop: Loop, batch: Batch) -> None:
    loop.services.predictions.remove(MODEL, batch.batch_id)
    assert highlights(loop.services, batch) is None
