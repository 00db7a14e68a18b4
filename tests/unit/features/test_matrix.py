from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.features.matrix import build_matrix
from churnlib.features.state import FittedState, fit_state
from churnlib.spec import AS_OF, ID, LABEL
from tests.builders import FEATURES, accepted, labelled, spec

SPEC = spec()
STATE = fit_state(labelled(200), SPEC)


def column(frame: pl.DataFrame, name: str) -> np.ndarray:
    matrix = build_matrix(frame, SPEC, STATE)
    return matrix.values[:, matrix.names.index(name)]


def test_matrix_is_float32_in_c_order_with_one_column_a_model_feature() -> None:
    matrix = build_matrix(accepted(30), SPEC, STATE)
    assert matrix.values.dtype == np.float32
    assert matrix.values.flags["C_CONTIGUOUS"]
    assert matrix.values.shape == (30, 6)
    assert matrix.names == tuple(name for name in FEATURES if name != "signup_date")


def test_null_tenure_is_kept_as_missing() -> None:
    frame = accepted(3).with_columns(tenure_months=pl.Series([None, 0.0, 7.0]))
    np.testing.assert_array_equal(column(frame, "tenure_months"), [np.nan, 0, 7])


def test_booleans_are_zero_one_and_missing() -> None:
    frame = accepted(3).with_columns(autopay=pl.Series([True, False, None]))
    np.testing.assert_array_equal(column(frame, "autopay"), [1, 0, np.nan])


def test_a_category_is_its_place_in_the_fitted_order() -> None:
    state = FittedState(codes={"plan": ("premium", "basic")})
    frame = accepted(3).with_columns(plan=pl.Series(["basic", "premium", None]))
    matrix = build_matrix(frame, SPEC, state)
    np.testing.assert_array_equal(matrix.values[:, 3], [1, 0, np.nan])
    assert matrix.unseen == {}


def test_unseen_categories_are_missing_and_counted_apart_from_nulls() -> None:
    frame = accepted(4).with_columns(plan=pl.Series(["gold", "basic", None, "silver"]))
    matrix = build_matrix(frame, SPEC, STATE)
    assert np.isnan(matrix.values[[0, 2, 3], 3]).all()
    assert matrix.unseen == {"plan": 2}


@pytest.mark.parametrize("huge", [1e300, -1e300, float("inf"), float("nan")])
def test_what_float32_cannot_hold_is_missing(huge: float) -> None:
    frame = accepted(2).with_columns(monthly_charge=pl.Series([huge, 1.0]))
    np.testing.assert_array_equal(column(frame, "monthly_charge"), [np.nan, 1])


def test_a_category_that_nothing_was_learned_of_is_missing_everywhere() -> None:
    matrix = build_matrix(accepted(20), SPEC, FittedState())
    assert np.isnan(matrix.values[:, 3]).all()
    assert matrix.unseen == {"plan": accepted(20)["plan"].count()}


def test_one_feature_alone_is_a_matrix_that_may_be_written() -> None:
    alone = spec(features={"amount": {"type": "number"}}, columns={"value": None})
    frame = pl.DataFrame({"amount": [1.0, float("inf"), None]})
    matrix = build_matrix(frame, alone, FittedState())
    np.testing.assert_array_equal(matrix.values, [[1], [np.nan], [np.nan]])
    assert frame["amount"].to_list() == [1.0, float("inf"), None]  # the caller's values stay as they are


def test_a_missing_delivered_column_is_named() -> None:
    with pytest.raises(ChurnError, match="lack the column 'autopay' of the spec 'telly'"):
        build_matrix(accepted(2).drop("autopay"), SPEC, STATE)


def test_no_rows_give_an_empty_matrix() -> None:
    assert build_matrix(accepted(2).head(0), SPEC, STATE).values.shape == (0, 6)


def test_order_of_columns_and_extra_columns_do_not_matter() -> None:
    frame = labelled(50)
    shuffled = frame.select(sorted(frame.columns, reverse=True)).with_columns(extra=pl.lit(1))
    expected = build_matrix(frame.drop(LABEL), SPEC, STATE).values
    np.testing.assert_array_equal(build_matrix(shuffled, SPEC, STATE).values, expected)


def test_ids_are_not_needed() -> None:
    assert build_matrix(accepted(5).drop(ID), SPEC, STATE).values.shape == (5, 6)


def test_as_of_is_not_needed_where_no_expression_names_it() -> None:
    assert build_matrix(accepted(5).drop(ID, AS_OF), SPEC, STATE).values.shape == (5, 6)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_row_is_built_the_same_whatever_rows_are_beside_it(order: list[int], size: int) -> None:
    frame = accepted(12, seed=4)
    every = build_matrix(frame, SPEC, STATE).values
    some = build_matrix(frame[order[:size]], SPEC, STATE).values
    np.testing.assert_array_equal(some, every[order[:size]])
