from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from churnlib.features.state import FittedState, fit_state
from churnlib.spec import LABEL, Spec, parse_spec


def rows(plans: Sequence[str | None], churned: list[bool]) -> pl.DataFrame:
    return pl.DataFrame(
        {"as_of": [date(2025, 1, 6)] * len(plans), "plan": pl.Series(plans, dtype=pl.String), LABEL: churned}
    )


def plan_spec(smoothing: float) -> Spec:
    content = {
        "name": "plans",
        "columns": {"id": "id"},
        "features": {"plan": {"type": "category"}, "first": {"type": "category", "sql": "left(plan, 1)"}},
        "training": {"category_smoothing": smoothing},
    }
    return parse_spec(content, source="test")


def test_categories_are_ordered_by_churn_rate() -> None:
    frame = rows(["a", "a", "b", "b", "c", "c"], [True, True, False, False, True, False])
    assert fit_state(frame, plan_spec(0)).codes["plan"] == ("b", "c", "a")


def test_smoothing_moves_a_rare_category_to_the_middle() -> None:
    frame = rows(["rare"] + ["a"] * 20 + ["b"] * 20, [True] + [True] * 15 + [False] * 5 + [False] * 20)
    assert fit_state(frame, plan_spec(0)).codes["plan"] == ("b", "a", "rare")
    assert fit_state(frame, plan_spec(20)).codes["plan"] == ("b", "rare", "a")


def test_equal_rates_are_ordered_by_name_whatever_the_order_of_rows() -> None:
    frame = rows(["z", "m", "a"], [False, False, False])
    assert fit_state(frame, plan_spec(5)).codes["plan"] == ("a", "m", "z")
    assert fit_state(frame.reverse(), plan_spec(5)) == fit_state(frame, plan_spec(5))


def test_null_is_no_category() -> None:
    frame = rows(["a", None, None], [False, True, True])
    assert fit_state(frame, plan_spec(0)).codes["plan"] == ("a",)


def test_derived_categories_are_fitted_too() -> None:
    frame = rows(["alpha", "beta"], [True, False])
    assert fit_state(frame, plan_spec(0)).codes["first"] == ("b", "a")


def test_state_survives_json() -> None:
    state = fit_state(rows(["a", "ü", "b"], [True, False, True]), plan_spec(1))
    assert FittedState.model_validate_json(state.model_dump_json()) == state
