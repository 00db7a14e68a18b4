"""`churn models` says all that it knows on 80 columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from churnlib.ports import ModelVersion
from churnlib.records import Transition
from flows.output import print_table
from flows.overview import champion_since, for_people
from tests.unit.flows.test_output import looking

NOW = datetime(2026, 11, 20, tzinfo=UTC)

ROW: dict[str, object] = {
    "model": "subscription_emea_b2",
    "champion": 12,
    "since": (NOW - timedelta(days=264)).isoformat(),
    "challenger": 13,
    "last_batch": "2026-11-16",
    "rows": 1_234_567,
    "metrics": {"test_auc": 0.8312, "live_auc": 0.8123},
    "drift": "drifted",
    "approval": "8f3c",
}


def test_a_full_row_fits_80_columns_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with looking() as terminal:
        print_table("", [for_people(ROW, NOW)])
    (line,) = [line for line in terminal.lines() if "subscription_emea_b2" in line]
    known = ["subscription_emea_b2", "v12, 264 d", "0.831", "0.812", "2026-11-16", "1,234,567", "drifted"]
    assert [text for text in known if text not in line] == []
    assert max(map(len, terminal.lines())) <= 80


def test_a_model_without_a_champion_says_so() -> None:
    row = {**ROW, "champion": None, "since": None, "metrics": {"test_auc": None, "live_auc": None}}
    assert for_people(row, NOW)["champion"] == "none yet"


def test_a_champion_counts_from_its_promotion_and_not_from_its_training() -> None:
    version = ModelVersion("telco", 2, "run", NOW - timedelta(days=9))
    promoted = Transition(
        model="telco",
        kind="promotion",
        from_version=1,
        to_version=2,
        who="Ada",
        why="",
        at=NOW - timedelta(days=1),
    )
    assert champion_since(version, [promoted]) == promoted.at
    elsewhere = promoted.model_copy(update={"to_version": 3})
    assert champion_since(version, [elsewhere]) == version.created_at
