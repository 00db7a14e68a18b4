"""What `churn explain` says of a customer, for people and for machines."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from churnlib.records import Batch, BatchStatus, Contact
from churnlib.usecases.explaining import CustomerScore, Explanation, Outcome, QuarantinedRow, ScoringVersion
from flows.explain_results import explain_result, sparkline

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def batch(day: int, *, status: BatchStatus = BatchStatus.SCORED) -> Batch:
    return Batch(
        model="telco",
        batch_id=f"{day:02}" * 32,
        source=f"week {day}.csv",
        origin=f"s3://churn/week {day}.csv",
        as_of=date(2026, 11, day),
        status=status,
        received_at=AT,
    )


def score(day: int, risk: float, *, status: BatchStatus = BatchStatus.SCORED, **changes: Any) -> CustomerScore:
    content: dict[str, Any] = {
        "batch": batch(day, status=status),
        "as_of": date(2026, 11, day),
        "version": 3,
        "probability": risk,
        "percentile": 97.25,
        "decile": 1,
        "value_at_risk": 1234.5,
        "reasons": ("tenure: 1, raises the risk",),
        "run_id": "run-7",
        "scored_at": AT,
        "outcome": None,
        "beside": {},
    }
    return CustomerScore(**{**content, **changes})


CONTACT = Contact(
    model="telco",
    campaign_id="c" * 16,
    customer_id="7216",
    batch_id="b" * 64,
    as_of=date(2026, 11, 9),
    group="contact",
    rank=4,
    contacted_on=date(2026, 11, 10),
    probability=0.5,
)


def found(*scores: CustomerScore, **changes: Any) -> Explanation:
    content: dict[str, Any] = {
        "quarantined": (),
        "contacts": (),
        "versions": (ScoringVersion(3, date(2026, 10, 5), "abc"),),
    }
    return Explanation("telco", "7216", scores, **{**content, **changes})


def shown(capsys: pytest.CaptureFixture[str], explanation: Explanation) -> list[str]:
    explain_result(explanation, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_bars_are_as_high_as_the_risk_is_against_the_highest() -> None:
    assert sparkline([0.0, 0.25, 0.5, 1.0]) == "▁▃▅█"
    assert sparkline([0.02, 0.04]) == "▅█"
    assert sparkline([0.0]) == "▁"
    assert sparkline([]) == ""


def test_the_risk_over_time_is_of_scores_that_count(capsys: pytest.CaptureFixture[str]) -> None:
    scores = (score(2, 0.2), score(9, 0.99, status=BatchStatus.SUPERSEDED), score(9, 0.8))
    lines = shown(capsys, found(*scores))
    assert lines[0] == "7216, a customer of telco: risk 20.0% ▃█ 80.0%, 2 scores."
    assert [line.split()[0] for line in lines if "(superseded)" in line] == ["2026-11-09"]


def test_a_score_has_its_reasons_outcome_and_lineage(capsys: pytest.CaptureFixture[str]) -> None:
    scores = (score(2, 0.2, outcome=Outcome(True, date(2026, 11, 9)), beside={4: 0.31}), score(9, 0.8))
    lines = shown(capsys, found(*scores))
    first, source = (line for line in lines if line.startswith("2026-11-02"))
    for part in ("20.0%", "97.2", "1,234", "v4 31.0%", "left (known 2026-11-09)", "tenure: 1, raises the risk"):
        assert part in first
    for part in ("v3", "02020202", "week 2.csv", "s3://churn/week 2.csv", "run-7", "2026-11-20 09:30"):
        assert part in source
    assert "v3 learned from customers up to 2026-10-05 (MLflow run abc)." in lines


def test_what_nobody_knows_any_more_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, found(score(2, 0.2), versions=(ScoringVersion(3, None, None),)))
    assert "v3 learned from customers whose dates are not known." in lines
    assert lines[-1] == "Never contacted."


def test_quarantine_and_contacts_stand_without_a_score_too(capsys: pytest.CaptureFixture[str]) -> None:
    row = QuarantinedRow(batch(2), ("tenure: not a number", "plan: missing"))
    holdout = CONTACT.model_copy(update={"group": "holdout", "rank": None})
    lines = shown(capsys, found(quarantined=(row,), contacts=(CONTACT, holdout), versions=()))
    assert lines[0] == "7216, a customer of telco: no score that counts."
    assert "Quarantined on 2026-11-02 in week 2.csv: tenure: not a number, plan: missing." in lines
    contact, held = (line for line in lines if line.startswith("2026-11-10"))
    assert ("cccccccc" in contact, " 4 " in contact, "holdout" in held) == (True, True, True)


def test_a_machine_gets_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    superseded = score(9, 0.8, status=BatchStatus.SUPERSEDED)
    known = score(2, 0.2, outcome=Outcome(False, date(2026, 11, 9)), beside={4: 0.31})
    row = QuarantinedRow(batch(16), ("plan: missing",))
    explain_result(found(known, superseded, quarantined=(row,), contacts=(CONTACT,)), as_json=True)
    said = json.loads(capsys.readouterr().out)
    first, second = said["scores"]
    assert first["outcome"] == {"churned": False, "known_at": "2026-11-09"}
    assert (first["counts"], second["counts"], second["status"]) == (True, False, "superseded")
    assert first["beside"] == {"4": 0.31}
    assert (first["source"], first["origin"], first["run_id"]) == (
        "week 2.csv",
        "s3://churn/week 2.csv",
        "run-7",
    )
    assert said["quarantined"][0]["reasons"] == ["plan: missing"]
    assert said["contacts"][0]["campaign_id"] == "c" * 16
    assert said["versions"] == [{"model": "telco", "version": 3, "cutoff": "2026-10-05", "mlflow_run_id": "abc"}]
