"""The champion's reference: what is counted where."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlib.monitoring.profile import (
    MAX_BINS,
    MAX_KNOWN,
    MAX_VALUES,
    Profile,
    Reference,
    add,
    fit_reference,
)
from churnlib.monitoring.sample import read_sample, reference_sample
from churnlib.spec import Spec

NUMBERS = st.lists(
    st.one_of(
        st.none(),
        st.floats(-1e300, 1e300),
        st.integers(-3, 3).map(float),
        st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    ),
    min_size=1,
    max_size=60,
)


def spec(**features: str) -> Spec:
    described = {name: {"type": kind} for name, kind in features.items()}
    return Spec.model_validate({"name": "shop", "columns": {"id": "id"}, "features": described})


def profile_of(column: pl.Series, kind: str) -> Profile:
    frame = pl.DataFrame({"as_of": [date(2026, 1, 5)] * len(column), "x": column})
    return fit_reference(frame, pl.Series([0.5] * len(column)), spec(x=kind)).features["x"]


def numbers(*values: float | None) -> pl.Series:
    return pl.Series("x", values, dtype=pl.Float64)


def texts(*values: str | None) -> pl.Series:
    return pl.Series("x", values, dtype=pl.String)


@given(NUMBERS, NUMBERS)
def test_every_row_of_a_number_lies_in_one_bin(before: list[float | None], now: list[float | None]) -> None:
    profile = profile_of(numbers(*before), "number")
    assert profile.rows == len(before)
    assert profile.count(numbers(*now)).sum() == len(now)


@given(NUMBERS, NUMBERS)
def test_counts_of_two_parts_add_up_to_the_whole(before: list[float | None], now: list[float | None]) -> None:
    first, second = numbers(*before), numbers(*now)
    profile = profile_of(first, "number")
    parts = add(profile.count(first), profile.count(second))
    assert parts.tolist() == profile.count(pl.concat([first, second])).tolist()


def test_counts_of_different_bins_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        add(np.array([1, 2]), np.array([1, 2, 3]))


def test_a_continuous_number_has_bins_of_equal_counts() -> None:
    profile = profile_of(numbers(*np.random.default_rng(1).normal(size=19_000)), "number")
    assert len(profile.counts) == MAX_BINS  # 19 of equal counts and the missing one
    assert set(profile.counts[:-1]) == {1000}


@pytest.mark.parametrize("tied", [1, 40, 100])
def test_a_number_has_at_most_twenty_bins_and_one_for_missing_values(tied: int) -> None:
    generator = np.random.default_rng(tied)
    values = np.where(generator.random(5000) < tied / 100, 0.0, generator.exponential(size=5000))
    assert len(profile_of(numbers(*values), "number").counts) <= MAX_BINS + 1


def test_a_value_on_an_edge_belongs_to_the_bin_below() -> None:
    profile = Profile(kind="number", edges=(1.0, 2.0), counts=(0, 0, 0, 0), distinct=0)
    assert profile.count(numbers(1.0, 2.0, 2.5)).tolist() == [1, 1, 1, 0]


def test_values_below_a_constant_reference_have_a_bin_of_their_own() -> None:
    profile = profile_of(numbers(5, 5, 5), "number")
    assert profile.count(numbers(4, 5, 6)).tolist() == [1, 1, 1, 0]


def test_null_and_values_that_are_not_finite_are_missing() -> None:
    profile = profile_of(numbers(1, 2, None, float("nan"), float("inf")), "number")
    assert profile.counts[-1] == 3
    assert profile.missing == pytest.approx(0.6)


def test_a_number_without_any_value_is_all_missing() -> None:
    profile = profile_of(numbers(None, None), "number")
    assert profile.counts == (0, 2)
    assert profile.count(numbers(1, None)).tolist() == [1, 1]


def test_categories_are_ordered_by_rows_then_name_and_unseen_ones_share_a_bin() -> None:
    profile = profile_of(texts("b", "a", "c", "c", None), "category")
    assert profile.values == ("c", "a", "b")
    assert profile.counts == (2, 1, 1, 0, 1)
    assert profile.count(texts("a", "z", "y", None)).tolist() == [0, 1, 0, 2, 1]
    assert profile.new_values(texts("z", "a", "y", None)) == ("y", "z")


def test_a_category_without_any_value_is_all_missing() -> None:
    profile = profile_of(texts(None, None), "category")
    assert profile.count(texts("a", None)).tolist() == [1, 1]


def test_booleans_have_a_bin_a_value() -> None:
    profile = profile_of(pl.Series("x", [True, True, False, None]), "boolean")
    assert (profile.values, profile.counts) == (("true", "false"), (2, 1, 0, 1))


def test_rare_categories_share_a_bin_and_are_not_called_new() -> None:
    named = [f"v{place:03}" for place in range(MAX_VALUES + 10)]
    profile = profile_of(texts(*named), "category")
    assert len(profile.counts) == MAX_VALUES + 2
    assert profile.counts[-2] == 10
    assert profile.new_values(texts(*named, "unheard of")) == ("unheard of",)


def test_free_text_has_no_new_values() -> None:
    profile = profile_of(texts(*map(str, range(MAX_KNOWN + 1))), "category")
    assert profile.new_values(texts("unheard of")) == ()


def test_a_reference_survives_json_and_is_the_same_each_time() -> None:
    generator = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "as_of": [date(2026, 1, 5)] * 500,
            "price": np.where(generator.random(500) < 0.3, 0.0, generator.normal(size=500)),
            "plan": generator.choice(["a", "b", "ü"], 500),
        }
    )
    probability = pl.Series(generator.random(500))
    reference = fit_reference(frame, probability, spec(price="number", plan="category"))
    again = fit_reference(frame, probability, spec(price="number", plan="category"))
    assert Reference.model_validate_json(reference.model_dump_json()) == reference
    assert reference.model_dump_json() == again.model_dump_json()
    assert reference.rows == 500


def test_a_reference_has_derived_features_too() -> None:
    with_ratio = Spec.model_validate(
        {
            "name": "shop",
            "columns": {"id": "id"},
            "features": {
                "paid": {"type": "number", "input_only": True},
                "orders": {"type": "number"},
                "per_order": {"type": "number", "sql": "paid / orders"},
            },
        }
    )
    frame = pl.DataFrame({"as_of": [date(2026, 1, 5)] * 2, "paid": [10.0, 3.0], "orders": [2.0, 0.0]})
    reference = fit_reference(frame, pl.Series([0.1, 0.2]), with_ratio)
    assert list(reference.features) == ["orders", "per_order"]
    assert reference.features["per_order"].missing == 0.5  # 3 / 0


def test_rows_and_probabilities_have_to_match() -> None:
    frame = pl.DataFrame({"as_of": [date(2026, 1, 5)] * 2, "x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="3 probabilities for 2 rows"):
        fit_reference(frame, pl.Series([0.1, 0.2, 0.3]), spec(x="number"))
    with pytest.raises(ValueError, match="at least one row"):
        fit_reference(frame.clear(), pl.Series([], dtype=pl.Float64), spec(x="number"))


def test_a_sample_is_drawn_by_seed_and_keeps_rows_together() -> None:
    frame = pl.DataFrame({"as_of": [date(2026, 1, 5)] * 5000, "x": np.arange(5000.0)})
    probability = pl.Series(np.arange(5000.0) / 8192)
    drawn = reference_sample(frame, probability, spec(x="number"), 100, seed=1)
    sample = read_sample(drawn)
    assert sample.columns == ["x", "score"]
    assert sample["x"].n_unique() == 100
    assert (sample["x"] / 8192).to_list() == sample["score"].to_list()
    assert drawn == reference_sample(frame, probability, spec(x="number"), 100, seed=1)
    assert drawn != reference_sample(frame, probability, spec(x="number"), 100, seed=2)


def test_a_feature_called_score_is_kept_beside_the_champions() -> None:
    frame = pl.DataFrame({"as_of": [date(2026, 1, 5)], "score": [7.0]})
    sample = read_sample(reference_sample(frame, pl.Series([0.5]), spec(score="number"), seed=1))
    assert sample.to_dicts() == [{"score": 7.0, "champion_score": 0.5}]
