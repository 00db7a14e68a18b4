"""What `churn compare` prints of what was compared, and of what could not be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from churnlib.errors import ChurnError
from churnlib.governance.side_by_side import Gap, Importance, Pair, SideBySide, Speed
from churnlib.governance.side_by_side_calls import call_change
from churnlib.usecases.comparing import Compared
from flows.compare_command import compare
from flows.compare_results import compare_result
from tests import builders

GAP = Gap(what="metrics", why="Nothing matured.", way_out="Deliver outcomes.")


def compared(**changes: Any) -> Compared:
    rows, rng = builders.accepted(300), np.random.default_rng(1)
    content: dict[str, Any] = {
        "model": "telly",
        "first": 1,
        "second": 2,
        "aliases": (("champion",), ()),
        "made_at": datetime(2026, 1, 5, 9, tzinfo=UTC),
        "measured": None,
        "own": (Pair(name="auc", first=None, second=0.8123),),
        "calls": call_change(rows, rng.random(300), rng.random(300), builders.spec(), source="1 snapshot"),
        "importance": (Importance(feature="plan", label="price plan", first=0.7, second=None),),
        "settings": (Pair(name="training.max_depth", first=3, second=2),),
        "lineage": (Pair(name="source", first=None, second="b.csv"), Pair(name="rows", first=5, second=5)),
        "footprint": (Pair(name="trees", first=60, second=30),),
        "speed": Speed(
            rows=50_000, rounds=5, first=1e6, second=2e6, engines=("trees", "xgboost (x)"), source="a file"
        ),
        "gaps": (GAP,),
    }
    found = SideBySide.model_validate({**content, **changes})
    return Compared(found, Path("page.html"), ("comparisons/v1-v2.json",), "a note")


def test_what_is_missing_is_said_and_the_rest_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    compare_result(compared(), as_json=False)
    out = capsys.readouterr().out
    assert out.startswith("Whether v2 is better than v1 cannot be said yet. Nothing matured.")
    for text in (
        "Not compared: metrics. Deliver outcomes.",
        "v2 scores 2.0 times faster",
        "not measured",
        "price plan",
        "not used",
        "training.max_depth",
        "b.csv",
        "unknown",
        "(1 fact the same)",
        "xgboost (x)",
        "value entering",
        "Page: page.html",
        "comparisons/v1-v2.json",
        "a note",
    ):
        assert text in out, text
    assert "[bold]" not in out


def test_equal_versions_are_told_to_be_equal(capsys: pytest.CaptureFixture[str]) -> None:
    compare_result(compared(settings=(), lineage=(), importance=()), as_json=False)
    out = capsys.readouterr().out
    assert "Parameters and specs are the same." in out
    assert "Both come from the same data" in out
    assert "No tree of either version" in out


def test_json_is_one_object_with_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    compare_result(compared(), as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["verdict"].startswith("Whether v2 is better")
    assert (content["first"], content["second"], content["page"]) == (1, 2, "page.html")
    assert content["gaps"] == [GAP.model_dump()]
    assert content["calls"]["whole"]["listed_first"] == 30


def test_a_path_for_a_page_that_nobody_asked_for_is_refused() -> None:
    app = typer.Typer()
    app.command()(compare)
    with pytest.raises(ChurnError, match=r"v2\.html is for a page"):
        CliRunner().invoke(app, ["telly", "1", "2", "v2.html"], catch_exceptions=False)
