"""The page says everything in words, holds everything in itself, and takes no text of the data for markup."""

from __future__ import annotations

import base64
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from churnlib.errors import ChurnError
from churnlib.governance.comparison import compare
from churnlib.governance.gates import judge
from churnlib.governance.side_by_side import Gap, Importance, Measured, Pair, SideBySide, Speed
from churnlib.governance.side_by_side_calls import call_change
from churnlib.governance.side_by_side_measures import curve, measures
from churnlib.governance.side_by_side_page import write_page
from churnlib.governance.side_by_side_words import paragraphs, verdict
from churnlib.spec import parse_spec
from tests import builders

EVIL = "<script>alert('x')</script>"


def measured(*, better: float) -> Measured:
    """A thousand customers; the second version knows the truth better by that much, or worse."""
    spec = builders.spec(promotion={"bootstrap_rounds": 60, "min_slice_rows": 150})
    rows = builders.accepted(1000)
    rate = builders.churn_rate(rows)
    rng = np.random.default_rng(0)
    churned = rng.random(1000) < rate
    blurred = np.clip(rate + rng.normal(0, abs(better) + 1e-3, 1000), 0.001, 0.999)
    first, second = (blurred, rate) if better >= 0 else (rate, blurred)
    evidence = compare(
        churned=churned,
        champion_probability=first,
        challenger_probability=second,
        rows=rows,
        spec=spec,
        champion=1,
        challenger=2,
        cutoff=None,
    )
    return Measured(
        evidence=evidence.model_copy(update={"rows_are": "later customers"}),
        gates=judge(evidence, spec.promotion),
        measures=measures(evidence, churned, first, second, spec),
        first_curve=curve(churned, first),
        second_curve=curve(churned, second),
        source=f"file {EVIL}",
        notes=(f"note {EVIL}",),
    )


def side_by_side(**changes: Any) -> SideBySide:
    rows, rng = builders.accepted(300), np.random.default_rng(1)
    content: dict[str, Any] = {
        "model": "telly",
        "first": 1,
        "second": 2,
        "aliases": (("champion",), ()),
        "made_at": datetime(2026, 1, 5, 9, tzinfo=UTC),
        "measured": measured(better=0.4),
        "own": (Pair(name="auc", first=None, second=0.8123),),
        "calls": call_change(rows, rng.random(300), rng.random(300), builders.spec(), source="3 snapshots"),
        "importance": (Importance(feature="plan", label=f"plan {EVIL} $x$", first=1.0, second=None),),
        "settings": (Pair(name=f"features.{EVIL}", first=None, second=EVIL),),
        "lineage": (Pair(name="source", first=EVIL, second="b.csv"), Pair(name="rows", first=None, second=5)),
        "footprint": (Pair(name="trees", first=60, second=30),),
        "speed": Speed(rows=50_000, rounds=5, first=1e6, second=2e6, engines=("trees", "trees"), source="a file"),
        "gaps": (),
    }
    return SideBySide.model_validate({**content, **changes})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(side_by_side(), tmp_path_factory.mktemp("page") / "page.html").read_text(encoding="utf-8")


def test_every_section_is_there_and_words_come_first(page: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "How good they are",
        "Whether probabilities can be taken at their word",
        "For whom",
        "Who is called",
        "The call list by value",
        "What they look at",
        "Size and speed",
        "How good they were when they were made",
        "Parameters and spec: what differs",
        "Where they come from",
    ]
    assert page.index('class="verdict"') < page.index("<table")
    assert "v2 compared with v1 (champion), 2026-01-05 09:00 UTC." in page
    assert 'name="viewport"' in page


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    outside = [url for url in re.findall(r'(?:src|href)="([^"]*)"', page) if not url.startswith("data:")]
    assert outside == []
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "<script" not in page
    assert not re.search(r"\son\w+=", page)


def test_texts_from_data_are_escaped_on_the_page_and_in_its_pictures(page: str) -> None:
    assert page.count("&lt;script&gt;") >= 6
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"base64,([^\"]+)", page)]
    assert len(pictures) == 2
    assert all("<script" not in picture for picture in pictures)
    assert "plan &lt;script" in pictures[1]


def test_what_is_not_known_is_said_so(page: str) -> None:
    assert "<td>not measured</td><td>0.8123</td>" in page
    assert "<td>rows</td><td>unknown</td><td>5</td>" in page
    assert "not used" in page


def test_without_rows_the_page_says_what_is_missing_and_has_the_rest(tmp_path: Path) -> None:
    gap = Gap(what="metrics", why="No outcomes <yet>.", way_out="Deliver them.")
    found = side_by_side(measured=None, calls=None, speed=None, gaps=(gap,), importance=(), settings=())
    text = write_page(found, tmp_path / "page.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles[0] == "What could not be compared"
    assert "How good they are" not in titles
    assert "Where they come from" in titles
    assert "No outcomes &lt;yet&gt;. Deliver them." in text
    assert "They are the same." in text


def test_without_matplotlib_the_page_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ChurnError, match="needs matplotlib") as refused:
        write_page(side_by_side(), tmp_path / "page.html")
    assert "churnlib[reports]" in refused.value.hint


# words


@pytest.mark.parametrize(
    ("better", "words"),
    [
        (0.4, "v2 is better than v1 at finding customers who will leave"),
        (-0.4, "v2 is worse than v1 at finding customers who will leave"),
        (0.0, "v2 and v1 cannot be told apart"),
    ],
)
def test_the_verdict_follows_the_interval(better: float, words: str) -> None:
    found = side_by_side(measured=measured(better=better))
    assert verdict(found).startswith(words)
    assert re.search(r"Of \d+ customers who left, v2 had \d+ in its riskiest tenth, v1 \d+\.", verdict(found))


def test_without_a_measurement_there_is_no_verdict() -> None:
    gap = Gap(what="metrics", why="Nothing matured.", way_out="Wait.")
    said = verdict(side_by_side(measured=None, gaps=(gap,)))
    assert said == "Whether v2 is better than v1 cannot be said yet. Nothing matured."


def test_the_gates_speak_of_the_versions() -> None:
    worse = side_by_side(measured=measured(better=-0.4))
    assert any("v2 would not be proposed to follow v1 as champion: " in text for text in paragraphs(worse))
    better = side_by_side(measured=measured(better=0.4))
    assert any("v2 could be proposed to follow v1" in text for text in paragraphs(better))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (2e6, "v2 scores 2.0 times faster than v1"),
        (0.5e6, "v2 scores 2.0 times slower than v1"),
        (1.05e6, "Both score equally fast"),
    ],
)
def test_speed_is_told_as_a_ratio(second: float, words: str) -> None:
    speed = Speed(rows=50_000, rounds=5, first=1e6, second=second, engines=("trees", "trees"), source="a file")
    assert any(text.startswith(words) for text in paragraphs(side_by_side(speed=speed)))


def test_a_list_that_stays_is_told_so() -> None:
    rows, score = builders.accepted(100), np.arange(100) / 100
    calls = call_change(rows, score, score, parse_spec({**SPEC_WITHOUT_VALUE}, source="test"), source="x")
    assert any("stays as it is: the same 10 customers" in text for text in paragraphs(side_by_side(calls=calls)))


SPEC_WITHOUT_VALUE: dict[str, Any] = {
    "name": "telly",
    "columns": {"id": "customer"},
    "features": builders.FEATURES,
}
