"""A family of models in a loop: customers of three regions, one of them tiny, and what each of them does."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from churnlib.records import Batch
from churnlib.spec import AS_OF, ID, Spec
from churnlib.usecases.fleet_training import Call, retrain_family
from churnlib.usecases.outcomes import OutcomesResult, take_outcomes
from churnlib.usecases.retraining import TrainResult, train_from_file
from churnlib.usecases.scoring import ScoreResult, score_file
from tests import builders
from tests.loops import MODEL, Loop, as_delivered, close, make_loop, outcomes_of, run, small_spec, week

US, EU, TINY = "telly-us", "telly-eu", "telly-san-marino"

REGIONS = ("US", "EU", "San Marino")
"""As delivered; the last has too few customers for a model."""

FAMILY: dict[str, Any] = {
    "features": {**builders.FEATURES, "region": {"type": "category", "input_only": True}},
    "variants": {"dimensions": {"geography": "region"}, "experiment": "churn_prediction"},
    "training": {"min_rows": 200},
    "retraining": {"cooldown_days": 7},
}


def family_spec(**changes: Any) -> Spec:
    """`small_spec` with a model for each region."""
    return small_spec(**{**FAMILY, **changes})


def customers(number: int, rows: int = 480) -> pl.DataFrame:
    """A week's accepted rows: each customer stays in one region, every 20th in the tiny one, one in none."""
    place = pl.int_range(pl.len())
    region = (
        pl.when(place == 7)
        .then(None)
        .when(place % 20 == 0)
        .then(pl.lit(REGIONS[2]))
        .when(place % 2 == 1)
        .then(pl.lit(REGIONS[0]))
        .otherwise(pl.lit(REGIONS[1]))
    )
    return builders.accepted(rows, seed=700 + number, as_of=week(number)).with_columns(region=region)


def became(rows: pl.DataFrame, *, turned: Collection[str] = ()) -> pl.DataFrame:
    """What became of them; customers of the regions that are turned do the opposite of what they used to."""
    usual = outcomes_of(rows)
    is_turned = pl.col("region").is_in(list(turned)).fill_null(value=False)
    other, rest = rows.filter(is_turned), rows.filter(~is_turned).select(ID)
    if other.is_empty():
        return usual
    return pl.concat([outcomes_of(other, turned=True), usual.join(rest, on=ID, how="semi")]).sort(ID)


def labelled_file(loop: Loop, number: int = -2, *, rows: int = 2000, turned: Collection[str] = ()) -> Path:
    """A labelled file of that week's customers."""
    accepted = customers(number, rows)
    labelled = accepted.join(became(accepted, turned=turned), on=[ID, AS_OF], how="inner")
    path = loop.folder / f"labelled-{number}.csv"
    as_delivered(labelled).write_csv(path)
    return path


def train_base(loop: Loop) -> TrainResult:
    """The base model's first version, from a file of before the first week."""
    return train_from_file(loop.services, run("train"), model=MODEL, path=labelled_file(loop))


def score(loop: Loop, number: int, rows: pl.DataFrame | None = None, *, name: str = "") -> ScoreResult:
    """Let a week's file be delivered and scored, on its day."""
    loop.clock.set_to(week(number))
    path = loop.deliver(customers(number) if rows is None else rows, name or f"{number}.csv")
    return score_file(loop.services, run(f"score-{number}{name}"), model=MODEL, path=path)


def tell(loop: Loop, number: int, *, turned: Collection[str] = ()) -> OutcomesResult:
    """Let the outcomes of a week's customers be delivered, a week later."""
    loop.clock.set_to(week(number + 1))
    path = loop.deliver(became(customers(number), turned=turned), f"outcomes/{number}.csv")
    return take_outcomes(loop.services, run(f"outcomes-{number}"), model=MODEL, path=path)


def live(loop: Loop, weeks: int, *, turned: Collection[str] = (), first: int = 0) -> None:
    """So many weeks, each scored, and what became of its customers told a week later."""
    for number in range(first, first + weeks):
        score(loop, number)
        tell(loop, number, turned=turned)


def batches_of(loop: Loop, model: str) -> list[Batch]:
    """Every batch of that model on record."""
    with loop.services.ledger.begin() as tx:
        return tx.batches(model)


def rows(table: pl.LazyFrame | None) -> pl.DataFrame:
    """Of a table, in the order of the customers."""
    assert table is not None
    return table.sort(AS_OF, ID).collect()


GROWN_WEEKS = 5
"""Weeks that a grown family has lived with its base model alone; its slices got theirs the day after."""


def grow(folder: Path) -> Path:
    """Let a family live in the folder until its two large slices have models; returns the releases' folder."""
    loop = make_loop(folder, spec=family_spec(), now=week(-1))
    train_base(loop)
    live(loop, GROWN_WEEKS)
    calls = [Call(model, "", f"first:{model}") for model in loop.services.family_models(MODEL)]
    done = retrain_family(loop.services, run("grow"), calls, trigger="schedule")
    assert not done.models.failed
    close(loop)
    return folder / "registry"


def grown(source: Path, folder: Path) -> Loop:
    """A copy of a grown family, on the day after its slices got their models."""
    shutil.copytree(source / "data", folder / "data")
    loop = make_loop(folder, spec=family_spec(), now=week(GROWN_WEEKS))
    for model in (MODEL, EU, US):
        (release,) = (source / "registry" / model).iterdir()
        loop.register(release, model=model)
    return loop
