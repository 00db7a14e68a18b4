"""From a scored file to a list of customers to call, and from a customer on it back to the file."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.spec import AS_OF, ID, LABEL
from flows import cli
from tests import builders

Churn = Callable[..., tuple[int, str]]
"""Runs `churn` with these arguments: the exit code, and what stands on standard output."""


@pytest.fixture
def churn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("CHURN_PREFECT_API_URL", raising=False)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHURN_USER", "newcomer")

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["churn", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def week(churn: Churn, tmp_path: Path) -> Path:
    """A scored file."""
    frame = builders.labelled(600).rename({ID: "customer", LABEL: "left"}).drop(AS_OF)
    labelled, week = tmp_path / "telly.csv", tmp_path / "week.csv"
    frame.with_columns(pl.col("left").cast(pl.Int8)).write_csv(labelled)
    frame.drop("left").write_csv(week)
    assert churn("init", labelled, "--id", "customer", "--label", "left")[0] == 0
    assert churn("train", "telly", "--data", labelled)[0] == 0
    assert churn("score", "telly", week)[0] == 0
    return week


def test_a_list_is_written_once_and_each_customer_on_it_can_be_explained(
    churn: Churn, week: Path, tmp_path: Path
) -> None:
    code, out = churn("campaign", "telly", "--size", "20", "--json")
    made = json.loads(out)
    assert (code, made["contacts"], made["is_new"]) == (0, 20, True)
    file = Path(made["file"])
    assert file.parent == tmp_path / "home" / "data" / "campaigns" / "telly"
    content = file.read_bytes()
    listed = list(csv.DictReader(content.decode().splitlines()))
    assert [row["rank"] for row in listed] == [str(rank) for rank in range(1, 21)]
    assert all(row["reason_1"].endswith("the risk") for row in listed)

    file.unlink()
    again = json.loads(churn("campaign", "telly", "--size", "20", "--json")[1])
    assert (again["is_new"], again["file"], file.read_bytes()) == (False, str(file), content)

    told = _explained(churn, listed[0]["customer_id"])
    (score,), (contact,) = told["scores"], told["contacts"]
    assert round(score["probability"], 4) == float(listed[0]["probability"])
    assert score["reasons"] == [listed[0][f"reason_{k}"] for k in (1, 2, 3)]
    assert (score["source"], score["counts"], score["version"]) == (week.name, True, 1)
    assert (contact["campaign_id"], contact["rank"]) == (made["campaign_id"], 1)

    code, out = churn("campaign", "telly", "--size", "20")
    assert (code, "nobody is recorded twice" in out, "Next: churn explain telly" in out) == (0, True, True)


def test_what_cannot_be_is_refused_in_a_sentence(churn: Churn, week: Path) -> None:
    for arguments, said in (
        (("explain", "telly", "nobody"), "No customer 'nobody'"),
        (("campaign", "telly", "--size", "0"), "0 customers"),
        (("campaign", "telly", "--budget", "10"), "cost of one contact"),
        (("campaign", "telly", "--batch", "ffff"), "No batch of telly begins"),
        (("campaign", "telly", "--out", str(week)), "other content"),
    ):
        code, out = churn(*arguments, "--json")
        assert (code, said in json.loads(out)["error"]) == (2, True)


def _explained(churn: Churn, customer_id: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(churn("explain", "telly", customer_id, "--json")[1])
    return content
