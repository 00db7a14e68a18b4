"""Intervals, call lists, importance and differences of two versions, against values worked out by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.governance import side_by_side_facts as facts
from churnlib.governance.comparison import compare
from churnlib.governance.side_by_side import Pair, Value
from churnlib.governance.side_by_side_calls import call_change
from churnlib.governance.side_by_side_measures import KEYS, curve, measures, ratio_interval
from churnlib.governance.side_by_side_words import value_text
from churnlib.modelling.lineage import DeliveredFile, Handover
from churnlib.modelling.release import Release, load_release, write_release
from churnlib.modelling.training import train
from churnlib.spec import AS_OF, ID, Spec, parse_spec
from tests import builders


def box(**columns: str) -> Spec:
    content = {
        "name": "box",
        "columns": {"id": "id", **columns},
        "features": {
            "plan": {"type": "category"},
            "autopay": {"type": "boolean"},
            "worth": {"type": "number"},
        },
        "promotion": {"bootstrap_rounds": 50},
    }
    return parse_spec(content, source="test")


def boxes(count: int, dates: int = 1) -> pl.DataFrame:
    """Customer n has plan a or b by turns, is worth n, and has autopay from the half on."""
    return pl.DataFrame(
        {
            ID: [f"c{n}" for n in range(count)],
            AS_OF: [date(2026, 1, 5 + n * dates // count) for n in range(count)],
            "plan": ["ab"[n % 2] for n in range(count)],
            "autopay": [n >= count // 2 for n in range(count)],
            "worth": [float(n) for n in range(count)],
        }
    )


# intervals


def test_the_interval_of_a_mean_is_the_usual_one() -> None:
    found = ratio_interval(np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4), 0.95)
    half = 1.959964 * np.sqrt(1 / 3) / 2  # sd with n - 1 is sqrt(1/3)
    assert found.estimate == 0.5
    assert found.low == pytest.approx(0.5 - half, abs=1e-6)
    assert found.high == pytest.approx(0.5 + half, abs=1e-6)


def test_the_interval_of_a_ratio_knows_that_its_denominator_is_random() -> None:
    found = ratio_interval(np.array([1.0, 0.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0]), 0.95)
    half = 1.959964 * np.sqrt(2 / 3) / 2  # influences 1, -1, 0, 0
    assert found.estimate == 0.5
    assert found.high - 0.5 == pytest.approx(half, abs=1e-6)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(400):
        churned = rng.random(400) < 0.3
        listed = rng.random(400) < np.where(churned, 0.4, 0.1)
        found = ratio_interval((churned & listed).astype(float), churned.astype(float), 0.9)
        hits += found.low <= 0.4 <= found.high
    assert 0.85 < hits / 400 < 0.95


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]))
def test_estimates_of_intervals_are_the_metrics_whatever_the_ties(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    rows = boxes(60)
    churned = rng.random(60) < 0.4
    churned[:2] = True, False
    first, second = (rng.integers(1, levels + 1, 60) / (levels + 2) for _ in range(2))
    second[0] = 0.999  # not all the same
    evidence = compare(
        churned=churned,
        champion_probability=first,
        challenger_probability=second,
        rows=rows,
        spec=box(),
        champion=1,
        challenger=2,
        cutoff=None,
    )
    found = measures(evidence, churned, first, second, box())
    assert [each.key for each in found] == list(KEYS)
    for each in found:
        if each.first_interval is None or each.second_interval is None or each.difference is None:
            continue
        assert each.first_interval.estimate == pytest.approx(each.first)
        assert each.second_interval.estimate == pytest.approx(each.second)
        assert each.first is not None
        assert each.second is not None
        assert each.difference.estimate == pytest.approx(each.second - each.first)
        assert each.difference.low <= each.difference.high


def test_a_curve_has_promises_outcomes_and_rows_by_tenths() -> None:
    found = curve(np.arange(20) >= 10, np.repeat([0.25, 0.75], 10))
    assert (found.promised, found.came, found.rows) == ((0.25, 0.75), (0.0, 1.0), (10, 10))


# call lists


def test_who_enters_and_who_leaves_by_segment_and_by_value() -> None:
    rows = boxes(20)
    first, second = np.zeros(20), np.zeros(20)
    first[[4, 19]] = 1.0  # plan a worth 4, plan b worth 19
    second[[18, 19]] = 1.0
    found = call_change(rows, first, second, box(value="worth"), source="test")
    whole = found.whole
    assert (whole.listed_first, whole.listed_second, whole.entered, whole.left) == (2, 2, 1, 1)
    assert (whole.value_entered, whole.value_left) == (18.0, 4.0)
    plans = {each.value: each for each in found.segments if each.feature == "plan"}
    assert (plans["a"].entered, plans["a"].left, plans["b"].entered, plans["b"].left) == (1, 1, 0, 0)
    autopay = {each.value: (each.entered, each.left) for each in found.segments if each.feature == "autopay"}
    assert autopay == {"false": (0, 1), "true": (1, 0)}
    quarters = [(each.customers, each.entered, each.left) for each in found.by_value]
    assert quarters == [(5, 0, 1), (5, 0, 0), (5, 0, 0), (5, 1, 0)]
    assert found.by_value[0].value == "least valuable quarter, 0 to 4"


def test_each_snapshot_has_a_list_of_its_own() -> None:
    rows = boxes(40, dates=2)
    score = np.arange(40) / 40
    found = call_change(rows, score, -score, box(), source="test")
    assert (found.whole.listed_first, found.whole.entered, found.whole.left) == (4, 4, 4)
    assert (found.first_as_of, found.last_as_of) == (date(2026, 1, 5), date(2026, 1, 6))
    assert found.by_value == ()
    assert found.whole.value_entered is None


def test_customers_without_a_value_stand_apart_and_count_nothing() -> None:
    rows = boxes(20).with_columns(pl.when(pl.col("worth") < 15).then("worth").alias("worth"))
    first, second = np.zeros(20), np.zeros(20)
    first[[0, 1]], second[[18, 19]] = 1.0, 1.0
    found = call_change(rows, first, second, box(value="worth"), source="test")
    assert (found.by_value[-1].value, found.by_value[-1].customers) == ("(missing)", 5)
    assert (found.whole.value_entered, found.whole.value_left) == (0.0, 1.0)
    assert sum(each.customers for each in found.by_value) == 20


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_as_many_enter_as_leave_and_segments_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random(50).round(1), rng.random(50).round(1)
    found = call_change(boxes(50), first, second, box(value="worth"), source="test")
    assert found.whole.entered == found.whole.left
    for parts in (found.by_value, [each for each in found.segments if each.feature == "plan"]):
        assert sum(each.entered for each in parts) == found.whole.entered
        assert sum(each.left for each in parts) == found.whole.left


# what the versions are


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    """The builders' model, and one with one feature less, another depth and a column more."""
    folder = tmp_path_factory.mktemp("releases")
    features = {name: feature for name, feature in builders.FEATURES.items() if name != "autopay"}
    features["plan"] = {"type": "category", "label": "price plan", "nullable": True}
    other = builders.spec(features=features, training={"max_depth": 2})
    rows = builders.labelled(1500)
    made = (builders.trained(), train(rows.drop("autopay"), other, threads=1))
    written = [
        write_release(folder / str(place), model, lineage=builders.lineage(rows), parts={})
        for place, model in enumerate(made)
    ]
    first, second = map(load_release, written)
    return first, second


