"""The customers that a person looks at first are the ones at highest risk, with reasons in words."""

from __future__ import annotations

import polars as pl
import pytest

from churnlib.usecases.highlights import Highlights, highlights
from churnlib.usecases.scoring import score_file
from tests.loops import MODEL, Loop, as_delivered, batch_frame, run


@pytest.fixture
def seen(loop: Loop) -> tuple[Highlights, pl.DataFrame]:
    """A week's highlights, and its predictions, riskiest first."""
    path = loop.folder / "week.csv"
    as_delivered(batch_frame(0)).write_csv(path)
    batch = score_file(loop.services, run(), model=MODEL, path=path).batch
    found = highlights(loop.services, batch)
    predictions = loop.services.predictions.scan_batch(MODEL, batch.batch_id)
    assert found is not None
    assert predictions is not None
    return found, predictions.sort("probability", descending=True, maintain_order=True).collect()


def test_the_five_riskiest_come_riskiest_first(seen: tuple[Highlights, pl.DataFrame]) -> None:
    found, predictions = seen
    assert [each.customer_id for each in found.riskiest] == predictions["customer_id"].head(5).to_list()
    assert [each.probability for each in found.riskiest] == predictions["probability"].head(5).to_list()


def test_the_numbers_are_of_all_customers(seen: tuple[Highlights, pl.DataFrame]) -> None:
    found, predictions = seen
    assert found.customers == predictions.height
    assert found.expected == pytest.approx(predictions["probability"].sum())
    assert (predictions["probability"] >= found.tenth_from).sum() >= found.tenth == predictions.height // 10


def test_reasons_are_feature_and_value_and_say_where_one_lowers_the_risk(
    seen: tuple[Highlights, pl.DataFrame],
) -> None:
    found, predictions = seen
    for customer, row in zip(found.riskiest, predictions.head(5).iter_rows(named=True), strict=True):
        assert len(customer.reasons) == 3
        for k, reason in enumerate(customer.reasons, start=1):
            assert reason.startswith(f"{row[f'reason_{k}_feature']} {row[f'reason_{k}_value']}")
            assert reason.endswith("(lowers the risk)") == (row[f"reason_{k}_contribution"] < 0)


def test_customers_without_reasons_are_shown_without(loop: Loop, seen: tuple[Highlights, pl.DataFrame]) -> None:
    batch = loop.batches()[0]
    all_of_them = highlights(loop.services, batch, shown=10_000)
    assert all_of_them is not None
    assert len(all_of_them.riskiest) == seen[0].customers
    assert all_of_them.riskiest[-1].reasons == ()


def test_predictions_that_are_gone_give_no_highlights(loop: Loop, seen: tuple[Highlights, pl.DataFrame]) -> None:
    batch = loop.batches()[0]
    loop.services.predictions.remove(MODEL, batch.batch_id)
    assert highlights(loop.services, batch) is None
