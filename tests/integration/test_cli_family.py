"""A family of models on the command line: real ledger, real MLflow, several models at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.spec import AS_OF, ID
from flows import cli
from flows.wiring import utc_now
from tests.families import EU, REGIONS, TINY, US, became, customers, family_spec
from tests.loops import MODEL, as_delivered, write_spec

Churn = Callable[..., dict[str, Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A spec with regions, labelled files of two kinds of times, and a week with what became of it."""
    home = tmp_path / "home"
    write_spec(home / "models", family_spec())
    today = utc_now().date()
    for name, seed, rows, days, turned in (
        ("labelled", 1, 2000, 60, ()),
        ("turned", 2, 3000, 50, REGIONS),
        ("week", 3, 1000, 10, ()),
    ):
        frame = customers(seed, rows).with_columns(pl.lit(today - timedelta(days=days)).alias(AS_OF))
        known = became(frame, turned=turned)
        delivered = frame if name == "week" else frame.join(known, on=[ID, AS_OF], how="inner")
        as_delivered(delivered).write_csv(home / f"{name}.csv")
        as_delivered(known).write_csv(home / f"{name}-became.csv")
    return home


@pytest.fixture
def churn(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    """Runs commands in this process; a relative file is one of the home's."""
    for name in ("PREFECT_API_URL", "CHURN_PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHURN_HOME", str(home))
    monkeypatch.setenv("CHURN_USER", "ada")
    monkeypatch.setenv("CHURN_WORKERS", "3")
    monkeypatch.setattr("churnlib.usecases.training.write_plots", lambda *_: [])

    def run(*arguments: str) -> dict[str, Any]:
        given = [str(home / each) if each.endswith(".csv") else each for each in arguments]
        monkeypatch.setattr(sys, "argv", ["churn", *given, "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert ended.value.code == 0, shown.out + shown.err
        content: dict[str, Any] = json.loads(shown.out)
        return content

    return run


def test_a_family_is_trained_scored_checked_measured_and_approved_as_one(home: Path, churn: Churn) -> None:
    trained = churn("train", MODEL, "--data", "labelled.csv", "--variants")
    assert {each["model"]: each["now"] for each in trained["models"]} == {
        MODEL: "champion",
        EU: "champion",
        US: "champion",
    }
    (few,) = trained["falling_back"]
    assert (few["model"], few["rows"]) == (TINY, 100)

    assert churn("score", MODEL, "week.csv")["accepted"] == 51
    folders = {
        path.relative_to(home / "data" / "predictions").parts[1]
        for path in (home / "data" / "predictions").rglob("*.parquet")
    }
    assert {"geography-us", "geography-eu"} < folders

    checked = churn("drift", MODEL)
    assert {each["model"]: each["customers"] for each in checked["models"]} == {MODEL: 1000, EU: 450, US: 499}
    assert checked["failed"] == {}
    measured = churn("outcomes", MODEL, "week-became.csv")
    assert {each["model"] for each in measured["performance"]} == {MODEL, EU, US}

    again = churn("train", MODEL, "--data", "turned.csv", "--variants")
    assert len(again["approvals"]) == 3
    lines = {line["model"]: line for line in churn("models", "--family", MODEL)["models"]}
    assert next(iter(lines)) == MODEL
    assert {model: line["attention"] for model, line in lines.items()} == {
        MODEL: "approval",
        EU: "approval",
        US: "approval",
        TINY: None,
    }
    assert (lines[TINY]["falls_back"], lines[US]["variant"], lines[US]["age_days"]) == (True, "geography-us", 0)
    assert lines[US]["metrics"]["live_auc"] is not None

    answered = churn("approve", again["approvals"][1][:8], "--reason", "all win")
    assert {each["model"]: each["outcome"] for each in answered["approvals"]} == dict.fromkeys(
        (MODEL, EU, US), "promoted v2"
    )
    assert churn("champion", US)["version"] == 2


def test_retraining_asks_about_every_slice_and_says_why_not(churn: Churn) -> None:
    churn("train", MODEL, "--data", "labelled.csv", "--variants")
    asked = churn("retrain", MODEL, "--variants")
    assert {each["model"]: each["answer"] for each in asked["models"]} == dict.fromkeys(
        (MODEL, EU, US, TINY), "wait"
    )
    assert "0 matured rows" in asked["models"][0]["why"]
