"""From labelled rows to a model that was measured on rows it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from churnlib.features.matrix import build_matrix
from churnlib.features.state import FittedState, fit_state
from churnlib.modelling.boosting import Rounds, grow
from churnlib.modelling.calibration import Calibration, fit_calibration
from churnlib.modelling.device import ON_CPU, Device, choose_device
from churnlib.modelling.engine import margins
from churnlib.modelling.intervals import bootstrap_interval
from churnlib.modelling.metrics import Metrics, evaluate
from churnlib.modelling.split import Split, split
from churnlib.spec import AS_OF, ID, LABEL, Spec

if TYPE_CHECKING:
    import xgboost

Progress = Callable[[int, int], None]
"""Told what is done and the total."""


@dataclass(frozen=True)
class Trained:
    """A model and how it was made.

    Attributes:
        booster: grown on `split.fitted`; holds just the trees it uses.
        state: fitted on the same rows.
        calibration: fitted on validation margins of a model that was grown on `split.train` only.
        test: measured once, on `split.test`.
        test_auc_interval: bootstrap interval with the spec's confidence.
        rounds: trees in the booster.
        test_scores: `customer_id`, `as_of`, `churned`, `probability` of the test rows.
        device: what grew the trees.
    """

    spec: Spec
    booster: xgboost.Booster
    state: FittedState
    calibration: Calibration
    split: Split
    test: Metrics
    test_auc_interval: tuple[float, float]
    rounds: int
    test_scores: pl.DataFrame
    device: Device = ON_CPU


def train(labelled: pl.DataFrame, spec: Spec, *, progress: Progress | None = None, threads: int = 0) -> Trained:
    """Fit, calibrate and measure.

    Trees are grown on the train part until the validation part's log loss stops falling; that gives the
    number of rounds and, from the same margins, the calibration. Then a model of so many rounds is
    grown on train and validation together; the gap before the test remains. The test part is
    used once, at the end.

    Args:
        labelled: accepted rows with `churned`; all outcomes matured. The rows' order does not matter.
        spec: the model's.
        progress: told rounds done and their total, of both fits.
        threads: 0 takes all cores; the model is the same.

    Raises:
        ChurnError: too few rows or churners, an expression fails, or the spec's GPU is not there.
    """
    device = choose_device(spec.training)
    rows = labelled.sort(AS_OF, ID)
    parts = split(rows, spec)
    first, second = _two_fits(progress, spec.training.max_rounds)
    calibration, rounds = _settle(parts, spec, threads, device, first)
    fitted = parts.fitted
    state = fit_state(fitted, spec)
    matrix = build_matrix(fitted, spec, state)
    booster = grow(
        matrix,
        _outcomes(fitted),
        spec.training,
        rounds=rounds,
        threads=threads,
        device=device.name,
        on_round=second(rounds),
    )
    scores = _score(parts.test, spec, state, booster, calibration)
    churned, probability = _outcomes(scores), scores.get_column("probability").to_numpy()
    interval = bootstrap_interval(
        churned,
        probability,
        rounds=spec.promotion.bootstrap_rounds,
        seed=spec.training.seed,
        confidence=spec.promotion.confidence,
    )
    test = evaluate(churned, probability)
    low, high = interval.low, interval.high
    return Trained(spec, booster, state, calibration, parts, test, (low, high), rounds, scores, device)


def _settle(
    parts: Split, spec: Spec, threads: int, device: Device, on_round: Rounds | None
) -> tuple[Calibration, int]:
    """Find the calibration and the number of rounds with trees grown on the train part alone."""
    state = fit_state(parts.train, spec)
    matrix = build_matrix(parts.train, spec, state)
    watched = build_matrix(parts.validation, spec, state)
    stopped = grow(
        matrix,
        _outcomes(parts.train),
        spec.training,
        rounds=spec.training.max_rounds,
        threads=threads,
        device=device.name,
        validation=(watched, _outcomes(parts.validation)),
        on_round=on_round,
    )
    calibration = fit_calibration(margins(stopped, watched), _outcomes(parts.validation))
    return calibration, stopped.num_boosted_rounds()


def _score(
    rows: pl.DataFrame, spec: Spec, state: FittedState, booster: xgboost.Booster, calibration: Calibration
) -> pl.DataFrame:
    margin = margins(booster, build_matrix(rows, spec, state))
    return rows.select(ID, AS_OF, LABEL).with_columns(probability=pl.Series(calibration.apply(margin)))


def _outcomes(rows: pl.DataFrame) -> np.ndarray:
    return rows.get_column(LABEL).to_numpy()


def _two_fits(progress: Progress | None, most: int) -> tuple[Rounds | None, Callable[[int], Rounds | None]]:
    """Two fits as one progress of 2 * most rounds; where the first stops early, the second starts half-way."""
    if progress is None:
        return None, lambda rounds: None

    def first(done: int) -> None:
        progress(done, 2 * most)

    def second(rounds: int) -> Rounds:
        return lambda done: progress(most + round(done / rounds * most), 2 * most)

    return first, second
