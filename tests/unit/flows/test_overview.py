"""`churn models` says all that it knows on 80 columns, and of two thousand models what one has to know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from churnlib.records import Approval
from churnlib.usecases.overview import Line
from flows.output import print_table
from flows.overview import MOST_SLICES, for_people, row_of, shown_lines
from tests.unit.flows.test_output import looking

NOW = datetime(2026, 11, 20, tzinfo=UTC)

BASE = Line(
    model="subscription_emea_b2",
    family="subscription_emea_b2",
    variant="",
    champion=12,
    since=NOW - timedelta(days=264),
    by_hand=False,
    challenger=13,
    last_batch=date(2026, 11, 16),
    rows=1_234_567,
    test_auc=0.8312,
    live_auc=0.8123,
    drift="drifted",
    performance="healthy",
    approval=None,
)


ASKED = Approval(
    approval_id="8f3c",
    model=BASE.model,
    challenger=13,
    challenger_run_id="run",
    champion=12,
    evidence="{}",
    summary="better",
    flow_run_id=None,
    created_at=NOW,
    expires_at=NOW,
)


def part(number: int, **changes: object) -> Line:
    made = replace(BASE, model=f"{BASE.model}-{number}", variant=f"geography-{number}", drift="stable")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_full_row_fits_80_columns_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with looking() as terminal:
        print_table("", [for_people(row_of(replace(BASE, approval=ASKED), NOW))])
    (line,) = [line for line in terminal.lines() if "subscription_emea_b2" in line]
    known = ["subscription_emea_b2", "v12, 264 d", "0.831", "0.812", "2026-11-16", "drifted", "approval"]
    assert [text for text in known if text not in line] == []
    assert max(map(len, terminal.lines())) <= 80


def test_a_model_without_a_champion_says_who_scores_instead() -> None:
    nothing = replace(BASE, champion=None, since=None, test_auc=None, live_auc=None)
    assert for_people(row_of(nothing, NOW))["champion"] == "none yet"
    assert for_people(row_of(part(1, champion=None, since=None), NOW))["champion"] == "none: base"


def test_a_slice_stands_below_its_base_model() -> None:
    assert for_people(row_of(part(1), NOW))["model"] == "  subscription_emea_b2-1"


def test_what_needs_attention_is_said_in_the_order_of_its_urgency() -> None:
    assert BASE.attention == (5, "drifted")
    assert replace(BASE, approval=ASKED).attention[1] == "approval"
    assert replace(BASE, approval=ASKED, drift="broken").attention[1] == "broken data"
    assert replace(BASE, by_hand=True, drift="broken").attention[0] == 0
    assert part(1).attention == (9, "")
    assert part(1, champion=None).attention == (9, ""), "the base model scores its customers"
    assert replace(BASE, champion=None, drift=None).attention[1] == "no champion"


def test_a_large_family_is_cut_off_with_a_sentence_about_the_rest() -> None:
    own = [part(number, drift="watch" if number > 21 else "stable") for number in range(MOST_SLICES + 3)]
    fallen = [part(number, champion=None) for number in range(100, 104)]
    kept, left_out = shown_lines([BASE, *own, *fallen])
    assert kept == [BASE, *own[:MOST_SLICES]]
    assert left_out == [
        "subscription_emea_b2: 3 more slices, of which 1 need attention; 4 slices without a model, scored by "
        "subscription_emea_b2 (churn models --family subscription_emea_b2)."
    ]
    assert shown_lines([BASE]) == ([BASE], [])
