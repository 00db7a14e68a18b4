from __future__ import annotations

import math
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError, SpecError
from churnlib.features.expressions import derive
from churnlib.features.matrix import model_frame
from churnlib.spec import Spec
from tests.builders import FEATURES, accepted, spec


def with_feature(sql: str, kind: str = "number") -> Spec:
    return spec(features={**FEATURES, "made": {"type": kind, "sql": sql}})


def made(sql: str, kind: str = "number", rows: pl.DataFrame | None = None) -> list[object]:
    frame = accepted(40) if rows is None else rows
    return model_frame(frame, with_feature(sql, kind)).get_column("made").to_list()


def test_division_by_zero_is_null() -> None:
    rows = accepted(3).with_columns(
        support_calls=pl.Series([0.0, 2.0, None]), monthly_charge=pl.Series([5.0, 5.0, 5.0])
    )
    assert made("monthly_charge / support_calls", rows=rows) == [None, 2.5, None]


def test_logarithm_of_a_negative_number_is_null() -> None:
    rows = accepted(2).with_columns(tenure_months=pl.Series([-1.0, 1.0]))
    assert made("ln(tenure_months)", rows=rows) == [None, 0.0]


def test_difference_of_two_dates_counts_days() -> None:
    rows = accepted(2).with_columns(signup_date=pl.Series([date(2025, 1, 1), None]))
    assert made("as_of - signup_date", rows=rows) == [5.0, None]


def test_a_comparison_is_a_number_or_a_boolean_as_the_spec_says() -> None:
    rows = accepted(2).with_columns(tenure_months=pl.Series([3.0, 30.0]))
    assert made("tenure_months > 12", rows=rows) == [0.0, 1.0]
    assert made("tenure_months > 12", "boolean", rows) == [False, True]


def test_a_case_makes_a_category() -> None:
    rows = accepted(2).with_columns(tenure_months=pl.Series([3.0, 30.0]))
    assert made("case when tenure_months > 12 then 'old' else 'new' end", "category", rows) == ["new", "old"]


@pytest.mark.parametrize(
    "sql",
    [
        "monthly_charge - avg(monthly_charge)",
        "monthly_charge - avg(monthly_charge) over (partition by plan)",
        "monthly_charge - lag(monthly_charge) over (order by tenure_months)",
        "row_number() over ()",
        "quantile_cont(monthly_charge, 0.5)",
    ],
)
def test_an_expression_that_looks_at_other_rows_is_refused(sql: str) -> None:
    with pytest.raises(SpecError, match=r"features\.made\.sql looks at more rows than its own"):
        made(sql)


def test_text_as_a_number_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"features\.made\.sql gives String, but the spec says type = 'number'"):
        made("plan")


def test_arithmetic_on_text_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"features\.made\.sql cannot be computed"):
        made("plan + 1")


def test_an_expression_that_fails_on_the_rows_is_refused() -> None:
    with pytest.raises(ChurnError, match="derived features of 'telly' cannot be computed"):
        made("cast(plan as int)")


def test_an_expression_may_parse_text_that_suits_it() -> None:
    rows = accepted(2).with_columns(plan=pl.Series(["7", "8"]))
    assert made("cast(plan as int)", rows=rows) == [7.0, 8.0]


def test_without_derived_features_nothing_is_added() -> None:
    plain = spec(features={name: FEATURES[name] for name in ("tenure_months", "plan")}, columns={"value": None})
    rows = accepted(3)
    assert derive(rows.lazy(), plain).collect().equals(rows)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, width=32)), min_size=1, max_size=6))
def test_derived_numbers_are_finite_or_null(calls: list[float | None]) -> None:
    rows = accepted(len(calls)).with_columns(support_calls=pl.Series(calls, dtype=pl.Float64))
    values = made("exp(support_calls) / support_calls", rows=rows)
    assert all(value is None or math.isfinite(float(str(value))) for value in values)
