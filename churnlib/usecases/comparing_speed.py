"""Scoring speed of two versions on the same rows: kept ones, a file's, or those that a release carries itself."""

from __future__ import annotations

import polars as pl

from churnlib.governance.side_by_side import Speed
from churnlib.modelling.probe import MARGIN, PROBABILITY
from churnlib.modelling.release import PROBE
from churnlib.modelling.speed import Timer, rows_per_second
from churnlib.usecases.comparing_rows import CommonRows, Side, lacking
from churnlib.usecases.services import Services

ROUNDS = 5


def speed_of(
    services: Services, model: str, rows: CommonRows | None, first: Side, second: Side, timer: Timer
) -> Speed | None:
    """Time both.

    Args:
        services: the ports.
        model: registered model name.
        rows: to score; None takes the probe of the release that has the columns of both.
        first: the first version.
        second: the second.
        timer: CPU seconds of this process.

    Returns:
        None where there are no rows with the columns of both.
    """
    if rows is not None:
        frames, source = (rows.first, rows.second), rows.source
    else:
        probe = _probe(services, model, first, second)
        if probe is None:
            return None
        frames, source = (probe, probe), "probe rows"
    one, two, engines, timed = rows_per_second(
        (first.release, frames[0]), (second.release, frames[1]), timer=timer, rounds=ROUNDS
    )
    return Speed(rows=timed, rounds=ROUNDS, first=one, second=two, engines=engines, source=source)


def _probe(services: Services, model: str, first: Side, second: Side) -> pl.DataFrame | None:
    for side in (second, first):
        probe = pl.read_parquet(services.registry.fetch(model, side.version) / PROBE).drop(MARGIN, PROBABILITY)
        if lacking(probe.schema, (first, second)) is None:
            return probe
    return None
