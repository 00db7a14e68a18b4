"""What every drift reporter has to do; Evidently's is the one there is."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
import pytest

from churnlib.adapters.evidently import EvidentlyReporter
from churnlib.ports import DriftReporter

REMOTE = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=\s*["']?(?:https?:)?//""", re.IGNORECASE)


@pytest.fixture(params=[EvidentlyReporter])
def reporter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DriftReporter:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a report needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    made: DriftReporter = request.param()
    return made


def sample(rows: int = 300, seed: int = 1, shift: float = 0.0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "price": generator.normal(50 + shift, 10, rows),
            "plan": generator.choice(["basic", "plus"], rows),
            "autopay": generator.random(rows) < 0.6,
            "score": generator.beta(1, 9, rows),
        }
    )


def test_the_page_is_complete_in_itself_and_names_every_column(reporter: DriftReporter, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "drift.html"
    assert reporter.write(sample(), sample(seed=2, shift=20), destination) == destination
    page = destination.read_text(encoding="utf-8")
    assert not REMOTE.search(page)
    assert all(name in page for name in sample().columns)
    assert [one.name for one in destination.parent.iterdir()] == ["drift.html"]


def test_an_older_page_is_replaced(reporter: DriftReporter, tmp_path: Path) -> None:
    destination = tmp_path / "drift.html"
    destination.write_text("old")
    reporter.write(sample(50), sample(50, seed=2), destination)
    assert destination.stat().st_size > 10_000


def test_broken_columns_do_not_keep_the_report_from_people(reporter: DriftReporter, tmp_path: Path) -> None:
    broken = sample(seed=2).with_columns(
        price=pl.lit(None, pl.Float64), plan=pl.lit("basic"), autopay=pl.lit(None, pl.Boolean)
    )
    page = reporter.write(sample(), broken, tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "Not shown, because a sample has no value: price, autopay." in page
    assert "plan" in page


def test_columns_that_are_all_empty_still_make_a_page(reporter: DriftReporter, tmp_path: Path) -> None:
    empty = pl.DataFrame({"price": pl.Series([None, None], dtype=pl.Float64)})
    page = reporter.write(empty, empty, tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "no value: price" in page


def test_delivered_text_cannot_end_the_pages_script(reporter: DriftReporter, tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script>"
    hostile = sample().with_columns(plan=pl.lit(attack)).rename({"price": f"price{attack}"})
    page = reporter.write(hostile, hostile, tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page


def test_other_columns_are_an_error(reporter: DriftReporter, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not match"):
        reporter.write(sample(), sample().drop("plan"), tmp_path / "drift.html")


def test_a_report_says_nothing_on_the_terminal(
    reporter: DriftReporter, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reporter.write(sample(), sample(seed=2), tmp_path / "drift.html")
    assert capfd.readouterr() == ("", "")
