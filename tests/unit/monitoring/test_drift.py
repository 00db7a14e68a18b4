"""What counts as moved, as broken and as an alarm, on worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from churnlib.monitoring.drift import DriftMeasurement, DriftVerdict, FeatureDrift, judge, measure
from churnlib.monitoring.profile import Reference, fit_reference
from churnlib.records import Report, ReportKind
from churnlib.spec import DriftPolicy, Spec

SHOP = Spec.model_validate(
    {
        "name": "shop",
        "columns": {"id": "id"},
        "features": {
            "price": {"type": "number"},
            "usage": {"type": "number"},
            "visits": {"type": "number"},
            "tenure": {"type": "number", "clock": True},
            "plan": {"type": "category"},
            "autopay": {"type": "boolean"},
        },
    }
)
MONDAY = date(2026, 10, 26)
CENTRE = {"basic": 20.0, "plus": 50.0, "pro": 100.0}

Change = Callable[[pl.DataFrame], pl.DataFrame]


def customers(rows: int, seed: int, *, as_of: date = MONDAY) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    plan = generator.choice(list(CENTRE), rows, p=[0.5, 0.3, 0.2])
    base = np.array([CENTRE[one] for one in plan])
    return pl.DataFrame(
        {
            "as_of": [as_of] * rows,
            "price": (base * generator.normal(1, 0.05, rows)).round(2),
            "usage": generator.lognormal(3, 1, rows),
            "visits": generator.poisson(2, rows).astype(float),
            "tenure": generator.integers(1, 40, rows).astype(float),
            "plan": plan,
            "autopay": generator.random(rows) < 0.6,
        }
    ).with_columns(usage=pl.when(pl.col("usage") < 3).then(None).otherwise(pl.col("usage")))


def score(frame: pl.DataFrame) -> pl.Series:
    visits = frame["visits"].fill_null(2)
    return pl.Series(1 / (1 + np.exp(0.5 * visits.to_numpy() + frame["autopay"].fill_null(False).to_numpy())))


@pytest.fixture(scope="module")
def reference() -> Reference:
    frame = customers(20_000, seed=1)
    return fit_reference(frame, score(frame), SHOP)


def measured(reference: Reference, frame: pl.DataFrame, *, moved_score: bool = False) -> DriftMeasurement:
    return measure(reference, frame, score(frame) * (3.0 if moved_score else 1.0), SHOP)


def of(measurement: DriftMeasurement, name: str) -> FeatureDrift:
    return next(one for one in measurement.features if one.name == name)


def report(weeks_ago: int, verdict: str, triage: str = "inputs_moved") -> Report:
    return Report(
        model="shop",
        kind=ReportKind.DRIFT,
        batch_id=f"{weeks_ago}-{verdict}",
        version=1,
        as_of=MONDAY - timedelta(weeks=weeks_ago),
        verdict=verdict,
        triage=triage,
        reason="",
        created_at=datetime(2026, 10, 26, tzinfo=UTC),
    )


def verdict_on(reference: Reference, change: Change, *history: Report) -> DriftVerdict:
    return judge(measured(reference, change(customers(5000, seed=2))), history, SHOP.drift)


def dearer(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(price=pl.col("price") * 1.15)


def fewer_visits(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(visits=(pl.col("visits") - 1).clip(0))


def test_a_batch_like_the_reference_is_stable(reference: Reference) -> None:
    verdict = verdict_on(reference, lambda frame: frame)
    assert (verdict.verdict, verdict.triage, verdict.first_moved) == ("stable", "none", None)
    assert verdict.reason.startswith("no column moved; the most was ")


def test_rows_in_another_order_measure_the_same(reference: Reference) -> None:
    frame = customers(1000, seed=3)
    assert measured(reference, frame) == measured(reference, frame.reverse())


def test_a_price_rise_is_moved_inputs_and_not_broken_data(reference: Reference) -> None:
    verdict = verdict_on(reference, dearer)
    assert (verdict.verdict, verdict.triage, verdict.first_moved) == ("watch", "inputs_moved", MONDAY)
    assert verdict.reason.startswith("price (PSI ")
    assert " moved in this batch, the first to be judged (2 of 3 are an alarm); " in verdict.reason


def test_one_price_for_all_that_rises_is_moved_inputs(reference: Reference) -> None:
    flat = customers(5000, seed=1).with_columns(price=pl.lit(29.99))
    one_price = fit_reference(flat, score(flat), SHOP)
    verdict = judge(measured(one_price, flat.with_columns(price=pl.lit(34.49))), (), SHOP.drift)
    assert verdict.triage == "inputs_moved"


def test_moved_in_two_of_the_last_three_batches_is_an_alarm(reference: Reference) -> None:
    verdict = verdict_on(reference, dearer, report(2, "watch"), report(1, "stable", "none"))
    assert (verdict.verdict, verdict.first_moved) == ("drifted", MONDAY - timedelta(weeks=2))
    assert "2 of the last 3 batches moved; " in verdict.reason
    assert verdict.reason.endswith("; 5 other columns did not")


def test_a_batch_that_does_not_move_is_stable_even_after_an_alarm(reference: Reference) -> None:
    quiet = verdict_on(reference, lambda frame: frame, report(2, "watch"), report(1, "drifted"))
    assert quiet.verdict == "stable"


def test_broken_batches_do_not_count_towards_an_alarm(reference: Reference) -> None:
    broken = report(1, "broken", "broken_data")
    assert verdict_on(reference, dearer, broken).verdict == "watch"


def test_one_batch_delivered_twice_counts_once(reference: Reference) -> None:
    again = [report(0, "watch"), report(0, "watch")]
    assert verdict_on(reference, dearer, *again).verdict == "watch"


def test_the_run_of_moved_batches_reaches_back_over_a_gap_that_the_alarm_survives(
    reference: Reference,
) -> None:
    history = [report(6, "watch"), report(5, "stable"), report(4, "stable"), report(3, "watch")]
    verdict = verdict_on(reference, dearer, *history, report(2, "stable"), report(1, "watch"))
    assert verdict.first_moved == MONDAY - timedelta(weeks=3)


def test_history_may_come_in_any_order(reference: Reference) -> None:
    history = [report(1, "stable"), report(3, "watch"), report(2, "watch")]
    assert verdict_on(reference, dearer, *history) == verdict_on(reference, dearer, *reversed(history))


def test_a_clock_never_alarms_but_is_named(reference: Reference) -> None:
    history = (report(2, "watch"), report(1, "drifted"))
    verdict = verdict_on(reference, lambda frame: frame.with_columns(pl.col("tenure") + 25), *history)
    assert (verdict.verdict, verdict.triage, verdict.first_moved) == ("stable", "clock", None)
    assert verdict.reason.startswith("tenure (PSI ")


def test_a_clock_far_outside_its_range_is_still_a_clock(reference: Reference) -> None:
    assert verdict_on(reference, lambda frame: frame.with_columns(pl.col("tenure") + 1000)).triage == "clock"


def test_a_score_that_moves_with_a_clock_alone_is_put_down_to_the_clock(reference: Reference) -> None:
    aged = customers(5000, seed=2).with_columns(pl.col("tenure") + 25)
    verdict = judge(measured(reference, aged, moved_score=True), (), SHOP.drift)
    assert (verdict.verdict, verdict.triage) == ("stable", "clock")
    assert "the score (PSI " in verdict.reason


def test_a_score_that_moves_alone_counts_as_moved(reference: Reference) -> None:
    verdict = judge(measured(reference, customers(5000, seed=2), moved_score=True), (), SHOP.drift)
    assert (verdict.verdict, verdict.triage) == ("watch", "inputs_moved")
    assert verdict.reason.startswith("the score (PSI ")


def test_an_input_that_moves_beside_a_clock_counts_as_moved(reference: Reference) -> None:
    verdict = verdict_on(reference, lambda frame: dearer(frame).with_columns(pl.col("tenure") + 25))
    assert verdict.triage == "inputs_moved"


BROKEN: dict[str, tuple[Change, str]] = {
    "a null column": (
        lambda frame: frame.with_columns(visits=pl.lit(None, pl.Float64)),
        "visits is missing in 100% of the rows (0% in the reference)",
    ),
    "a null clock": (
        lambda frame: frame.with_columns(tenure=pl.lit(None, pl.Float64)),
        "tenure is missing in 100%",
    ),
    "a column with holes": (
        lambda frame: frame.with_columns(
            plan=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("plan"))
        ),
        "plan is missing in 33%",
    ),
    "a constant number": (
        lambda frame: frame.with_columns(visits=pl.lit(0.0)),
        "visits has the one value 0.0 in every row",
    ),
    "a constant category": (
        lambda frame: frame.with_columns(plan=pl.lit("basic")),
        "plan has the one value basic in every row (3 values in the reference)",
    ),
    "cents for euros": (
        lambda frame: frame.with_columns(pl.col("price") * 100),
        "price looks multiplied by 100, as in other units",
    ),
    "thousands": (
        lambda frame: frame.with_columns(pl.col("usage") / 1000),
        "usage looks divided by 1,000, as in other units",
    ),
    "years for months": (
        lambda frame: frame.with_columns(pl.col("price") / 12),
        "price looks divided by 12",
    ),
    "cents and dearer": (
        lambda frame: frame.with_columns(pl.col("price") * 130),
        "price lies from ",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_is_told_from_drift_and_never_counts_as_moved(reference: Reference, case: str) -> None:
    change, reason = BROKEN[case]
    verdict = verdict_on(reference, change, report(2, "watch"), report(1, "drifted"))
    assert (verdict.verdict, verdict.triage, verdict.first_moved) == ("broken", "broken_data", None)
    assert verdict.reason.startswith(reason)


HONEST: dict[str, Change] = {
    "doubled usage": lambda frame: frame.with_columns(pl.col("usage") * 2),
    "usage times five": lambda frame: frame.with_columns(pl.col("usage") * 5),
    "halved price": lambda frame: frame.with_columns(pl.col("price") / 2),
    "a plan that is gone": lambda frame: frame.with_columns(pl.col("plan").replace("pro", "plus")),
    "a new plan": lambda frame: frame.with_columns(pl.col("plan").replace("pro", "max")),
    "fewer visits": fewer_visits,
    "a tenth who use it ten times": lambda frame: frame.with_columns(
        usage=pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.col("usage") * 10).otherwise(pl.col("usage"))
    ),
    "a fifth more missing": lambda frame: frame.with_columns(
        visits=pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise(pl.col("visits"))
    ),
}


@pytest.mark.parametrize("case", HONEST)
def test_a_change_of_customers_is_moved_inputs_and_never_called_broken(reference: Reference, case: str) -> None:
    assert verdict_on(reference, HONEST[case]).triage == "inputs_moved"


def test_a_rare_flag_that_a_batch_lacks_is_no_constant_column() -> None:
    frame = customers(20_000, seed=1).with_columns(autopay=pl.int_range(pl.len()) % 500 == 0)
    rare = fit_reference(frame, score(frame), SHOP)
    verdict = judge(measured(rare, customers(500, 2).with_columns(autopay=False)), (), SHOP.drift)
    assert verdict.verdict == "stable"


def test_new_categories_are_named(reference: Reference) -> None:
    frame = customers(5000, seed=2).with_columns(pl.col("plan").replace({"pro": "max", "plus": "duo"}))
    assert of(measured(reference, frame), "plan").new_categories == ("duo", "max")


def test_missing_shares_are_measured_on_both_sides(reference: Reference) -> None:
    usage = of(measured(reference, customers(5000, seed=2)), "usage")
    assert usage.missing_reference == pytest.approx(0.029, abs=0.005)
    assert usage.missing_current == pytest.approx(0.029, abs=0.01)


def test_a_small_batch_is_measured_but_never_judged(reference: Reference) -> None:
    measurement = measured(reference, dearer(customers(499, seed=2)))
    verdict = judge(measurement, (report(1, "drifted"),), SHOP.drift)
    assert of(measurement, "price").is_drifted
    assert (verdict.verdict, verdict.triage) == ("stable", "none")
    assert verdict.reason == "499 rows are too few to judge (at least 500)"


def test_a_batch_without_rows_or_of_another_spec_is_an_error(reference: Reference) -> None:
    frame = customers(10, seed=2)
    with pytest.raises(ValueError, match="without rows"):
        measured(reference, frame.clear())
    other = SHOP.model_copy(update={"features": {**SHOP.features, "extra": SHOP.features["price"]}})
    with pytest.raises(ValueError, match="'extra'"):
        measure(reference, frame.with_columns(extra=pl.lit(1.0)), score(frame), other)


def test_a_measurement_survives_json(reference: Reference) -> None:
    measurement = measured(reference, dearer(customers(1000, seed=2)))
    assert DriftMeasurement.model_validate_json(measurement.model_dump_json()) == measurement
    assert measurement.headline["columns_moved"] == 1
    assert measurement.headline["max_psi"] == of(measurement, "price").psi


def shifted_bins(psi: float) -> float:
    """Move this share of the rows from the lower half to the upper: PSI = s ln((1/2 + s) / (1/2 - s))."""
    shares = np.linspace(0.001, 0.499, 5000)
    index = shares * np.log((0.5 + shares) / (0.5 - shares))
    return float(np.interp(psi, index, shares))


@pytest.mark.parametrize("rows", [500, 5000])
def test_a_shift_of_psi_0_3_is_caught_and_one_of_0_1_is_not(rows: int) -> None:
    spec = Spec.model_validate({"name": "s", "columns": {"id": "i"}, "features": {"x": {"type": "number"}}})
    before = np.random.default_rng(1).random(20_000)

    def frame(values: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame({"as_of": [MONDAY] * values.size, "x": values})

    reference = fit_reference(frame(before), pl.Series(np.full(before.size, 0.5)), spec)
    caught = {}
    for psi in (0.1, 0.3):
        hits = 0
        for seed in range(40):
            generator = np.random.default_rng(seed)
            upper = generator.random(rows) < 0.5 + shifted_bins(psi)
            values = generator.random(rows) / 2 + np.where(upper, 0.5, 0)
            measurement = measure(reference, frame(values), pl.Series(np.full(rows, 0.5)), spec)
            hits += measurement.features[0].is_drifted
        caught[psi] = hits
    assert caught[0.1] == 0
    assert caught[0.3] >= (30 if rows == 500 else 40)


@pytest.mark.parametrize(("rows", "batches"), [(5000, 60), (500, 200)])
def test_without_drift_no_column_ever_moves(rows: int, batches: int) -> None:
    kinds = ["number"] * 9 + ["category"] * 4 + ["boolean"] * 2
    described = {f"x{place}": {"type": kind} for place, kind in enumerate(kinds)}
    spec = Spec.model_validate({"name": "s", "columns": {"id": "i"}, "features": described})

    def drawn(size: int, seed: int) -> pl.DataFrame:
        generator = np.random.default_rng(seed)
        columns: dict[str, object] = {"as_of": [MONDAY] * size}
        for place, kind in enumerate(kinds):
            if kind == "number":
                columns[f"x{place}"] = generator.standard_t(3, size)
            elif kind == "boolean":
                columns[f"x{place}"] = generator.random(size) < 0.02
            else:
                columns[f"x{place}"] = (generator.zipf(1.4, size) % 80).astype(str)
        return pl.DataFrame(columns)

    def chance(size: int, seed: int) -> pl.Series:
        return pl.Series(np.random.default_rng(seed).beta(1, 9, size))

    reference = fit_reference(drawn(rows, 0), chance(rows, 0), spec)
    moved = [
        feature.name
        for seed in range(1, batches + 1)
        for feature in measure(reference, drawn(rows, seed), chance(rows, seed), spec).features
        if feature.is_drifted or feature.fault
    ]
    assert moved == []


def test_the_policy_says_how_many_batches_are_an_alarm(reference: Reference) -> None:
    measurement = measured(reference, dearer(customers(5000, seed=2)))
    at_once = DriftPolicy(persistence=1, window=1)
    assert judge(measurement, (), at_once).verdict == "drifted"
    patient = DriftPolicy(persistence=3, window=3)
    assert judge(measurement, (report(1, "watch"),), patient).verdict == "watch"
    assert judge(measurement, (report(2, "watch"), report(1, "watch")), patient).verdict == "drifted"
