"""The simulated business: reproducible, quiet while nothing happens, and really changed after a change."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.errors import ChurnError
from churnlib.modelling.intervals import paired_auc_difference
from churnlib.modelling.metrics import auc
from churnlib.simulation.changes import CHANGES, make_change
from churnlib.simulation.world import Week, World
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL

MONDAY = date(2026, 1, 5)
CHANGED = 6


@pytest.fixture(scope="module")
def weeks() -> list[Week]:
    """Nine weeks with a price rise in week 6."""
    world = World(7, 20_000, first_monday=MONDAY, change=make_change("price_rise", CHANGED))
    return [world.week(number) for number in range(9)]


def test_the_same_seed_gives_the_same_frames() -> None:
    first, second = (World(3, 300).week(2) for _ in range(2))
    assert_frame_equal(first.batch, second.batch)
    assert_frame_equal(first.truth, second.truth)


def test_another_seed_gives_other_frames() -> None:
    assert not World(3, 300).week(0).batch.equals(World(4, 300).week(0).batch)


def test_going_back_gives_the_same_week_again() -> None:
    world = World(3, 300)
    before = world.week(1)
    world.week(4)
    again = world.week(1)
    assert_frame_equal(before.batch, again.batch)
    assert_frame_equal(before.truth, again.truth)


def test_skipping_weeks_plays_them_nevertheless() -> None:
    world = World(3, 300)
    for number in range(3):
        world.week(number)
    assert_frame_equal(world.week(3).truth, World(3, 300).week(3).truth)


def test_a_week_is_seven_days_and_starts_on_the_first_monday(weeks: list[Week]) -> None:
    for number, week in enumerate(weeks):
        assert week.as_of == MONDAY + timedelta(days=7 * number)
        assert week.batch.get_column(AS_OF).unique().to_list() == [week.as_of]


def test_every_snapshot_has_one_row_per_customer_with_a_stable_text_id(weeks: list[Week]) -> None:
    for week in weeks:
        ids = week.batch.get_column(ID)
        assert ids.n_unique() == 20_000
        assert ids.str.contains(r"^C\d{7}$").all()
        assert ids.equals(week.truth.get_column(ID))


def test_whoever_leaves_is_replaced_by_a_customer_never_seen_before(weeks: list[Week]) -> None:
    seen: set[str] = set()
    for now, after in pairwise(weeks):
        here, next_week = set(now.batch.get_column(ID)), set(after.batch.get_column(ID))
        left = set(now.truth.filter(pl.col(LABEL)).get_column(ID))
        seen |= here
        assert here - next_week == left
        assert not (next_week - here) & seen


def test_leaving_is_known_within_the_horizon_and_staying_at_its_end(weeks: list[Week]) -> None:
    truth = weeks[0].truth.with_columns(days=(pl.col(KNOWN_AT) - pl.col(AS_OF)).dt.total_days())
    assert truth.filter(~pl.col(LABEL)).get_column("days").unique().to_list() == [7]
    assert sorted(truth.filter(pl.col(LABEL)).get_column("days").unique().to_list()) == [1, 2, 3, 4, 5, 6, 7]


def test_a_customer_ages_by_seven_days_a_week(weeks: list[Week]) -> None:
    both = weeks[0].batch.join(weeks[1].batch, on=ID, suffix="_after")
    assert (both.get_column("tenure_days_after") - both.get_column("tenure_days")).unique().to_list() == [7.0]


def test_about_a_twentieth_leaves_each_week_and_more_after_the_rise(weeks: list[Week]) -> None:
    rates = [float(week.truth.get_column(LABEL).mean() or 0) for week in weeks]  # type: ignore[arg-type]
    assert all(0.04 < rate < 0.06 for rate in rates[:CHANGED])
    assert 0.065 < rates[CHANGED] < 0.1
    assert all(rate > max(rates[:CHANGED]) for rate in rates[CHANGED:])


def test_the_truth_ranks_well_and_nobody_can_rank_perfectly(weeks: list[Week]) -> None:
    for week in weeks:
        assert 0.79 < auc(week.truth.get_column(LABEL).to_numpy(), week.log_odds.to_numpy()) < 0.86


def test_quiet_weeks_are_quiet_in_every_column(weeks: list[Week]) -> None:
    for name in weeks[0].batch.columns[2:]:
        for before, after in pairwise(weeks[:CHANGED]):
            assert _psi(before.batch.get_column(name), after.batch.get_column(name)) < 0.02, name
        assert _psi(weeks[0].batch.get_column(name), weeks[CHANGED - 1].batch.get_column(name)) < 0.02, name


def test_the_rise_moves_prices_and_in_its_first_week_nothing_but_prices(weeks: list[Week]) -> None:
    before, after = weeks[CHANGED - 1].batch, weeks[CHANGED].batch
    moved = {name for name in before.columns[2:] if _psi(before.get_column(name), after.get_column(name)) > 0.02}
    assert moved == {"weekly_price", "yearly_value"}
    assert _psi(before.get_column("weekly_price"), after.get_column("weekly_price")) > 0.25


def test_the_rise_is_18_to_25_percent_on_every_plan_but_premium() -> None:
    quiet = World(3, 500, first_monday=MONDAY).week(2).batch
    raised = World(3, 500, first_monday=MONDAY, change=make_change("price_rise", 2)).week(2).batch
    ratio = raised.select("plan", ratio=pl.col("weekly_price") / quiet.get_column("weekly_price"))
    by_plan = dict(ratio.group_by("plan").agg(pl.col("ratio").mean()).iter_rows())
    assert by_plan.pop("premium") == 1.0
    assert all(1.17 < rise < 1.26 for rise in by_plan.values())
    assert_frame_equal(quiet.drop("weekly_price", "yearly_value"), raised.drop("weekly_price", "yearly_value"))


def test_until_the_change_the_world_is_the_unchanged_one() -> None:
    changed = World(3, 300, change=make_change("price_rise", 2)).week(1)
    assert_frame_equal(changed.truth, World(3, 300).week(1).truth)


def test_a_change_of_kind_none_changes_nothing() -> None:
    assert_frame_equal(World(3, 300, change=make_change()).week(2).truth, World(3, 300).week(2).truth)


def test_the_rise_makes_the_old_model_bad_and_one_new_week_makes_a_better_one(weeks: list[Week]) -> None:
    old = _fitted(weeks[1 : CHANGED - 1])
    new = _fitted(weeks[2 : CHANGED + 1])
    quiet, later = weeks[CHANGED - 1], weeks[CHANGED + 1]
    healthy = auc(_left(quiet), _scores(old, quiet))
    gain = paired_auc_difference(_left(later), _scores(new, later), _scores(old, later), rounds=100, seed=1)
    assert healthy > 0.77
    assert auc(_left(later), _scores(old, later)) < healthy - 0.06
    assert gain.estimate > 0.04
    assert gain.low > 0.02


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": 1, "customers": 0}, "0 customers"),
        ({"seed": -1}, "-1"),
        ({"seed": 1, "first_monday": date(2026, 1, 6)}, "2026-01-06"),
    ],
)
def test_a_world_that_cannot_be_is_refused(arguments: dict[str, int], named: str) -> None:
    with pytest.raises(ChurnError, match=named):
        World(**arguments)  # type: ignore[arg-type]


def test_a_week_before_the_first_is_refused() -> None:
    with pytest.raises(ChurnError, match="-1"):
        World(1, 10).week(-1)


def test_an_unknown_change_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ChurnError) as refused:
        make_change("flood")
    assert all(kind in refused.value.hint for kind, _ in CHANGES)


def _psi(before: pl.Series, after: pl.Series) -> float:
    if before.dtype in (pl.String, pl.Boolean):
        levels = sorted(set(before) | set(after))
        counts = [np.array([(side == level).sum() for level in levels]) for side in (before, after)]
    else:
        edges = np.unique(np.quantile(before.drop_nulls().to_numpy(), np.linspace(0.1, 0.9, 9)))
        counts = [_binned(side, edges) for side in (before, after)]
    p, q = ((side + 0.5) / (side + 0.5).sum() for side in counts)
    return float(((p - q) * np.log(p / q)).sum())


def _binned(side: pl.Series, edges: np.ndarray) -> np.ndarray:
    bins = np.searchsorted(edges, side.drop_nulls().to_numpy(), side="left")
    return np.append(np.bincount(bins, minlength=len(edges) + 1), side.null_count())


def _left(week: Week) -> np.ndarray:
    return week.truth.get_column(LABEL).to_numpy()


def _values(week: Week) -> np.ndarray:
    plans = pl.col("plan").replace_strict({"budget": 0, "classic": 1, "family": 2, "premium": 3})
    channels = pl.col("channel").replace_strict({"referral": 0, "search": 1, "tv": 2, "social": 3, "partner": 4})
    numbers = pl.selectors.numeric() | pl.selectors.boolean()
    frame = week.batch.with_columns(plans, channels).select(numbers).drop("yearly_value")
    return frame.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _fitted(history: list[Week]) -> object:
    import xgboost

    rows = np.vstack([_values(week) for week in history])
    parameters = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "nthread": 1, "max_bin": 64}
    matrix = xgboost.QuantileDMatrix(rows, np.concatenate([_left(week) for week in history]), max_bin=64)
    return xgboost.train(parameters, matrix, 60)


def _scores(booster: object, week: Week) -> np.ndarray:
    import xgboost

    assert isinstance(booster, xgboost.Booster)
    return np.asarray(booster.predict(xgboost.DMatrix(_values(week))), dtype=float)