def test_gain_shares_add_up_to_one_and_stand_side_by_side(releases: tuple[Release, Release]) -> None:
    first, second = releases
    assert sum(facts.gain_shares(first.booster).values()) == pytest.approx(1)
    found = {each.feature: each for each in facts.importance(first, second)}
    assert found["autopay"].second is None
    assert found["plan"].label == "price plan"
    top = [max(each.first or 0, each.second or 0) for each in facts.importance(first, second)]
    assert top == sorted(top, reverse=True)


def test_only_settings_that_differ_are_told_a_feature_in_one_line(releases: tuple[Release, Release]) -> None:
    first, second = releases
    params = {"rounds": "60", "calibration": "none", "training.max_depth": "3"}
    found = facts.setting_differences(first, second, params, {**params, "rounds": "55"})
    told = {pair.name: (pair.first, pair.second) for pair in found}
    assert told == {
        "features.autopay": ("boolean", None),
        "features.plan": ("category", "category; label price plan"),
        "training.max_depth": (3, 2),
        "run.rounds": ("60", "55"),
    }
    assert facts.setting_differences(first, first, params, params) == ()


def test_lineage_and_size_stand_side_by_side(releases: tuple[Release, Release]) -> None:
    first, second = releases
    found = {
        pair.name: pair for pair in facts.lineage(first, second, who=("ann", None), trigger=("file", "drift"))
    }
    assert (found["who"].first, found["who"].second, found["who"].differs) == ("ann", None, True)
    assert (found["rows"].first, found["rows"].differs) == (1500, False)
    assert (found["first date"].first, found["library xgboost"].first) == ("2025-01-06", "3.2.0")
    sizes = {pair.name: pair.second for pair in facts.footprint(first, second, (10, 20))}
    assert sizes["release on disk, bytes"] == 20
    assert sizes["trees"] == second.booster.num_boosted_rounds()


def test_true_and_one_are_different_values() -> None:
    assert Pair(name="x", first=True, second=1).differs
    assert not Pair(name="x", first=None, second=None).differs


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), ("", "unknown"), (True, "yes"), (1234, "1,234"), (0.12345, "0.1235"), ("a", "a")],
)
def test_facts_are_written_as_people_write_them(value: Value, text: str) -> None:
    assert value_text(value) == text


def test_a_delivered_versions_own_story_is_unknown_and_its_handover_is_told(
    releases: tuple[Release, Release], tmp_path: Path
) -> None:
    handover = Handover(
        by="bob", files={"model": DeliveredFile(source="m.ubj", digest="ab" * 32)}, xgboost="2.1.0", trees="all 60"
    )
    story = builders.lineage(
        rows=None,
        first_as_of=None,
        last_as_of=None,
        handover=handover,
    )
    folder = write_release(tmp_path / "r", builders.trained(), lineage=story, parts={})
    found = {
        pair.name: pair.second
        for pair in facts.lineage(releases[0], load_release(folder), who=(None, "ann"), trigger=(None, None))
    }
    assert (found["rows"], found["first date"], found["who"]) == (None, None, "bob")
    assert found["delivered model"] == "m.ubj (abababababab)"
    assert found["delivered by XGBoost"] == "2.1.0"
