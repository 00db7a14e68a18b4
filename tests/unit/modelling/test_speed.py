"""Speed is the median of turns, by a timer that is given."""

from __future__ import annotations

import pytest

from churnlib.modelling.speed import ROWS, rows_per_second
from tests import builders


def test_speed_is_rows_by_the_median_seconds_after_a_turn_that_does_not_count() -> None:
    model, rows = builders.trained(), builders.accepted(50)
    turns = [1.0, 2.0, 1.0, 4.0, 3.0, 2.0]
    ticks = [0.0, 0.0]  # of the turn that does not count only the beginnings are read
    for place, seconds in enumerate(turns):
        ticks += [100.0 * place, 100.0 * place + seconds]
    clock = iter(ticks)
    first, second, engines, timed = rows_per_second(
        (model, rows), (model, rows), timer=lambda: next(clock), rounds=3
    )
    assert (first, second, timed) == (ROWS / 1.0, ROWS / 2.0, ROWS)
    assert engines[0] == engines[1]
    with pytest.raises(StopIteration):
        next(clock)


def test_a_timer_that_does_not_move_gives_a_number() -> None:
    model, rows = builders.trained(), builders.accepted(50)
    first, second, _, _ = rows_per_second((model, rows), (model, rows), timer=lambda: 5.0, rounds=1)
    assert first == second > 0
