"""What a delivered model makes of the sample: its scores by the trees that are meant, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from churnlib.errors import FileRefused
from churnlib.features.matrix import build_matrix
from churnlib.modelling.engine import margins
from churnlib.modelling.evaluation import Evaluation
from churnlib.modelling.foreign import Adopted, Foreign, Trees, adopt
from churnlib.modelling.foreign_labels import Answers, first_miss, read_scores
from churnlib.modelling.foreign_sample import Layout, Sample, read_sample
from churnlib.modelling.intervals import bootstrap_interval
from churnlib.modelling.metrics import evaluate
from churnlib.monitoring.performance import FEWEST
from churnlib.spec import Spec
from churnlib.usecases.log_model_files import Delivered


@dataclass(frozen=True)
class Scored:
    """What one choice of trees makes of the sample; by row, float64."""

    trees: Trees
    model: Adopted
    margin: np.ndarray
    probability: np.ndarray


def score_sample(
    foreign: Foreign,
    spec: Spec,
    rows: pl.DataFrame,
    published: Delivered | None,
    sample: Sample,
    layout: Layout,
    asked: Trees | None,
) -> tuple[Scored, Scored | None, int | None]:
    """Score by the trees asked for; otherwise by all, unless published scores say that the best were meant.

    Returns:
        What is used, what the other choice of trees would give (None where there is none), and how many
        published scores are reproduced (None where none came).

    Raises:
        FileRefused: the published scores are not reproduced, or are none.
    """
    choices: list[Trees] = ["all"] if foreign.best_rounds in (None, foreign.rounds) else ["all", "best"]
    if asked is not None and asked not in choices:
        choices.append(asked)
    scored = {choice: _score(adopt(foreign, spec, choice), choice, rows) for choice in choices}
    if published is None:
        used = scored[asked or "all"]
        return used, next((each for each in scored.values() if each is not used), None), None
    expected = read_scores(read_sample(published.path), sample, layout)
    candidates = [scored[asked]] if asked else list(scored.values())
    for used in candidates:
        if first_miss(expected, used.probability) is None or first_miss(expected, used.margin) is None:
            other = next((each for each in scored.values() if each is not used), None)
            return used, other, int((~np.isnan(expected)).sum())
    row = first_miss(expected, candidates[0].probability)
    assert row is not None
    raise FileRefused(
        f"{published.name}, row {row + 1}: the published score is {expected[row]:.6f}, "
        f"and the model gives {candidates[0].probability[row]:.6f} for that row of {sample.source}.",
        hint="Nothing was registered: model, sample and scores do not belong together, or the rows were prepared "
        "differently.",
    )


def _score(model: Adopted, trees: Trees, rows: pl.DataFrame) -> Scored:
    margin = margins(model.booster, build_matrix(rows, model.spec, model.state))
    return Scored(trees, model, margin, model.calibration.apply(margin))


def measure(spec: Spec, used: Scored, answers: Answers | None) -> Evaluation:
    """What the labels say, if there are any; nothing is made up."""
    rounds = used.model.booster.num_boosted_rounds()
    if answers is None:
        return Evaluation(
            test=None,
            auc_interval=None,
            rounds=rounds,
            split_kind="delivered",
            split_text="not measured: no labels were delivered",
            train_rows=None,
            validation_rows=None,
        )
    known = answers.known
    churned = answers.churned.drop_nulls().to_numpy()
    probability = used.probability[known]
    interval = None
    if FEWEST <= churned.sum() <= len(churned) - FEWEST:
        policy = spec.promotion
        found = bootstrap_interval(
            churned,
            probability,
            rounds=policy.bootstrap_rounds,
            seed=spec.training.seed,
            confidence=policy.confidence,
        )
        interval = (found.low, found.high)
    return Evaluation(
        test=evaluate(churned, probability),
        auc_interval=interval,
        rounds=rounds,
        split_kind="delivered",
        split_text=f"{len(known):,} labelled rows of the delivered sample; whether the model learned from them is "
        "not known",
        train_rows=None,
        validation_rows=None,
    )
