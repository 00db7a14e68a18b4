"""Which rows the contract accepts, which it quarantines and why, and which files it refuses."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import FileRefused
from churnlib.intake.contract import Checked, check
from churnlib.intake.files import read_raw
from churnlib.spec import AS_OF, ID, LABEL, Spec, parse_spec

TODAY = date(2026, 3, 2)


def a_spec(features: dict[str, dict[str, Any]], *, share: float = 1.0, **columns: Any) -> Spec:
    top = {key: columns.pop(key) for key in ("max_age_days",) if key in columns}
    content = {
        "name": "telco",
        "columns": {"id": "id", **columns},
        "input": {"max_bad_share": share},
        "features": features or {"n": {"type": "number"}},
        **top,
    }
    return parse_spec(content, source="test")


def checked(cells: dict[str, list[Any]], spec: Spec, *, labelled: bool = False) -> Checked:
    raw = pl.DataFrame({"id": [str(row) for row in range(len(next(iter(cells.values()))))], **cells})
    return check(raw.lazy(), spec, source="week.csv", delivered_on=TODAY, today=TODAY, labelled=labelled)


def values_of(kind: str, cells: list[Any], dtype: pl.DataType | None = None) -> tuple[list[Any], list[str]]:
    """Accepted values of one feature (one good row is added), and the reasons for the others."""
    series = pl.Series("x", cells, dtype=dtype, strict=False)
    raw = pl.DataFrame({"id": [f"c{row}" for row in range(len(cells))]}).with_columns(series)
    spec = a_spec({"x": {"type": kind, "input_only": kind == "date"}, "n": {"type": "number", "required": False}})
    found = check(raw.lazy(), spec, source="week.csv", delivered_on=TODAY, today=TODAY)
    reasons = found.quarantined["_reasons"].explode().to_list() if found.quarantined.height else []
    return found.accepted["x"].to_list(), reasons


def test_numbers_in_text_are_stripped_and_missing_texts_are_null() -> None:
    accepted, reasons = values_of("number", [" 1.5 ", "NA", " ", None, "-2e1", "nan", "1,5", "inf", "true"])
    assert accepted == [1.5, None, None, None, -20.0, None]
    assert reasons == ["x: not a number"] * 3


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([1, None], pl.Int16(), [1.0, None]),
        ([1.5, float("nan")], pl.Float32(), [1.5, None]),
        ([True, False], pl.Boolean(), [1.0, 0.0]),
        (["1.50"], pl.Decimal(10, 2), [1.5]),
    ],
)
def test_typed_numbers_are_widened(cells: list[Any], dtype: pl.DataType, expected: list[Any]) -> None:
    assert values_of("number", cells, dtype) == (expected, [])


def test_infinite_numbers_and_dates_are_no_numbers() -> None:
    assert values_of("number", [1.0, float("inf"), float("-inf")]) == ([1.0], ["x: not a number"] * 2)
    assert values_of("number", [None, TODAY], pl.Date()) == ([None], ["x: not a number"])


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([" One year ", "", None], pl.String(), ["One year", None, None]),
        ([1, 2], pl.Int64(), ["1", "2"]),
        ([1.0, None, 2.5, 1e16], pl.Float64(), ["1", None, "2.5", "1e+16"]),
        ([True], pl.Boolean(), ["true"]),
        (["a", None], pl.Categorical(), ["a", None]),
        ([TODAY], pl.Date(), ["2026-03-02"]),
    ],
)
def test_categories_are_text_without_decimals(cells: list[Any], dtype: pl.DataType, expected: list[Any]) -> None:
    assert values_of("category", cells, dtype) == (expected, [])


def test_booleans_come_in_many_words() -> None:
    accepted, reasons = values_of("boolean", ["Yes", "no", "TRUE", "f", "1", "0", "y", "N", "", "maybe", "2"])
    assert accepted == [True, False, True, False, True, False, True, False, None]
    assert reasons == ["x: not true or false"] * 2
    assert values_of("boolean", [1, 0, 2]) == ([True, False], ["x: not true or false"])
    assert values_of("boolean", [1.0, 0.0, None]) == ([True, False, None], [])


def test_dates_come_as_iso_dates_and_datetimes() -> None:
    cells = ["2026-01-31", "2026-01-31 23:59:59", "2026-01-31T10:00Z", "2026-02-30", "31.01.2026", "20260131", ""]
    accepted, reasons = values_of("date", cells)
    assert accepted == [date(2026, 1, 31)] * 3 + [None]
    assert reasons == ["x: not a date"] * 3
    assert values_of("date", [datetime(2026, 1, 31, 12)]) == ([date(2026, 1, 31)], [])


def test_rules_of_the_spec_quarantine_single_rows_with_every_reason() -> None:
    spec = a_spec(
        {
            "tenure": {"type": "number", "min": 0, "max": 72, "nullable": False},
            "plan": {"type": "category", "categories": ["basic", "pro"]},
        }
    )
    tenure, plan = ["1", "-1", "73", None, "x"], ["basic", "pro", "gold", " pro ", None]
    found = checked({"tenure": tenure, "plan": plan, "note": list("abcde")}, spec)
    assert found.accepted.to_dicts() == [{ID: "0", AS_OF: TODAY, "tenure": 1.0, "plan": "basic"}]
    assert found.quarantined.columns == ["id", "tenure", "plan", "note", "_reasons"]
    assert found.quarantined["_reasons"].to_list() == [
        ["tenure: below 0"],
        ["tenure: above 72", "plan: not one of basic, pro"],
        ["tenure: missing"],
        ["tenure: not a number"],
    ]
    assert found.quarantined["tenure"].to_list() == tenure[1:]
    assert found.extra_columns == ("note",)
    assert found.quarantined_by["plan: not one of basic, pro"] == 1


def test_an_absent_optional_column_is_null_even_if_not_nullable() -> None:
    spec = a_spec({"n": {"type": "number"}, "plan": {"type": "category", "required": False, "nullable": False}})
    found = checked({"n": ["1"]}, spec)
    assert found.accepted["plan"].to_list() == [None]
    assert (found.accepted.schema["plan"], found.absent_columns) == (pl.String(), ("plan",))


def test_the_first_good_row_of_a_customer_is_accepted() -> None:
    raw = pl.DataFrame({"id": ["a", "a", "a", "b", "", None], "n": ["x", "1", "2", "3", "4", "5"]})
    found = check(raw.lazy(), a_spec({}), source="w", delivered_on=TODAY, today=TODAY)
    assert found.accepted.select(ID, "n").rows() == [("a", 1.0), ("b", 3.0)]
    expected = {"customer_id: missing": 2, "n: not a number": 1, "customer_id: duplicate": 1}
    assert found.quarantined_by == expected
    assert found.rows == found.accepted.height + found.quarantined.height


def test_a_customer_may_appear_once_a_date_in_labelled_history() -> None:
    spec = a_spec({}, as_of="day", label="y")
    days = ["2026-01-01", "2026-02-01", "2026-02-01"]
    raw = pl.DataFrame({"id": ["a", "a", "a"], "day": days, "n": ["1", "2", "3"], "y": ["1", "0", "0"]})
    found = check(raw.lazy(), spec, source="w", delivered_on=TODAY, today=TODAY, labelled=True)
    assert found.accepted["n"].to_list() == [1.0, 2.0]
    assert (found.as_of, found.as_ofs) == (date(2026, 2, 1), (date(2026, 1, 1), date(2026, 2, 1)))
    assert found.accepted.columns == [ID, AS_OF, "n", LABEL]


@pytest.mark.parametrize(
    ("positive", "labels", "expected"),
    [
        ("Yes", ["Yes", " no", "YES"], [True, False, True]),
        (1, ["1", "0", "1.0"], [True, False, True]),
        (1, [1, 0, 1], [True, False, True]),
        ("1", [1.0, 0.0, 1.0], [True, False, True]),
        (1, [True, False, True], [True, False, True]),
        (True, ["true", "false", "1"], [True, False, True]),
        ("no", ["yes", "no", "no"], [False, True, True]),
        ("Gone", ["gone", "here", "here"], [True, False, False]),
    ],
)
def test_the_positive_class_is_compared_as_text(positive: Any, labels: list[Any], expected: list[bool]) -> None:
    spec = a_spec({}, label="y", positive=positive)
    found = checked({"n": ["1", "2", "3"], "y": labels}, spec, labelled=True)
    assert found.accepted[LABEL].to_list() == expected


def test_a_missing_label_is_quarantined() -> None:
    found = checked({"n": ["1"] * 3, "y": ["1", "", "0"]}, a_spec({}, label="y"), labelled=True)
    assert found.quarantined_by == {"label: missing": 1}


def refusal(cells: dict[str, list[Any]], spec: Spec, *, labelled: bool = False) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        checked(cells, spec, labelled=labelled)
    return caught.value


def test_labels_of_three_classes_or_one_are_refused_with_counts() -> None:
    spec = a_spec({}, label="y", positive="Yes")
    three = refusal({"n": ["1"] * 4, "y": ["Yes", "No", "No", "Maybe"]}, spec, labelled=True)
    assert "3 classes instead of two: No (2), Yes (1), Maybe (1)" in three.message
    assert "only one class: No (2)" in refusal({"n": ["1"] * 2, "y": ["No"] * 2}, spec, labelled=True).message
    assert "no value in any row" in refusal({"n": ["1"], "y": [None]}, spec, labelled=True).message
    neither = refusal({"n": ["1"] * 2, "y": ["left", "stayed"]}, spec, labelled=True)
    assert "never 'Yes'" in neither.message
    assert "positive" in neither.hint


def test_too_many_bad_rows_refuse_the_file_and_name_column_and_spec() -> None:
    spec = a_spec({"TotalCharges": {"type": "number"}}, share=0.5)
    error = refusal({"TotalCharges": ["a", "b", "1"]}, spec)
    assert error.message == (
        "week.csv: 2 of 3 rows break the contract (limit 50 %): TotalCharges: not a number (2)."
    )
    assert "features.TotalCharges" in error.hint
    assert "models/telco.toml" in error.hint
    assert checked({"TotalCharges": ["a", "1"]}, spec).accepted.height == 1


def test_a_file_without_a_good_row_is_refused_whatever_the_limit() -> None:
    assert "1 of 1 rows" in refusal({"n": ["x"]}, a_spec({}, share=1.0)).message


def test_missing_columns_are_named_with_the_nearest() -> None:
    spec = a_spec({"tenure": {"type": "number"}, "plan": {"type": "category"}}, label="Churn")
    error = refusal({"Tenure ": ["1"]}, spec, labelled=True)
    assert "lacks 3 columns" in error.message
    assert "'tenure' (is 'Tenure ' meant?)" in error.message
    assert "'Churn'" in error.message


def test_nested_columns_are_refused_and_empty_frames_too() -> None:
    assert "lists, structs" in refusal({"n": [[1], [2]]}, a_spec({})).message
    assert "no rows" in refusal({"n": []}, a_spec({})).message


def test_dates_of_a_batch_must_be_one_and_neither_future_nor_stale() -> None:
    spec = a_spec({}, as_of="day", max_age_days=14)
    several = refusal({"n": ["1"] * 3, "day": ["2026-03-01", "2026-03-01", "2026-02-22"]}, spec)
    assert "2 dates in 'day': 2026-03-01 (2), 2026-02-22 (1)" in several.message
    assert "in the future, up to 2026-03-03" in refusal({"n": ["1"], "day": ["2026-03-03"]}, spec).message
    stale = refusal({"n": ["1"], "day": ["2026-02-15"]}, spec)
    assert "15 days older" in stale.message
    assert "max_age_days" in stale.hint
    assert checked({"n": ["1"], "day": ["2026-02-16"]}, spec).as_of == date(2026, 2, 16)
    bad = checked({"n": ["1"] * 3, "day": ["2026-03-01", "soon", ""]}, spec)
    assert bad.quarantined_by == {"as_of: missing": 1, "as_of: not a date": 1}


def test_names_that_the_accepted_frame_uses_may_be_extra_columns() -> None:
    found = checked({"n": ["1"], "as_of": ["x"], "customer_id": ["y"], "_reasons": ["z"]}, a_spec({}))
    assert found.accepted.row(0) == ("0", TODAY, 1.0)
    assert found.extra_columns == ("as_of", "customer_id", "_reasons")


def test_damage_that_shows_on_reading_is_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "week.parquet"
    pl.DataFrame({"id": range(50_000), "n": range(50_000)}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[100:20_000] = bytes(19_900)
    path.write_bytes(content)
    raw = read_raw(path, a_spec({}).input)
    with pytest.raises(FileRefused, match=r"week\.parquet cannot be read"):
        check(raw, a_spec({}), source="week.parquet", delivered_on=TODAY, today=TODAY)


CELL = st.one_of(st.none(), st.sampled_from(["", " ", "NA", "1", "-3", "80", "x", "Infinity", "1e400"]))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "", "c "]), CELL, CELL), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_every_row_is_accepted_or_quarantined_with_a_reason(
    rows: list[tuple[str, str | None, str | None]],
) -> None:
    raw = pl.DataFrame(rows, schema={"id": pl.String, "n": pl.String, "m": pl.String}, orient="row")
    spec = a_spec({"n": {"type": "number", "max": 72, "nullable": False}, "m": {"type": "number"}})
    try:
        found = check(raw.lazy(), spec, source="w", delivered_on=TODAY, today=TODAY)
    except FileRefused as error:
        assert f"{raw.height} of {raw.height} rows" in error.message
        return
    assert found.accepted.height + found.quarantined.height == raw.height
    assert found.quarantined["_reasons"].list.len().min() != 0
    assert found.accepted[ID].is_unique().all()
    assert found.accepted["n"].is_finite().all()
    assert sum(found.quarantined_by.values()) == found.quarantined["_reasons"].list.len().sum()
