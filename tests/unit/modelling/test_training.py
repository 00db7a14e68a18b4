from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from churnlib.errors import ChurnError, SpecError
from churnlib.features.matrix import build_matrix
from churnlib.features.state import fit_state
from churnlib.modelling.boosting import grow
from churnlib.modelling.engine import margins
from churnlib.modelling.metrics import evaluate
from churnlib.modelling.training import train
from churnlib.spec import LABEL
from tests.builders import FEATURES, churn_rate, labelled, spec, trained


def test_it_finds_the_rule_of_the_builders_world() -> None:
    model = trained(3000)
    best = evaluate(model.split.test.get_column(LABEL).to_numpy(), churn_rate(model.split.test)).auc
    assert model.test.auc > 0.75
    assert model.test.auc > best - 0.06
    assert model.test.calibration_error < 0.05


def test_the_same_rows_and_seed_give_the_same_bytes_in_any_order_on_any_number_of_threads() -> None:
    rows = labelled(800)
    first = train(rows, spec(), threads=1)
    second = train(rows.sample(fraction=1, shuffle=True, seed=3), spec(), threads=2)
    assert first.booster.save_raw("ubj") == second.booster.save_raw("ubj")
    assert first.calibration == second.calibration
    assert first.test_scores.equals(second.test_scores)


def test_another_seed_gives_another_model() -> None:
    rows = labelled(800)
    first, second = (train(rows, spec(training={"seed": seed}), threads=1) for seed in (1, 2))
    assert first.booster.save_raw("ubj") != second.booster.save_raw("ubj")


def test_the_test_rows_change_nothing_but_the_test() -> None:
    rows = labelled(600, weeks=9)
    parts = train(rows, spec(), threads=1)
    latest = parts.split.test.get_column("as_of").max()
    swapped = rows.with_columns(
        tenure_months=pl.when(pl.col("as_of") == latest).then(0.0).otherwise("tenure_months"),
        plan=pl.when(pl.col("as_of") == latest).then(pl.lit("never seen")).otherwise("plan"),
    )
    other = train(swapped, spec(), threads=1)
    assert other.booster.save_raw("ubj") == parts.booster.save_raw("ubj")
    assert other.state == parts.state
    assert other.calibration == parts.calibration
    assert other.test != parts.test


def test_the_released_trees_learn_from_train_and_validation() -> None:
    model = trained()
    matrix = build_matrix(model.split.fitted, model.spec, model.state)
    again = grow(
        matrix,
        model.split.fitted.get_column(LABEL).to_numpy(),
        model.spec.training,
        rounds=model.rounds,
        threads=1,
    )
    assert again.save_raw("ubj") == model.booster.save_raw("ubj")
    assert model.state == fit_state(model.split.fitted, model.spec)


def test_the_booster_holds_just_the_trees_it_uses() -> None:
    model = trained()
    assert model.booster.num_boosted_rounds() == model.rounds < model.spec.training.max_rounds
    assert model.booster.attributes() == {}


def test_after_early_stopping_later_trees_are_cut_off() -> None:
    model = trained()
    parts, settings = model.split, model.spec.training
    state = fit_state(parts.train, model.spec)
    matrix, watched = (build_matrix(part, model.spec, state) for part in (parts.train, parts.validation))
    churned, watched_churned = (part.get_column(LABEL).to_numpy() for part in (parts.train, parts.validation))
    stopped = grow(matrix, churned, settings, rounds=60, threads=1, validation=(watched, watched_churned))
    exact = grow(matrix, churned, settings, rounds=stopped.num_boosted_rounds(), threads=1)
    np.testing.assert_array_equal(margins(stopped, watched), margins(exact, watched))
    longer = grow(matrix, churned, settings, rounds=60, threads=1)
    assert not np.array_equal(margins(longer, watched), margins(exact, watched))


def test_test_scores_are_those_that_were_measured() -> None:
    model = trained()
    scores = model.test_scores
    assert scores.columns == ["customer_id", "as_of", "churned", "probability"]
    assert evaluate(scores["churned"].to_numpy(), scores["probability"].to_numpy()) == model.test
    low, high = model.test_auc_interval
    assert low < model.test.auc < high


def test_noise_is_not_mistaken_for_signal() -> None:
    rows = labelled(2000)
    noise = rows.with_columns(pl.Series(LABEL, np.random.default_rng(1).random(2000) < 0.3))
    model = train(noise, spec(), threads=1)
    assert model.test_auc_interval[0] < 0.5 < model.test_auc_interval[1]
    assert model.test.calibration_error < 0.06


def test_progress_rises_to_its_total() -> None:
    told: list[tuple[int, int]] = []
    train(labelled(600), spec(), progress=lambda done, total: told.append((done, total)), threads=1)
    done = [step for step, _ in told]
    assert done == sorted(done)
    assert {total for _, total in told} == {120}
    assert done[-1] == 120


def test_a_feature_that_is_always_missing_is_no_obstacle() -> None:
    rows = labelled(400).with_columns(
        support_calls=pl.lit(None, dtype=pl.Float64), plan=pl.lit(None, dtype=pl.String)
    )
    model = train(rows, spec(), threads=1)
    assert model.test.auc > 0.6
    assert model.state.codes["plan"] == ()


def test_a_window_in_an_expression_is_refused_before_anything_is_fitted() -> None:
    bad = spec(features={**FEATURES, "rank": {"type": "number", "sql": "row_number() over ()"}})
    with pytest.raises(SpecError, match=r"features\.rank\.sql"):
        train(labelled(300), bad, threads=1)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ChurnError, match="min_rows"):
        train(labelled(50), spec(), threads=1)
