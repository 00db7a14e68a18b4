"""The tree engine against XGBoost itself, on models of many shapes and on rows that are meant to break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

from churnlib.modelling.trees.bins import plan_bins
from churnlib.modelling.trees.contributions import contribute
from churnlib.modelling.trees.engine import TreeEngine
from churnlib.modelling.trees.games import plan_game
from churnlib.modelling.trees.parse import read_forest

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no regularisation, tiny leaves": {"min_child_weight": 0, "reg_lambda": 0.1, "gamma": 0},
    "pruned to stumps and single leaves": {"gamma": 4.0, "eta": 1.0},
    "lopsided": {"grow_policy": "lossguide", "max_leaves": 9},
    "every value its own threshold": {"tree_method": "exact"},
    "few bins": {"max_bin": 4},
    "base given": {"base_score": 0.2},
}

OBJECTIVES = ("binary:logistic", "binary:logitraw", "reg:squarederror", "survival:cox", "survival:aft")


def matrix(rng: np.random.Generator, rows: int, features: int, missing: float) -> np.ndarray:
    values = rng.normal(size=(rows, features)).astype(np.float32)
    values[:, ::2] = np.round(values[:, ::2] * 3)
    values[rng.random(values.shape) < missing] = np.nan
    return values


def data(values: np.ndarray, objective: str, rng: np.random.Generator) -> xgboost.DMatrix:
    churned = (np.nan_to_num(values).sum(axis=1) + rng.normal(size=len(values)) > 0.5).astype(np.float32)
    time = rng.exponential(size=len(values)).astype(np.float32)
    if objective == "survival:aft":
        upper = np.where(churned > 0, time, np.inf)
        return xgboost.DMatrix(values, label_lower_bound=time, label_upper_bound=upper, nthread=1)
    label = np.where(churned > 0, time, -time) if objective == "survival:cox" else churned
    return xgboost.DMatrix(values, label, nthread=1)


def grown(
    seed: int, *, rows: int = 400, features: int = 6, missing: float = 0.1, rounds: int = 12, **settings: Any
) -> tuple[xgboost.Booster, np.ndarray]:
    rng = np.random.default_rng(seed)
    settings = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, **settings}
    values = matrix(rng, rows, features, missing)
    train = data(values, settings["objective"], rng)
    return xgboost.train({**settings, "nthread": 1, "seed": seed}, train, rounds), values


def thresholds(booster: xgboost.Booster) -> np.ndarray:
    splits = booster.trees_to_dataframe().query("Feature != 'Leaf'")["Split"].to_numpy(dtype=np.float32)
    return splits if len(splits) else np.zeros(1, dtype=np.float32)


def awkward(booster: xgboost.Booster, seed: int = 0) -> np.ndarray:
    """Values on each threshold, one ulp beside it, huge, signed zeros, missing here and everywhere."""
    rng, features = np.random.default_rng(seed), booster.num_features()
    on = rng.choice(thresholds(booster), (60, features))
    odd = np.array([1e30, -1e30, 0.0, -0.0, np.nan, 1e-45], dtype=np.float32)
    return np.concatenate(
        [
            on,
            np.nextafter(on, np.float32(np.inf)),
            np.nextafter(on, np.float32(-np.inf)),
            np.where(rng.random(on.shape) < 0.3, np.float32(np.nan), on),
            rng.choice(odd, (40, features)),
            np.full((1, features), np.nan),
        ]
    ).astype(np.float32)


def assert_equal(booster: xgboost.Booster, values: np.ndarray) -> None:
    engine = TreeEngine.from_booster(booster)
    rows = xgboost.DMatrix(values, nthread=1)
    margins = booster.predict(rows, output_margin=True)
    np.testing.assert_array_equal(engine.margins(values), margins)
    expected = booster.predict(rows, pred_contribs=True)
    found = engine.contributions(values)
    scale = np.maximum(1, np.abs(expected).max(axis=1))
    assert (np.abs(found - expected).max(axis=1) / scale).max() < 1e-5
    assert (np.abs(found.sum(axis=1, dtype=np.float64) - margins) / scale).max() < 1e-5


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 7, 8, 10])
def test_each_depth_gives_xgboosts_margins_and_contributions(depth: int) -> None:
    booster, values = grown(depth, max_depth=depth, rounds=10, rows=600, min_child_weight=0.1)
    assert_equal(booster, np.concatenate([values[:150], awkward(booster)]))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("base_score", [None, 0.3])
def test_each_objective_starts_from_xgboosts_base(objective: str, base_score: float | None) -> None:
    given: dict[str, Any] = {} if base_score is None else {"base_score": base_score}
    booster, values = grown(3, objective=objective, **given)
    assert_equal(booster, values[:100])


@pytest.mark.parametrize("name", list(SETTINGS))
def test_each_way_to_grow_gives_the_same_numbers(name: str) -> None:
    for seed in range(4):
        booster, values = grown(seed, max_depth=3 + seed, rows=(30, 200, 800, 5)[seed], **SETTINGS[name])
        assert_equal(booster, np.concatenate([values[:100], awkward(booster, seed)]))


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.95])
def test_each_share_of_missing_values_goes_where_xgboost_sends_it(missing: float) -> None:
    booster, values = grown(11, missing=missing, max_depth=5)
    assert_equal(booster, np.concatenate([values[:200], awkward(booster)]))


def test_a_feature_that_repeats_on_every_path_is_counted_once() -> None:
    booster, values = grown(5, features=1, max_depth=7, rows=900, rounds=8, min_child_weight=0.1)
    assert_equal(booster, np.concatenate([values[:200], awkward(booster)]))


def test_two_features_that_repeat_in_turn_are_told_apart() -> None:
    booster, values = grown(6, features=2, max_depth=8, rows=1500, rounds=8, tree_method="exact")
    assert_equal(booster, np.concatenate([values[:200], awkward(booster)]))


def test_more_thresholds_than_a_byte_holds_are_told_apart() -> None:
    booster, values = grown(7, features=2, rows=4000, max_depth=8, rounds=30, tree_method="exact", missing=0.02)
    splits = booster.trees_to_dataframe().query("Feature == 'f1'")["Split"].nunique()
    assert splits > 400
    assert_equal(booster, np.concatenate([values[:100], awkward(booster)]))


def test_a_model_of_nothing_but_single_leaves_gives_its_base() -> None:
    booster, values = grown(8, gamma=1e9)
    assert_equal(booster, values[:70])


def test_single_leaves_between_trees_keep_their_value() -> None:
    booster, values = grown(9, rounds=40, gamma=3.0, eta=1.0, subsample=0.5)
    sizes = booster.trees_to_dataframe().groupby("Tree").size()
    assert sizes.min() == 1
    assert sizes.max() > 1
    assert_equal(booster, values[:70])


def test_infinities_go_where_inplace_predict_sends_them() -> None:
    booster, _ = grown(10, max_depth=6)
    odd = np.array([np.inf, -np.inf, np.nan, 0.0], dtype=np.float32)
    values = np.random.default_rng(1).choice(odd, (300, 6)).astype(np.float32)
    expected = booster.inplace_predict(values, predict_type="margin")
    np.testing.assert_array_equal(TreeEngine.from_booster(booster).margins(values), expected)


def test_a_model_from_a_file_gives_the_same_bits_as_the_one_in_memory() -> None:
    booster, values = grown(12)
    loaded = xgboost.Booster()
    loaded.load_model(bytearray(booster.save_raw("ubj")))
    np.testing.assert_array_equal(
        TreeEngine.from_booster(loaded).contributions(values),
        TreeEngine.from_booster(booster).contributions(values),
    )
    assert_equal(loaded, values[:50])


def test_a_node_that_saw_nothing_gives_finite_contributions_that_add_up() -> None:
    booster, values = grown(13, rounds=3)
    forest = read_forest(booster)
    for tree in forest.trees:
        tree.left_share[:] = np.where(np.arange(len(tree.left)) % 3 == 0, 0.0, 1.0)
    binning = plan_bins(forest)
    game = plan_game(forest, binning)
    found = np.zeros(values.shape, dtype=np.float32)
    contribute(values, binning, game, found)
    margins = TreeEngine.from_booster(booster).margins(values)
    np.testing.assert_allclose(found.sum(axis=1) + forest.base_margin + game.expected, margins, atol=1e-5)


CHURN_COLUMNS = {
    "telco/telco_customer_churn.csv": ("Churn", "Yes"),
    "bank/churn_modelling.csv": ("Exited", "1"),
    "ecommerce/ecommerce_churn.csv": ("Churn", "1"),
    "telecom_mlc/mlc_churn.csv": ("churn", "yes"),
}


@pytest.mark.real_data
@pytest.mark.parametrize("path", list(CHURN_COLUMNS))
def test_a_public_table_gives_the_same_numbers(real_data: Path, path: str) -> None:
    label, positive = CHURN_COLUMNS[path]
    table = pl.read_csv(real_data / path, infer_schema=False)
    columns = [_coded(table.get_column(name)) for name in table.columns if name != label]
    values = np.ascontiguousarray(np.column_stack(columns), dtype=np.float32)
    churned = (table.get_column(label) == positive).to_numpy().astype(np.float32)
    assert 0.05 < churned.mean() < 0.5
    settings = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(values, churned, nthread=1), 50)
    assert_equal(booster, np.concatenate([values[:150], awkward(booster)]))
    rows = xgboost.DMatrix(values, nthread=1)
    found = TreeEngine.from_booster(booster).margins(values, threads=2)
    np.testing.assert_array_equal(found, booster.predict(rows, output_margin=True))


def _coded(column: pl.Series) -> np.ndarray:
    number = column.str.strip_chars().cast(pl.Float32, strict=False)
    coded = column.cast(pl.Categorical).to_physical().cast(pl.Float32)
    return (number if number.null_count() < len(column) // 2 else coded).to_numpy()
