"""A sample of rows says which columns a delivered model takes, under which names, and what they hold."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

from churnlib.errors import FileRefused, SpecError
from churnlib.features.matrix import build_matrix
from churnlib.features.state import FittedState
from churnlib.modelling.delivered import typed
from churnlib.modelling.foreign import Foreign, read_foreign
from churnlib.modelling.foreign_labels import first_miss, label_column, read_answers, read_scores
from churnlib.modelling.foreign_sample import Layout, Sample, lay_out, read_sample
from churnlib.modelling.foreign_spec import Label, check_fit, draft_spec
from churnlib.spec import Input, Spec, parse_spec
from tests.builders import FIRST_AS_OF


def sample(columns: Mapping[str, Sequence[Any]]) -> Sample:
    return Sample("sample.csv", pl.DataFrame(columns), Input())


def laid_out(
    columns: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    *,
    asked: str | None = None,
    label: str | None = None,
) -> Layout:
    return lay_out(sample(columns), names, asked_id=asked, label=label)


def model(path: Path, names: list[str], types: list[str] | None = None) -> Foreign:
    """A model of two rounds that takes these features."""
    values = np.random.default_rng(0).integers(0, 2, (60, len(names))).astype(np.float32)
    data = xgboost.DMatrix(values, values[:, 0], feature_names=names, feature_types=types, enable_categorical=True)
    made = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, data, 2)
    path.write_bytes(bytes(made.save_raw("ubj")))
    return read_foreign(path)


def drafted(
    tmp_path: Path,
    columns: Mapping[str, Sequence[Any]],
    names: list[str],
    types: list[str] | None = None,
    label: Label | None = None,
) -> tuple[Spec, str]:
    rows = sample(columns)
    layout = lay_out(rows, names, asked_id=None, label=label.column if label else None)
    foreign = model(tmp_path / "model.ubj", names, types)
    text = draft_spec(foreign, names, rows, layout, source="model.ubj", label=label)
    return parse_spec({"name": "m", **tomllib.loads(text)}, source="draft"), text


# which columns


def test_features_stand_under_their_own_names_and_the_rest_is_told() -> None:
    layout = laid_out({"b": [1], "other": ["x"], "customerID": ["c1"], "a b": [2]}, ["a b", "b"])
    assert list(layout.columns) == ["a b", "b"]
    assert (layout.id_column, layout.has_id, layout.unused) == ("customerID", True, ("other",))


def test_a_feature_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(FileRefused, match=r"lacks 1 of the model's 2 features: 'tenur' \(is 'tenure' meant\?\)"):
        laid_out({"tenure": [1], "calls": [2]}, ["tenur", "calls"])


def test_one_hot_features_are_made_of_the_column_whose_values_they_name() -> None:
    columns: dict[str, Any] = {
        "region": ["North", "South"],
        "region_code": ["a", "b"],
        "plan": [1, 2],
        "age": [3, 4],
    }
    names = ["age", "region_North", "region_East", "region_code_a", "plan_2"]
    assert laid_out(columns, names).one_hot == {
        "region_North": ("region", "North"),
        "region_East": ("region", "East"),  # no row has it, but others of its column stand beside it
        "region_code_a": ("region_code", "a"),
        "plan_2": ("plan", "2"),
    }


def test_a_feature_that_only_begins_like_a_column_is_not_taken_for_one_of_its_values() -> None:
    for values in ([10.5, 20.1], ["x", "y"]):
        with pytest.raises(FileRefused, match="'charge_log'"):
            laid_out({"charge": values, "age": [1, 2]}, ["age", "charge_log"])


@pytest.mark.parametrize("named", ["customer_id", "CustomerId", "CUSTOMER ID", "player_id", "id"])
def test_an_id_is_found_by_its_name(named: str) -> None:
    layout = laid_out({named: ["u", "v"], "a": [1, 2]}, ["a"])
    assert (layout.id_column, layout.has_id) == (named, True)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"id": [0, 1, 2]},  # counts the rows
        {"id": ["a", "a", "b"]},
        {"id": ["a", None, "b"]},
        {"user_id": ["a", "b", "c"], "client_id": ["d", "e", "f"]},
    ],
    ids=["none", "counts", "repeats", "gaps", "two"],
)
def test_without_a_column_that_can_be_the_id_batches_need_a_customer_id(columns: dict[str, Any]) -> None:
    layout = laid_out({**columns, "a": [1, 2, 3]}, ["a"])
    assert (layout.id_column, layout.has_id) == ("customer_id", False)


def test_the_id_that_is_asked_for_counts_even_where_only_batches_have_it() -> None:
    layout = laid_out({"number": [0, 1], "a": [1, 2]}, ["a"], asked="number")
    assert (layout.id_column, layout.has_id, layout.counts_rows) == ("number", True, True)
    layout = laid_out({"a": [1, 2]}, ["a"], asked="msisdn")
    assert (layout.id_column, layout.has_id) == ("msisdn", False)
    with pytest.raises(FileRefused, match=r"'customerid' \(is 'customerID' meant\?\)"):
        laid_out({"customerID": ["x"], "a": [1]}, ["a"], asked="customerid")
    with pytest.raises(FileRefused, match="'a' is a feature"):
        laid_out({"a": [1]}, ["a"], asked="a")


# the spec


def test_numbers_are_numbers_though_the_sample_has_no_fraction(tmp_path: Path) -> None:
    spec, text = drafted(
        tmp_path, {"deposit": [0, 330], "ratio": ["1", ""], "empty": [None, None]}, ["deposit", "ratio", "empty"]
    )
    assert {name: feature.type for name, feature in spec.features.items()} == dict.fromkeys(
        spec.features, "number"
    )
    assert all(feature.required and feature.nullable for feature in spec.features.values())
    assert all(feature.min is None and feature.categories is None for feature in spec.features.values())
    rows = typed(pl.DataFrame({"deposit": [0.25], "ratio": [1.75], "empty": [3]}), spec, FIRST_AS_OF)
    assert build_matrix(rows, spec, FittedState()).values.tolist() == [[0.25, 1.75, 3.0]]
    assert "0 to 330" in text


def test_flags_are_taken_as_true_and_false_and_as_0_and_1(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "said": [True, False],
        "worded": ["True", "False"],
        "typed": [0, 1],
        "count": [0, 1],
    }
    spec, _ = drafted(tmp_path, columns, list(columns), ["i", "i", "i", "int"])
    kinds = {name: feature.type for name, feature in spec.features.items()}
    assert kinds == {"said": "boolean", "worded": "boolean", "typed": "boolean", "count": "number"}
    for given in (columns, {name: [1, 0] for name in columns}, {name: ["1", "0"] for name in columns}):
        rows = typed(pl.DataFrame(given), spec, FIRST_AS_OF)
        assert set(build_matrix(rows, spec, FittedState()).values.flatten()) == {0.0, 1.0}


def test_one_hot_features_are_0_where_the_column_has_another_value_or_none(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"the plan": ["O'Neill", "b", None], "age": [1, 2, 3]}
    names = ["the plan_b", "age", "the plan_O'Neill"]
    spec, _ = drafted(tmp_path, columns, names)
    assert list(spec.model_features) == names
    assert spec.features["the plan"].input_only
    matrix = build_matrix(typed(pl.DataFrame(columns), spec, FIRST_AS_OF), spec, FittedState())
    assert matrix.names == tuple(names)
    assert matrix.values.tolist() == [[0, 1, 1], [1, 2, 0], [0, 3, 0]]


def test_a_value_that_the_model_knows_is_not_read_as_missing(tmp_path: Path) -> None:
    columns = {"country": ["NA", "DE"], "age": ["1", "NA"]}
    rows = sample(columns)
    names = ["age", "country_NA", "country_DE"]
    layout = lay_out(Sample("s", rows.raw, Input(missing=("",))), names, asked_id=None, label=None)
    foreign = model(tmp_path / "model.ubj", names)
    text = draft_spec(
        foreign, names, sample({**columns, "age": ["1", "2"]}), layout_of(layout, rows), source="m", label=None
    )
    assert "NA" not in parse_spec({"name": "m", **tomllib.loads(text)}, source="draft").input.missing


def layout_of(layout: Layout, rows: Sample) -> Layout:
    found = lay_out(
        Sample("s", rows.raw.with_columns(age=pl.Series([1, 2])), rows.input), ["age"], asked_id=None, label=None
    )
    return Layout(found.columns, layout.one_hot, layout.id_column, layout.has_id, layout.counts_rows, ())


@pytest.mark.parametrize("value", ["Yes", "12 EUR", "2024-01-31"])
def test_text_where_the_model_takes_a_number_is_refused(tmp_path: Path, value: str) -> None:
    for others in (["1"], []):
        with pytest.raises(FileRefused, match=rf"'answer' holds '{value}', and the model takes a number"):
            drafted(tmp_path, {"answer": [*others, value]}, ["answer"])


def test_numbers_with_leading_zeros_are_numbers_to_the_model(tmp_path: Path) -> None:
    spec, _ = drafted(tmp_path, {"code": ["007", "012"]}, ["code"])
    rows = typed(pl.DataFrame({"code": ["007"]}), spec, FIRST_AS_OF)
    assert build_matrix(rows, spec, FittedState()).values.tolist() == [[7.0]]


def test_text_where_the_model_takes_codes_that_it_does_not_name_is_refused(tmp_path: Path) -> None:
    drafted(tmp_path, {"plan": [0, 1]}, ["plan"], ["c"])
    for values in (["basic", "gold"], [0.5, 1.0], [-1, 0]):
        with pytest.raises(FileRefused, match="'plan' is a category to the model, which says no code for"):
            drafted(tmp_path, {"plan": values}, ["plan"], ["c"])


def test_a_feature_called_like_a_column_of_checked_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="a feature 'churned'"):
        drafted(tmp_path, {"churned": [1, 2]}, ["churned"])


def test_the_label_and_the_id_stand_in_the_spec(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"customerID": ["a", "b"], "a": [1, 2], "left": ["yes", "no"]}
    spec, _ = drafted(tmp_path, columns, ["a"], label=Label("left", "yes"))
    assert (spec.columns.id, spec.columns.label, spec.columns.positive) == ("customerID", "left", "yes")


def test_time_that_only_passes_is_a_clock(tmp_path: Path) -> None:
    spec, _ = drafted(tmp_path, {"months_active": [1, 2], "calls": [0, 1]}, ["months_active", "calls"])
    assert spec.clocks == {"months_active"}


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"a": "number", "c": "number"}, r"it lacks 'b'"),
        ({"a": "number", "b": "number", "c": "number"}, r"it has 'c' besides"),
        ({"b": "number", "a": "number"}, r"feature 1 is 'b', in the model 'a'"),
        ({"a": "number", "b": "category"}, r"'b' is a category, and the model takes a number"),
    ],
)
def test_a_spec_that_feeds_another_model_does_not_fit(tmp_path: Path, features: dict[str, str], said: str) -> None:
    kinds = {name: {"type": kind} for name, kind in features.items()}
    spec = parse_spec({"name": "m", "columns": {"id": "id"}, "features": kinds}, source="test")
    foreign = model(tmp_path / "model.ubj", ["a", "b"])
    with pytest.raises(SpecError, match=rf"models/m\.toml does not fit model\.ubj: .*{said}"):
        check_fit(foreign, ["a", "b"], spec, file="models/m.toml", source="model.ubj")


def test_a_spec_of_ones_own_may_compute_features(tmp_path: Path) -> None:
    kinds = {
        "a": {"type": "number"},
        "raw": {"type": "number", "input_only": True},
        "b": {"type": "number", "sql": "raw / 2"},
    }
    spec = parse_spec({"name": "m", "columns": {"id": "id"}, "features": kinds}, source="test")
    check_fit(model(tmp_path / "m.ubj", ["a", "b"]), ["a", "b"], spec, file="f", source="m.ubj")


# labels and scores


def answers(labels: Mapping[str, Sequence[Any]], column: str, positive: str | None = None) -> list[bool | None]:
    rows = sample({"customer_id": ["a", "b", "c"], "x": [1, 2, 3]})
    layout = lay_out(rows, ["x"], asked_id=None, label=None)
    found = read_answers(Sample("labels.csv", pl.DataFrame(labels), Input()), column, rows, layout, positive)
    return found.churned.to_list()


def test_labels_are_joined_by_the_id_where_both_have_it() -> None:
    labels = {"customer_id": ["c", "z", "a"], "churned": ["Yes", "No", "No"]}
    assert answers(labels, "churned") == [False, None, True]


def test_labels_without_an_id_go_by_their_order() -> None:
    assert answers({"churned": [1, 0, None]}, "churned") == [True, False, None]
    with pytest.raises(FileRefused, match=r"labels\.csv has 2 rows, sample\.csv 3; they share no id"):
        answers({"churned": [1, 0]}, "churned")


def test_labels_that_stand_for_nobody_or_twice_are_refused() -> None:
    with pytest.raises(FileRefused, match="no 'customer_id' of"):
        answers({"customer_id": ["x", "y"], "churned": [1, 0]}, "churned")
    with pytest.raises(FileRefused, match="1 rows repeat 'customer_id'"):
        answers({"customer_id": ["a", "a", "b"], "churned": [1, 0, 1]}, "churned")


def test_which_class_churned_is_not_guessed() -> None:
    assert answers({"state": ["left", "here", "left"]}, "state") == [True, False, True]
    assert answers({"state": ["A", "B", "A"]}, "state", positive="B") == [False, True, False]
    with pytest.raises(FileRefused, match="which value of 'state' means churned"):
        answers({"state": ["A", "B", "A"]}, "state")
    with pytest.raises(FileRefused, match="only one class"):
        answers({"churned": [1, 1, 1]}, "churned")


@pytest.mark.parametrize(
    ("columns", "asked", "found"),
    [
        (["customer_id", "churned"], None, "churned"),
        (["x", "Exited", "noise"], None, "Exited"),
        (["anything"], None, "anything"),
        (["churn", "churned"], "churn", "churn"),
    ],
)
def test_the_label_is_found_or_as_named(columns: list[str], asked: str | None, found: str) -> None:
    assert label_column(sample({name: [1] for name in columns}), asked, ["x"]) == found


@pytest.mark.parametrize("columns", [["churn", "churned"], ["a", "b"]])
def test_which_column_is_the_label_is_not_guessed(columns: list[str]) -> None:
    with pytest.raises(FileRefused, match=r"which column says who churned\? .*--label"):
        label_column(sample({name: [1] for name in columns}), None, [])


def test_published_scores_are_compared_to_six_digits() -> None:
    rows = sample({"customer_id": ["a", "b", "c"], "x": [1, 2, 3]})
    layout = lay_out(rows, ["x"], asked_id=None, label=None)
    published = Sample(
        "scores.csv", pl.DataFrame({"customer_id": ["b", "a"], "prediction": ["0.5", "0.25"]}), Input()
    )
    scores = read_scores(published, rows, layout)
    assert scores[:2].tolist() == [0.25, 0.5]
    assert np.isnan(scores[2])
    assert first_miss(scores, np.array([0.25, 0.5000009, 0.9])) is None
    assert first_miss(scores, np.array([0.25, 0.500002, 0.9])) == 1
    assert first_miss(scores, np.array([np.nan, 0.5, 0.9])) == 0


def test_a_sample_is_read_in_every_form(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": [1.5, 2.0], "flag": [True, False]})
    rows.write_parquet(tmp_path / "s.parquet")
    rows.write_csv(tmp_path / "s.csv", separator=";")
    rows.write_ndjson(tmp_path / "s.json")
    (tmp_path / "array.json").write_text('[{"a": 1.5, "flag": true}, {"a": 2.0, "flag": false}]')
    for name in ("s.parquet", "s.csv", "s.json", "array.json"):
        layout = lay_out(read_sample(tmp_path / name), ["a", "flag"], asked_id=None, label=None)
        assert [column.kind for column in layout.columns.values()] == ["number", "boolean"]
        assert layout.columns["a"].values.to_list() == [1.5, 2.0]
