"""What callers of the tree engine rely on: blocks, threads, refusals, the choice between engines."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given as drawing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from churnlib.features.matrix import Matrix, build_matrix
from churnlib.modelling import engine as choice
from churnlib.modelling.scoring import score
from churnlib.modelling.trees import games, predict
from churnlib.modelling.trees.engine import NotCovered, TreeEngine
from churnlib.modelling.trees.parse import Forest, read_forest
from churnlib.modelling.trees.strongest import choose
from tests.builders import accepted, trained

FEATURES = 5


def values(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    made[rng.random(made.shape) < 0.1] = np.nan
    return made


def booster(rounds: int = 20, **settings: Any) -> xgboost.Booster:
    given = values(500)
    label = (np.nan_to_num(given).sum(axis=1) > 0).astype(np.float32)
    names = [f"f{number}" for number in range(FEATURES)]
    train = xgboost.DMatrix(given, label, feature_names=names, nthread=1)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 4, **settings}, train, rounds)


@pytest.fixture(scope="module")
def engine() -> TreeEngine:
    return TreeEngine.from_booster(booster())


@pytest.mark.parametrize("block", [games.ROWS, predict.ROWS])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_a_row_has_the_same_numbers_wherever_it_stands_in_a_block(
    engine: TreeEngine, block: int, beside: int
) -> None:
    given = values(2 * predict.ROWS + 3, seed=1)
    margins, parts = engine.margins(given), engine.contributions(given)
    rows = block + beside
    np.testing.assert_array_equal(engine.margins(given[:rows]), margins[:rows])
    np.testing.assert_array_equal(engine.contributions(given[-rows:]), parts[-rows:])
    np.testing.assert_array_equal(engine.contributions(given[7:8]), parts[7:8])


def test_no_rows_give_empty_results_of_the_right_shape(engine: TreeEngine) -> None:
    nothing = values(0)
    assert engine.margins(nothing).shape == (0,)
    assert engine.contributions(nothing).shape == (0, FEATURES + 1)
    assert engine.top(nothing, 3)[0].shape == (0, 3)


def test_two_threads_give_the_same_bits_as_one(engine: TreeEngine) -> None:
    given = values(40_000, seed=2)
    np.testing.assert_array_equal(engine.margins(given, threads=2), engine.margins(given))
    np.testing.assert_array_equal(engine.contributions(given, threads=2), engine.contributions(given))


def test_top_gives_the_strongest_of_all_contributions(engine: TreeEngine) -> None:
    given = values(5_000, seed=3)
    parts = engine.contributions(given)[:, :-1]
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :2]
    places, found = engine.top(given, 2, threads=2)
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(found, np.take_along_axis(parts, order, axis=1))
    assert engine.top(given[:3], 99)[0].shape == (3, FEATURES)
    assert engine.top(given, 0)[0].shape == (5_000, 0)


def test_equal_contributions_go_by_the_order_of_features() -> None:
    parts = np.array([[0, 2, -3, 3, 2], [0, 0, 0, -1, 0], [-0.0, 0, 0, 0, 0]], dtype=np.float32).repeat(50, axis=0)
    places, found = choose(parts, 4)
    assert places[:, ::50].T.tolist() == [[2, 3, 1, 4], [3, -1, -1, -1], [-1] * 4]
    assert found[:, ::50].T.tolist() == [[-3, 3, 2, 2], [-1, 0, 0, 0], [0] * 4]


@settings(max_examples=60, deadline=None)
@drawing(
    arrays(np.float32, st.tuples(st.integers(0, 140), st.integers(1, 9)), elements=st.integers(-3, 3)),
    st.integers(1, 10),
)
def test_the_largest_are_chosen_as_sorting_would(parts: np.ndarray, most: int) -> None:
    kept = min(most, parts.shape[1])
    places, found = choose(parts, kept)
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :kept]
    sizes = np.take_along_axis(parts, order, axis=1)
    np.testing.assert_array_equal(found.T, sizes)
    np.testing.assert_array_equal(places.T, np.where(sizes == 0, -1, order))


def test_features_without_influence_are_not_among_the_strongest() -> None:
    given = values(300)
    given[:, 2] = 1.0
    train = xgboost.DMatrix(given, np.nan_to_num(given[:, 0]) > 0, nthread=1)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, train, 5)
    places, found = TreeEngine.from_booster(model).top(given, FEATURES)
    assert 2 not in places
    assert (places[:, -1] == -1).all()
    assert (found[places < 0] == 0).all()


def test_contributions_of_a_feature_that_no_tree_uses_are_zero() -> None:
    given = values(300)
    given[:, 2] = 1.0
    train = xgboost.DMatrix(given, np.nan_to_num(given[:, 0]) > 0, nthread=1)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, train, 5)
    parts = TreeEngine.from_booster(model).contributions(given)
    assert (parts[:, 2] == 0).all()
    assert (parts[:, 0] != 0).any()


def test_what_may_not_be_written_is_read_all_the_same(engine: TreeEngine) -> None:
    given = values(20)
    given.flags.writeable = False
    assert len(engine.margins(given)) == 20


@pytest.mark.parametrize(
    "wrong",
    [values(4)[:, :-1].copy(), values(4).astype(np.float64), np.asfortranarray(values(4)), values(4)[0]],
    ids=["a column short", "float64", "Fortran order", "one row"],
)
def test_a_matrix_of_another_kind_is_refused(engine: TreeEngine, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values of"):
        engine.contributions(wrong)


def categorical() -> xgboost.Booster:
    codes = np.random.default_rng(0).integers(0, 5, (300, 2)).astype(np.float32)
    train = xgboost.DMatrix(
        codes,
        (codes[:, 0] % 2 == 0).astype(np.float32),
        feature_types=["c", "q"],
        enable_categorical=True,
        nthread=1,
    )
    return xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_cat_to_onehot": 1}, train, 3)


def of_two_classes_more() -> xgboost.Booster:
    train = xgboost.DMatrix(values(200), np.arange(200) % 3, nthread=1)
    return xgboost.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, train, 2)


def with_two_targets() -> xgboost.Booster:
    train = xgboost.DMatrix(values(200), np.random.default_rng(0).random((200, 2)), nthread=1)
    settings = {"tree_method": "hist", "multi_strategy": "multi_output_tree", "nthread": 1}
    return xgboost.train(settings, train, 2)


def with_a_leaf_that_is_no_number() -> xgboost.Booster:
    raw = booster(rounds=1, max_depth=1).save_raw("json").decode()
    start = raw.index('"split_conditions":[') + len('"split_conditions":[')
    end = raw.index("]", start)
    parts = raw[start:end].split(",")
    loaded = xgboost.Booster()
    loaded.load_model(bytearray((raw[:start] + ",".join([parts[0], "NaN", parts[2]]) + raw[end:]).encode()))
    return loaded


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: booster(booster="dart"), "of the kind dart"),
        (lambda: booster(booster="gblinear"), "of the kind gblinear"),
        (lambda: booster(max_depth=11, min_child_weight=0, reg_lambda=0.01, rounds=60), "deeper than 10"),
        (categorical, "native categorical splits"),
        (of_two_classes_more, "more than one output"),
        (with_two_targets, "more than one output"),
        (with_a_leaf_that_is_no_number, "no finite number"),
    ],
)
def test_a_model_that_is_not_covered_says_why(make: Any, reason: str) -> None:
    with pytest.raises(NotCovered, match=reason):
        TreeEngine.from_booster(make())


def test_covers_that_do_not_add_up_give_margins_but_no_contributions() -> None:
    raw = booster(rounds=2).save_raw("json").decode()
    start = raw.index('"sum_hessian":[') + len('"sum_hessian":[')
    end = raw.index(",", start)
    odd = xgboost.Booster()
    odd.load_model(bytearray((raw[:start] + "9.999E3" + raw[end:]).encode()))
    engine = TreeEngine.from_booster(odd)
    assert len(engine.margins(values(3))) == 3
    with pytest.raises(NotCovered, match="do not add up"):
        engine.contributions(values(3))
    chosen = choice.evaluator(odd, rows=10**6, explained=1000)
    assert chosen.name == "xgboost for reasons (the covers of its nodes do not add up)"
    assert chosen.scores is not None
    assert chosen.explains is None


def test_an_engine_whose_numbers_are_not_xgboosts_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = booster(rounds=3)

    def shifted(given: xgboost.Booster) -> Forest:
        forest = read_forest(given)
        return Forest(forest.trees, forest.features, np.nextafter(forest.base_margin, np.float32(9)), True)

    monkeypatch.setattr("churnlib.modelling.trees.engine.read_forest", shifted)
    with pytest.raises(NotCovered, match="not XGBoost's"):
        TreeEngine.from_booster(model)
    assert choice.evaluator(model, rows=10**6, explained=0).name.startswith("xgboost (its scores are not")


def test_few_rows_of_a_new_model_go_to_xgboost_and_many_to_the_trees() -> None:
    few, many, first_chunk = booster(rounds=4), booster(rounds=4), booster(rounds=4)
    assert choice.evaluator(few, rows=10, explained=10).name == "xgboost (so few rows are faster so)"
    assert choice.evaluator(few, rows=90_000, explained=0).name.startswith("xgboost")
    assert choice.evaluator(many, rows=90_000, explained=10**6).name == "trees"
    assert choice.evaluator(many, rows=10, explained=0).name == "trees"  # it is ready now
    assert choice.evaluator(first_chunk, rows=131_072, explained=0).name == "trees"


def test_the_larger_the_model_the_sooner_its_reasons_are_worth_the_trees() -> None:
    rows = 3_000
    assert choice.evaluator(booster(rounds=3, max_depth=2), rows=rows, explained=rows).explains is None
    deep = booster(rounds=150, max_depth=9, min_child_weight=0, reg_lambda=0.01)
    assert choice.evaluator(deep, rows=rows, explained=rows).explains is not None


def test_both_engines_give_the_same_to_the_caller() -> None:
    model = booster()
    matrix = Matrix(values(500, seed=4), tuple(model.feature_names or ()), {})
    by_xgboost = choice.Evaluator(model, None, None, "xgboost")
    by_trees = choice.evaluator(model, rows=10**6, explained=10**6)
    assert by_trees.name == "trees"
    for ours, theirs in zip(by_trees.top(matrix, 2), by_xgboost.top(matrix, 2), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(by_trees.margins(matrix), by_xgboost.margins(matrix))
    np.testing.assert_allclose(by_trees.contributions(matrix), by_xgboost.contributions(matrix), atol=1e-5)


def test_a_scored_batch_says_which_engine_evaluated_it() -> None:
    model = trained(seed=5)
    assert score(model, accepted(50)).engine.startswith("xgboost")
    choice.evaluator(model.booster, rows=10**6, explained=0)
    by_trees = score(model, accepted(900))
    assert by_trees.engine == "trees"
    booster = model.booster
    matrix = build_matrix(accepted(900), model.spec, model.state)
    expected = choice.Evaluator(booster, None, None, "xgboost").margins(matrix)
    np.testing.assert_array_equal(by_trees.frame.get_column("margin").to_numpy(), expected)


def test_the_engine_of_a_model_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = booster(rounds=2)
    first = choice.evaluator(model, rows=10**6, explained=10**6).explains
    monkeypatch.setattr(choice, "_prepared", lambda given: pytest.fail("prepared again"))
    assert first is not None
    assert choice.evaluator(model, rows=1000, explained=1).explains is first


def test_without_numba_xgboost_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "churnlib.modelling.trees.engine", None)
    chosen = choice.evaluator(booster(rounds=2), rows=10**6, explained=1000)
    assert chosen.name == "xgboost (the tree engine needs churnlib.modelling.trees.engine)"
