"""The page of a scored batch says who is at risk, why, what was refused, and where everything is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import numpy as np

from churnlib.records import Batch, BatchStatus
from churnlib.usecases.scoring import ScoreResult
from churnlib.usecases.summary import HISTOGRAM_BINS, Summary
from flows.batch_page import batch_page

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def result(**changes: object) -> ScoreResult:
    batch = Batch(
        model="telco",
        batch_id="ab12",
        source="week.csv",
        origin="s3://bucket/incoming/telco/week.csv",
        as_of=date(2026, 1, 5),
        status=BatchStatus.SCORED,
        rows=1010,
        accepted=1000,
        quarantined=10,
        quarantined_by={"tenure: above 72": 10},
        version=3,
        output="/data/predictions/telco/ab12.parquet",
        received_at=NOW,
        run_id="run-1",
    )
    counts = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    counts[[0, 19]] = 900, 100
    summary = Summary(counts, 245.0, Counter({"tenure": 70, "a|b": 30}), Counter({"plan": 4}), "trees")
    return ScoreResult(batch.model_copy(update=changes), "scored", summary)


def test_the_page_counts_customers_leavers_and_refused_rows() -> None:
    page = batch_page(result(), links={})
    assert "1,000 of 1,010 customers as of 2026-01-05, scored by version 3" in page
    assert "About 245 of them (24.5%)" in page
    assert "| tenure: above 72 | 10 rows |" in page
    assert "| plan | 4 values |" in page


def test_the_longest_bar_is_the_fullest_bin_and_empty_bins_have_none() -> None:
    page = batch_page(result(), links={})
    (most,) = [line for line in page.splitlines() if line.startswith("| 0 to 5 %")]
    (least,) = [line for line in page.splitlines() if line.startswith("| 95 to 100 %")]
    assert most.count("█") > least.count("█") > 0
    assert "50 to 55 %" not in page


def test_the_page_leads_to_the_predictions_the_file_and_the_version() -> None:
    page = batch_page(result(), links={"version 3 in MLflow": "http://127.0.0.1:5000/#/models/telco/versions/3"})
    assert "`/data/predictions/telco/ab12.parquet`" in page
    assert "`s3://bucket/incoming/telco/week.csv`" in page
    assert "[version 3 in MLflow](http://127.0.0.1:5000/#/models/telco/versions/3)" in page


def test_names_from_the_file_cannot_break_the_table() -> None:
    assert r"| a\|b |" in batch_page(result(), links={})
    assert "&lt;script>" in batch_page(result(quarantined_by={"<script>: missing": 1}), links={})


def test_a_challenger_that_scored_along_is_named() -> None:
    assert "challenger along" not in batch_page(result(), links={})
    assert "`version 4`" in batch_page(result(challenger=4), links={})
