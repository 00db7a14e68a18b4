"""What the simulated business delivers every Monday: a batch, and later what became of its customers."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from churnlib.simulation.population import Flags, Floats, Ints, Population
from churnlib.simulation.rules import CHANNELS, PAYMENTS, PLANS, REGIONS, Rules
from churnlib.simulation.truth import weekly_price
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL

HORIZON_DAYS = 7
_MIN_RATINGS = 0.6


def batch_frame(people: Population, rules: Rules, as_of: date) -> pl.DataFrame:
    """Describe every customer at `as_of`; one row per customer, columns and order as in the demo's spec.

    Null are: `household_size` where the customer never told, `app_sessions_30d` without the app,
    `rating_mean` where there is no recent rating.
    """
    price = weekly_price(people, rules)
    ordered_share = 1 - people.skips / people.weeks
    described: dict[str, pl.Series | np.ndarray] = {
        ID: _ids(people),
        AS_OF: _dated(people, as_of),
        "plan": _names(people.plan, PLANS),
        "region": _names(people.region, REGIONS),
        "channel": _names(people.channel, CHANNELS),
        "payment_method": _names(people.payment, PAYMENTS),
        "weekly_price": price,
        "discount_share": people.discount_share.round(3),
        "boxes_last_8w": people.boxes.sum(axis=1),
        "skips_8w": people.skips.astype(float),
        "days_since_last_order": 7.0 * people.weeks_idle + people.tenure_days % 7,
        "late_deliveries_8w": people.late.sum(axis=1),
        "support_calls_90d": people.calls.sum(axis=1),
        "app_sessions_30d": _where(people.has_app, people.sessions.sum(axis=1)),
        "rating_mean": _ratings(people),
        "household_size": _where(people.has_told_household, people.household.astype(float)),
        "auto_renew": people.auto_renew,
        "tenure_days": people.tenure_days.astype(float),
        "yearly_value": (52 * price * ordered_share).round(2),
    }
    return pl.DataFrame(described)


def truth_frame(people: Population, leaves: Flags, as_of: date, rng: np.random.Generator) -> pl.DataFrame:
    """Say what became of every customer: one row per customer, in the batch's order.

    `known_at` is the day of leaving, or the end of the horizon for those who stayed.
    """
    days = np.where(leaves, rng.integers(1, HORIZON_DAYS + 1, len(people)), HORIZON_DAYS)
    known_at = pl.Series(np.datetime64(as_of) + days.astype("timedelta64[D]")).cast(pl.Date)
    return pl.DataFrame({ID: _ids(people), AS_OF: _dated(people, as_of), LABEL: leaves, KNOWN_AT: known_at})


def monday(first: date, week: int) -> date:
    """Return the date of that week's snapshot."""
    return first + timedelta(days=7 * week)


def _ids(people: Population) -> pl.Series:
    return pl.select("C" + pl.lit(pl.Series(people.number)).cast(pl.String).str.zfill(7)).to_series()


def _dated(people: Population, as_of: date) -> pl.Series:
    return pl.Series([as_of]).new_from_index(0, len(people))


def _names(codes: Ints, names: tuple[str, ...]) -> pl.Series:
    return pl.Series(names).gather(codes)


def _where(known: Flags, values: Floats) -> pl.Series:
    return pl.Series(np.where(known, values, np.nan)).fill_nan(None)


def _ratings(people: Population) -> pl.Series:
    is_rated = people.ratings >= _MIN_RATINGS
    mean = people.stars / np.where(is_rated, people.ratings, 1.0)
    return _where(is_rated, mean.round(2))
