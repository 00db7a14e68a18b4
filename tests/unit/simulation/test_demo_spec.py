"""The demo's spec fits its world, and the README of the specs says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from churnlib.simulation.delivery import HORIZON_DAYS
from churnlib.simulation.world import Week, World
from churnlib.spec import AS_OF, ID, Feature, Spec, load_spec

MODELS = Path(__file__).resolve().parents[3] / "models"
DTYPES = {"number": pl.Float64, "category": pl.String, "boolean": pl.Boolean}
SECTIONS = (
    "variants",
    "columns",
    "input",
    "training",
    "reasons",
    "challenger",
    "campaign",
    "drift",
    "retraining",
    "promotion",
    "approval",
)


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(MODELS / "subscription.toml")


@pytest.fixture(scope="module")
def week() -> Week:
    return World(5, 3_000).week(1)


def test_a_batch_has_the_delivered_columns_in_the_specs_order_and_types(spec: Spec, week: Week) -> None:
    expected = {name: DTYPES[feature.type] for name, feature in spec.delivered.items()}
    assert dict(week.batch.schema) == {ID: pl.String, AS_OF: pl.Date, **expected}
    assert list(week.batch.columns) == [ID, AS_OF, *expected]


def test_every_delivered_value_is_within_the_spec(spec: Spec, week: Week) -> None:
    for name, feature in spec.delivered.items():
        column = week.batch.get_column(name)
        assert feature.nullable or column.null_count() == 0, name
        if feature.min is not None:
            assert column.filter(column < feature.min).is_empty(), name
        if feature.max is not None:
            assert column.filter(column > feature.max).is_empty(), name
        if feature.categories is not None:
            assert set(column) == set(feature.categories), name


def test_every_clock_and_no_other_column_of_the_spec_is_tenure(spec: Spec) -> None:
    assert spec.clocks == {"tenure_days"}


def test_the_horizon_of_the_spec_is_that_of_the_world(spec: Spec) -> None:
    assert spec.horizon_days == HORIZON_DAYS


def test_derived_features_can_be_computed_on_a_batch(spec: Spec, week: Week) -> None:
    derived = week.batch.select(pl.sql_expr(f.sql or "").alias(name) for name, f in spec.derived.items())
    assert derived.get_column("price_per_person").drop_nulls().is_between(0, 500).all()
    assert derived.get_column("late_share").drop_nulls().drop_nans().is_finite().any()


@pytest.mark.parametrize("section", ["", *SECTIONS, "features"])
def test_the_readme_lists_exactly_the_keys_and_defaults_of(section: str) -> None:
    assert _documented(section) == _declared(section)


def _documented(section: str) -> dict[str, str]:
    text = (MODELS / "README.md").read_text(encoding="utf-8")
    heading = {"": "## At the top", "features": "## `[features.NAME]`"}.get(section, f"## `[{section}]`")
    part = text.split(heading, 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", part, flags=re.MULTILINE)
    return {key: default.strip("` ") for key, default in rows}


def _declared(section: str) -> dict[str, str]:
    model: type[BaseModel] = Feature if section == "features" else Spec
    if section in SECTIONS:
        annotation = Spec.model_fields[section].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    # no key of a file: it says whose model a spec is once it is taken apart into slices
    nested = {*SECTIONS, "features", "variant"} if model is Spec else set()
    fields = {key: field for key, field in model.model_fields.items() if key not in nested}
    return {key: _default(section, key, field.default) for key, field in fields.items()}


def _default(section: str, key: str, value: Any) -> str:
    if (section, key) == ("", "name"):
        return "the file's name"
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else json.dumps(value)
