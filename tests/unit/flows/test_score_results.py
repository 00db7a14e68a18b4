"""What `churn score` says of a file, for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnlib.errors import ChurnError, FileRefused
from churnlib.records import Batch, BatchStatus
from churnlib.usecases.highlights import Highlights, RiskyCustomer
from churnlib.usecases.scoring import ScoreResult
from churnlib.usecases.summary import Summary
from flows.commands import model_name
from flows.score_results import inbox_results, print_highlights, score_lines, score_result

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def result(state: str = "scored", **changes: Any) -> ScoreResult:
    """A scored batch of 1,000 rows, 998 of them good."""
    batch = Batch(
        model="telco",
        batch_id="0123456789abcdef",
        source="week.csv",
        as_of=date(2026, 11, 20),
        status=BatchStatus.SCORED,
        rows=1000,
        accepted=998,
        quarantined=2,
        quarantined_by={"tenure: not a number": 1, "customer_id: missing": 2},
        version=3,
        output="/data/x.parquet",
        seconds=0.2,
        received_at=AT,
        scored_at=AT,
    )
    summary = Summary(unseen=Counter(plan=1))
    return ScoreResult(
        batch.model_copy(update=changes),
        state,
        summary,
        extra_columns=("extra",),
        absent_columns=("age", "region"),
    )


def test_a_scored_file_says_everything_that_was_not_as_it_should_be() -> None:
    assert score_lines(result()) == [
        "telco v3 scored 998 of 1,000 customers of week.csv as of 2026-11-20 (batch 01234567).",
        "  in quarantine: 1 row, tenure: not a number",
        "  in quarantine: 2 rows, customer_id: missing",
        "  unknown to the model: 1 value of plan, scored as missing",
        "  not delivered, scored as missing: age, region",
        "  not used: extra",
    ]


def test_a_duplicate_says_when_it_was_scored_and_under_which_name() -> None:
    (line,) = score_lines(result("duplicate"))
    assert "by telco v3 on 2026-11-20 09:30 UTC already" in line
    assert "week.csv" in line


def test_a_delivery_that_came_too_late_says_that_it_does_not_count() -> None:
    lines = score_lines(result(status=BatchStatus.SUPERSEDED, reason="superseded by new.csv (ff)"))
    assert "  does not count: superseded by new.csv (ff)" in lines


def test_the_riskiest_are_shown_with_risk_value_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    risky = RiskyCustomer("c1", 0.8651, 1234.5, ("tenure: 1, raises the risk", "autopay: yes, lowers the risk"))
    print_highlights(Highlights(998, 250.4, 100, 0.6, (risky,)))
    shown = capsys.readouterr().out
    assert "About 250 of these customers (25.1%)" in shown
    assert "100 customers with a risk of 60.0% or more" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("c1")]
    assert "86.5%" in line
    assert "1,234" in line
    assert line.endswith("tenure: 1, raises the risk; autopay: yes, lowers the risk")


def test_without_values_there_is_no_column_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_highlights(
        Highlights(10, 2.0, 1, 0.6, (RiskyCustomer("c1", 0.9, None, ("tenure: 1, raises the risk",)),))
    )
    assert "value at risk" not in capsys.readouterr().out


def test_only_a_new_batch_is_offered_to_the_drift_check(capsys: pytest.CaptureFixture[str]) -> None:
    score_result(result(), None, as_json=False)
    assert "Next: churn drift telco" in capsys.readouterr().out
    score_result(result("duplicate"), None, as_json=False)
    shown = capsys.readouterr().out
    assert "Next:" not in shown
    assert "/data/x.parquet" in shown


def test_a_refused_file_among_several_is_told_after_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    refused = {"bad.csv": FileRefused("bad.csv is empty (0 bytes).", hint="Deliver it again.")}
    with pytest.raises(ChurnError, match=r"bad\.csv is empty") as caught:
        inbox_results("telco", [result()], refused, as_json=False)
    assert "data/failed/telco/" in caught.value.hint
    assert "telco v3 scored" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "name"),
    [("telco.csv", "telco"), ("Telco Churn (2).csv.gz", "telco-churn-2"), ("a_b-C.parquet", "a_b-C")],
)
def test_a_model_is_named_after_its_file(file: str, name: str) -> None:
    assert model_name(Path(file), None) == name


@pytest.mark.parametrize("name", ["../x", "a b", ""])
def test_a_name_that_was_given_is_not_changed_but_refused(name: str) -> None:
    with pytest.raises(ChurnError, match="cannot be the name"):
        model_name(Path("telco.csv"), name)


def test_a_file_whose_name_holds_nothing_for_a_model_is_refused() -> None:
    with pytest.raises(ChurnError, match="cannot be the name"):
        model_name(Path("...csv"), None)


def test_slices_with_a_model_of_their_own_are_counted() -> None:
    scored = result()
    own = [scored.batch.model_copy(update={"model": f"telco-{name}", "accepted": 40}) for name in ("us", "eu")]
    assert "  80 more customers by the own models of 2 slices" in score_lines(replace(scored, slices=tuple(own)))
    assert not any("slice" in line for line in score_lines(scored))
