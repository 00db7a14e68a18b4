"""How fast two models score the same rows, in CPU-seconds, which a busy machine hardly changes."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import numpy as np
import polars as pl

from churnlib.modelling.engine import evaluator
from churnlib.modelling.scoring import ScoringModel, margins_of

Timer = Callable[[], float]
"""CPU seconds of this process so far, such as `time.process_time`."""

ROWS = 50_000
"""Scored in each round: what a batch's chunk is like, and long enough to be timed."""

_WORTH_A_BATCH = 1_000_000  # so that both use the engine that a large batch would be scored with


def rows_per_second(
    first: tuple[ScoringModel, pl.DataFrame],
    second: tuple[ScoringModel, pl.DataFrame],
    *,
    timer: Timer,
    rounds: int = 5,
) -> tuple[float, float, tuple[str, str], int]:
    """Time two models in turns, from accepted rows to margins, after a round that does not count.

    Args:
        first: a model and accepted rows for it.
        second: the other, with the same customers.
        timer: what CPU seconds are read from.
        rounds: of each; the median counts.

    Returns:
        Rows per CPU-second of both, what evaluated the trees of each, and the rows of a round.
    """
    engines = [evaluator(model.booster, rows=_WORTH_A_BATCH, explained=0) for model, _ in (first, second)]
    frames = [_filled(rows) for _, rows in (first, second)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for place, (model, _) in enumerate((first, second)):
            begun = timer()
            margins_of(model, engines[place], frames[place])
            if turn:
                seconds[place].append(timer() - begun)
    # a timer ticks: what took less than it can tell took one tick
    one, two = (ROWS / max(median(taken), 1e-6) for taken in seconds)
    return one, two, (engines[0].name, engines[1].name), ROWS


def _filled(rows: pl.DataFrame) -> pl.DataFrame:
    """Exactly `ROWS` rows: the first ones, or all over and over."""
    return rows[np.arange(ROWS) % rows.height]
