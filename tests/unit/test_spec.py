"""A spec says what it means or is refused in a sentence that names file, key and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churnlib.errors import SpecError
from churnlib.settings import ROOT
from churnlib.spec import Spec, load_spec, parse_spec

GOOD: dict[str, Any] = {
    "name": "good",
    "columns": {"id": "id", "as_of": "day", "label": "left", "value": "worth"},
    "features": {
        "price": {"type": "number", "min": 0},
        "plan": {"type": "category", "categories": ["a", "b"]},
        "since": {"type": "date", "input_only": True},
        "worth": {"type": "number", "input_only": True},
        "price_share": {"type": "number", "sql": "price / nullif(worth, 0)"},
    },
}


def changed(**change: Any) -> dict[str, Any]:
    return {**GOOD, **change}


def with_feature(name: str, **feature: Any) -> dict[str, Any]:
    return changed(features={**GOOD["features"], name: feature})


def test_a_good_spec_is_read_with_its_defaults() -> None:
    spec = parse_spec(GOOD, source="good.toml")
    assert list(spec.delivered) == ["price", "plan", "since", "worth"]
    assert list(spec.derived) == ["price_share"]
    assert list(spec.model_features) == ["price", "plan", "price_share"]
    assert spec.training.max_depth == 4


def test_the_demos_spec_loads() -> None:
    spec = load_spec(ROOT / "models" / "subscription.toml")
    assert spec.name == "subscription"
    assert spec.clocks == {"tenure_days"}


@pytest.mark.parametrize(
    ("content", "key", "nearest"),
    [
        (changed(horizon_day=7), "horizon_day", "horizon_days"),
        (changed(columns={"id": "id", "labl": "left"}), "columns.labl", "label"),
        (changed(training={"max_round": 5}), "training.max_round", "max_rounds"),
        (with_feature("price", type="number", mn=0), "features.price.mn", "min"),
        (changed(drifts={}), "drifts", "drift"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_valid_name(
    content: dict[str, Any], key: str, nearest: str
) -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec(content, source="models/good.toml")
    assert f"models/good.toml: unknown key {key!r}" in refused.value.message
    assert f"did you mean {nearest!r}" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            with_feature("x", type="number", sql="pric * 2"),
            "names 'pric', which is not there; did you mean 'price'",
        ),
        (with_feature("x", type="number", sql="price +"), "features.x.sql does not parse"),
        (with_feature("x", type="date"), "a date serves expressions only"),
        (with_feature("x", type="category", min=1), "min and max are for type = 'number'"),
        (with_feature("x", type="number", categories=["a"]), "categories are for type = 'category'"),
        (with_feature("x", type="number", min=2, max=1), "min 2.0 is above max 1.0"),
        (with_feature("x", type="number", sql="price", input_only=True), "cannot be input_only"),
        (with_feature("left", type="number"), "'left' is the id, date or label"),
        (with_feature("churned", type="number"), "'churned' is the id, date or label"),
        (changed(features={"d": {"type": "date", "input_only": True}}), "no feature for the model"),
        (changed(columns={"id": "id", "value": "wort"}), "columns.value names 'wort'"),
        (changed(name="../up"), "cannot be the name of a model"),
        (changed(drift={"persistence": 4, "window": 3}), "persistence 4 is more than window 3"),
        (changed(horizon_days=0), "horizon_days"),
        (with_feature("x", type="text"), "features.x.type"),
    ],
)
def test_what_cannot_hold_is_refused_and_named(content: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=r"good\.toml") as refused:
        parse_spec(content, source="good.toml")
    assert said in str(refused.value)


def test_a_missing_spec_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "telco.toml").write_text("")
    with pytest.raises(SpecError) as refused:
        load_spec(tmp_path / "telko.toml")
    assert "telko.toml" in refused.value.message
    assert "There are: telco" in refused.value.hint


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[columns]\nid = \n")
    with pytest.raises(SpecError, match=r"bad.toml is not TOML.*line 2"):
        load_spec(path)


def test_a_file_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b'description = "Stra\xdfe"')
    with pytest.raises(SpecError, match="not UTF-8: byte 19 is 0xdf"):
        load_spec(path)


def test_the_fingerprint_changes_with_content_and_not_with_the_order_of_sections() -> None:
    one = parse_spec(GOOD, source="x")
    other = parse_spec(dict(reversed(GOOD.items())), source="x")
    deeper = parse_spec(changed(training={"max_depth": 5}), source="x")
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != deeper.fingerprint()


def test_a_spec_survives_json() -> None:
    spec = parse_spec(GOOD, source="x")
    assert Spec.model_validate_json(spec.model_dump_json()) == spec
