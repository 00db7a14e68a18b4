"""A column that is taken as it is has the values that reading it cell by cell gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.intake.row_check import RowCheck, row_check
from churnlib.intake.sorting import sort_rows
from churnlib.spec import parse_spec

TODAY = date(2026, 3, 2)
TEXTS = [
    "",
    " ",
    "NA",
    "nan",
    "-999",
    " -999 ",
    "1",
    "-3",
    " 80 ",
    "1e3",
    "1e400",
    "inf",
    "+1",
    "x",
    "\u00a01",
    "a",
]
WORDS = ["a", "b", " a", "b\u2003", "NA", "", "1.0"]
NUMBERS = [0.0, -0.0, 1.5, -3.0, 80.0, 1e308, float("nan"), float("inf"), float("-inf")]


def a_check(schema: pl.Schema, feature: dict[str, Any], missing: list[str]) -> RowCheck:
    spec = parse_spec(
        {
            "name": "telco",
            "columns": {"id": "id"},
            "input": {"missing": missing},
            "features": {"x": feature, "other": {"type": "number", "required": False}},
        },
        source="test",
    )
    return row_check(schema, spec, delivered_on=TODAY, labelled=False)


def cells(plain: list[Any], others: list[Any]) -> st.SearchStrategy[list[Any]]:
    """Plain cells only, or any, so that short cuts hold often and fail often."""
    choices = (plain, [*plain, None], [*plain, *others, None])
    return st.one_of(*(st.lists(st.sampled_from(some), max_size=12) for some in choices))


NUMERIC = [
    (pl.String(), cells(["1", "-3", "-999"], TEXTS)),
    (pl.Float64(), cells([0.0, 1.5, 80.0], NUMBERS)),
    (pl.Float32(), cells([0.0, 1.5, 80.0], NUMBERS)),
    (pl.Int16(), cells([0, 1], [-3, 80])),
]


@st.composite
def columns(draw: st.DrawFn) -> tuple[pl.Series, dict[str, Any]]:
    """A raw column and the feature that it is read as."""
    kind = draw(st.sampled_from(["number", "category"]))
    feature: dict[str, Any] = {"type": kind, "nullable": draw(st.booleans())}
    if kind == "number":
        limits = draw(st.sampled_from([{}, {"min": 0}, {"max": 72}, {"min": -3, "max": 80}]))
        dtype, values = draw(st.sampled_from(NUMERIC))
        return pl.Series("x", draw(values), dtype, strict=False), {**feature, **limits}
    if draw(st.booleans()):
        feature["categories"] = draw(st.sampled_from([["a"], ["a", "b", "1.0"]]))
    dtype = draw(st.sampled_from([pl.String(), pl.Categorical(), pl.Enum(WORDS)]))
    return pl.Series("x", draw(cells(["a", "1.0"], WORDS)), dtype), feature


@given(
    columns(), st.sampled_from([["", "NA", "nan"], ["-999"], []]), st.lists(st.sampled_from(WORDS), min_size=12)
)
@settings(max_examples=400, deadline=None)
def test_a_short_cut_changes_nothing(
    column: tuple[pl.Series, dict[str, Any]], missing: list[str], ids: list[str]
) -> None:
    raw = pl.DataFrame([pl.Series("id", ids[: len(column[0])], pl.String), column[0]])
    check = a_check(raw.schema, column[1], missing)
    assert {"customer_id"} <= set(check.short_cuts)
    found, expected = sort_rows(raw, check), sort_rows(raw, replace(check, short_cuts={}))
    assert found.accepted.equals(expected.accepted)
    assert found.accepted.schema == expected.accepted.schema
    assert found.quarantined.equals(expected.quarantined)
    assert list(found.by_reason.items()) == list(expected.by_reason.items())


@pytest.mark.parametrize(
    ("cells", "dtype", "is_short"),
    [
        (["1", "2.5", None], pl.String(), True),
        ([" 1"], pl.String(), False),
        (["NA"], pl.String(), False),
        ([1.0, None], pl.Float64(), True),
        ([1.0, float("nan")], pl.Float64(), False),
        ([3, 73], pl.Int64(), False),
        ([None, None], pl.String(), True),
    ],
)
def test_plain_columns_are_taken_as_they_are(cells: list[Any], dtype: pl.DataType, is_short: bool) -> None:
    raw = pl.DataFrame({"id": [str(row) for row in range(len(cells))], "x": pl.Series(cells, dtype=dtype)})
    check = a_check(raw.schema, {"type": "number", "max": 72}, ["NA"])
    broken = replace(check, given={**check.given, "x": pl.col("id")})  # the wrong cells
    values, _ = broken.apply(raw)
    assert (values["x"].to_list() == raw["x"].cast(pl.Float64, strict=False).to_list()) is is_short


def test_a_number_that_means_no_value_is_none() -> None:
    raw = pl.DataFrame({"id": ["a", "b"], "x": ["-999", "5"]})
    values, broken = a_check(raw.schema, {"type": "number"}, ["-999"]).apply(raw)
    assert values["x"].to_list() == [None, 5.0]
    assert not broken.select(pl.any_horizontal(pl.all())).to_series().any()
