"""What `churn campaign` says, for a marketer and for a machine."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnlib.records import Batch, BatchStatus, Contact
from churnlib.spec import CampaignPolicy
from churnlib.usecases.call_list import Row
from churnlib.usecases.campaign import Campaign
from flows.campaign_results import campaign_result, summary_lines

DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


def row(rank: int, *, value: float | None = 1000.0) -> Row:
    contact = Contact(
        model="telco",
        campaign_id="c" * 16,
        customer_id=f"c{rank}",
        batch_id="b" * 64,
        as_of=DAY,
        group="contact",
        rank=rank,
        contacted_on=DAY,
        probability=1 - rank / 10,
        value_at_risk=value,
    )
    return Row(contact, ("tenure: 1, raises the risk", "autopay: yes, lowers the risk"))


def made(*, value: float | None = 1000.0, cost: float | None = 2.5, **changes: Any) -> Campaign:
    """Seven customers on a list."""
    content: dict[str, Any] = {
        "campaign_id": "c" * 16,
        "batch": Batch(
            model="telco",
            batch_id="b" * 64,
            source="week.csv",
            as_of=DAY,
            status=BatchStatus.SCORED,
            accepted=7043,
            version=1,
            received_at=AT,
        ),
        "policy": CampaignPolicy(size=7, cost=cost),
        "contacted_on": DAY,
        "rows": tuple(row(rank, value=value) for rank in range(1, 8)),
        "held_out": 2,
        "rested": 12,
        "path": Path("/lists/x.csv"),
        "is_new": True,
    }
    return Campaign(**{**content, **changes})


def test_the_first_few_are_shown_with_reasons_and_the_rest_is_in_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign_result(made(), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("7 customers of telco to contact, highest risk first, from 7,043 scored as of 2026")
    (first,) = [line for line in lines if " c1 " in line]
    assert "90.0%" in first
    assert "1,000" in first
    assert first.endswith("tenure: 1, raises the risk; autopay: yes, lowers the risk")
    assert any(" c5 " in line for line in lines)
    assert not any(" c6 " in line for line in lines)
    assert "List: /lists/x.csv" in lines
    assert lines[-1] == "Next: churn explain telco c1"


def test_the_summary_says_what_it_promises_costs_and_leaves_out() -> None:
    assert summary_lines(made()) == [
        "About 4 of them can be expected to leave (60.0%).",
        "7,000 of yearly value is at risk; the contacts cost 17.50.",
        "Not on it: 2 customers of the same rank, held out to measure what contacts are worth; "
        "12 who were contacted within 60 days.",
    ]


def test_what_is_not_known_is_not_said() -> None:
    lines = summary_lines(made(value=None, cost=None, rested=None))
    assert len(lines) == 2
    assert "who were contacted" not in lines[1]
    assert len(summary_lines(made(value=None, cost=None, rested=0, held_out=0))) == 1
    assert summary_lines(made(value=None))[1] == "The contacts cost 17.50."


def test_a_repeated_list_says_that_nobody_is_recorded_twice(capsys: pytest.CaptureFixture[str]) -> None:
    campaign_result(made(is_new=False, rested=None), as_json=False)
    assert "made on 2026-11-20 already" in capsys.readouterr().out


def test_an_id_that_looks_like_an_option_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    first = row(1)
    odd = Row(first.contact.model_copy(update={"customer_id": "-5"}), ())
    campaign_result(made(rows=(odd,)), as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "Next: churn explain telco -- -5"


def test_a_machine_gets_the_sums_the_file_and_the_first_few(capsys: pytest.CaptureFixture[str]) -> None:
    campaign_result(made(), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["contacts"], said["held_out"], said["rested"], said["is_new"]) == (7, 2, 12, True)
    assert (said["file"], said["as_of"], said["cost"]) == ("/lists/x.csv", "2026-11-20", 17.5)
    assert said["expected_leavers"] == pytest.approx(4.2)
    assert said["policy"]["size"] == 7
    assert said["first"][0] == {
        "rank": 1,
        "customer_id": "c1",
        "probability": 0.9,
        "value_at_risk": 1000.0,
        "reasons": ["tenure: 1, raises the risk", "autopay: yes, lowers the risk"],
    }
