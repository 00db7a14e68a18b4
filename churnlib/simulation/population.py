"""The customers of the simulated business and how they live from one Monday to the next."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from churnlib.simulation.rules import BUDGET, CHANNELS, FAMILY, PARTNER, PLANS, REGIONS, Rules

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WEEKS_OF_BOXES, WEEKS_OF_CALLS, WEEKS_OF_SESSIONS = 8, 13, 4
INTRODUCTION_DAYS = 42

_PLAN_SHARES = (0.32, 0.34, 0.22, 0.12)
_REGION_SHARES = (0.17, 0.22, 0.16, 0.25, 0.20)
_CHANNEL_SHARES = (0.30, 0.24, 0.16, 0.16, 0.14)
_PAYMENT_SHARES = (0.40, 0.27, 0.23, 0.10)
_HOUSEHOLD_SHARES = (
    (0.42, 0.36, 0.12, 0.07, 0.03),
    (0.22, 0.43, 0.20, 0.11, 0.04),
    (0.00, 0.08, 0.32, 0.41, 0.19),
    (0.22, 0.43, 0.20, 0.11, 0.04),
)
"""Of one to five persons, by plan."""


@dataclass(frozen=True)
class Population:
    """One row per customer, aligned over all arrays; histories have a column a week, newest first.

    Attributes:
        number: what the customer id is made of; never used twice.
        plan: code into `PLANS`; `region`, `channel`, `payment` likewise.
        household: persons, 1 to 5; `has_told_household` says whether the business knows.
        meals: a week, 2 to 5; they scale the price.
        tenure_days: since joining; boxes come on the weekday of joining.
        engagement: latent appetite for the product, about standard normal.
        satisfaction: latent, in stars around four.
        coupon: a coupon is running.
        discount: share of the list price that is given away this week.
        boxes: history of boxes ordered; `late`, `calls`, `sessions` and `discounts` likewise.
        weeks_idle: whole weeks since the last order.
        stars: sum of the ratings given, faded by age; `ratings` their faded number.
    """

    number: Ints
    plan: Ints
    region: Ints
    channel: Ints
    payment: Ints
    household: Ints
    has_told_household: Flags
    has_app: Flags
    meals: Ints
    tenure_days: Ints
    engagement: Floats
    satisfaction: Floats
    auto_renew: Flags
    coupon: Flags
    discount: Floats
    boxes: Floats
    late: Floats
    calls: Floats
    sessions: Floats
    discounts: Floats
    weeks_idle: Ints
    stars: Floats
    ratings: Floats

    def __len__(self) -> int:
        return len(self.number)

    @property
    def weeks(self) -> Ints:
        """Weeks as a customer, at least one, at most the eight that the histories hold."""
        return np.minimum(self.tenure_days // 7 + 1, WEEKS_OF_BOXES)

    @property
    def skips(self) -> Ints:
        """Weeks as a customer, of the last eight, without a box."""
        skips: Ints = self.weeks - (self.boxes > 0).sum(axis=1)
        return skips

    @property
    def discount_share(self) -> Floats:
        """Mean discount over the last eight weeks (or since joining), 0 to 1."""
        mean: Floats = self.discounts.sum(axis=1) / self.weeks
        return mean


def newcomers(count: int, first_number: int, rng: np.random.Generator) -> Population:
    """Draw customers who joined within the last seven days and had their first box."""
    plan = rng.choice(len(PLANS), count, p=_PLAN_SHARES)
    smaller = rng.random(count)[:, None] > np.cumsum(_HOUSEHOLD_SHARES, axis=1)[plan, :-1]
    first_box = _first(count, WEEKS_OF_BOXES, np.ones(count))
    return Population(
        number=first_number + np.arange(count),
        plan=plan,
        region=rng.choice(len(REGIONS), count, p=_REGION_SHARES),
        channel=rng.choice(len(CHANNELS), count, p=_CHANNEL_SHARES),
        payment=rng.choice(len(_PAYMENT_SHARES), count, p=_PAYMENT_SHARES),
        household=1 + smaller.sum(axis=1),
        has_told_household=rng.random(count) < 0.92,
        has_app=rng.random(count) < 0.88,
        meals=2 + rng.binomial(3, np.where(plan == FAMILY, 0.55, 0.35)),
        tenure_days=rng.integers(0, 7, count),
        engagement=rng.normal(0.2, 1.0, count),
        satisfaction=rng.normal(4.0, 0.6, count),
        auto_renew=rng.random(count) < 0.85,
        coupon=np.zeros(count, dtype=bool),
        discount=np.full(count, 0.4),
        boxes=first_box,
        late=np.zeros_like(first_box),
        calls=np.zeros((count, WEEKS_OF_CALLS)),
        sessions=_first(count, WEEKS_OF_SESSIONS, rng.poisson(3.0, count).astype(float)),
        discounts=0.4 * first_box,
        weeks_idle=np.zeros(count, dtype=np.int64),
        stars=np.zeros(count),
        ratings=np.zeros(count),
    )


def live_a_week(people: Population, rules: Rules, rng: np.random.Generator) -> Population:
    """Return the same customers seven days later."""
    count = len(people)
    engagement = 0.12 * 0.2 + 0.88 * people.engagement + rng.normal(0, 0.475, count)
    coupon = np.where(people.coupon, rng.random(count) > 0.25, rng.random(count) < 0.05)
    tenure_days = people.tenure_days + 7
    discount = _discount(people, coupon, tenure_days)
    # an appetite for boxes, and more of it where they are cheap
    appetite = 1.25 + 0.95 * engagement + 1.0 * discount
    orders = rng.random(count) < 1 / (1 + np.exp(-appetite))
    boxes = orders * (1.0 + (rng.random(count) < np.where(people.plan == BUDGET, 0.05, 0.15)))
    late = (orders & (rng.random(count) < rules.late_share)).astype(float)
    satisfaction = 4.0 + 0.92 * (people.satisfaction - 4.0) - 0.35 * late + rng.normal(0.03, 0.22, count)
    rates = orders & (rng.random(count) < 0.12)
    given = np.clip(np.round(satisfaction + rng.normal(0, 0.5, count)), 1, 5)
    switched = rng.random(count) < np.where(people.auto_renew, 0.012, 0.05)
    calls = rng.poisson(np.exp(-3.1 + 1.5 * late - 0.5 * (satisfaction - 4.0)))
    sessions = rng.poisson(np.exp(0.9 + 0.55 * engagement))
    return replace(
        people,
        tenure_days=tenure_days,
        engagement=engagement,
        satisfaction=satisfaction,
        auto_renew=people.auto_renew ^ switched,
        coupon=coupon,
        discount=discount,
        boxes=_pushed(people.boxes, boxes),
        late=_pushed(people.late, late),
        calls=_pushed(people.calls, calls),
        sessions=_pushed(people.sessions, sessions),
        discounts=_pushed(people.discounts, discount),
        weeks_idle=np.where(orders, 0, people.weeks_idle + 1),
        stars=0.95 * people.stars + rates * given,
        ratings=0.95 * people.ratings + rates,
    )


def with_replacements(people: Population, leaves: Flags, rng: np.random.Generator, first: int) -> Population:
    """Return the population with a newcomer in the place of everyone who leaves; order is kept."""
    new = newcomers(int(leaves.sum()), first, rng)
    replaced: dict[str, Any] = {}
    for field in fields(people):
        values = getattr(people, field.name).copy()
        values[leaves] = getattr(new, field.name)
        replaced[field.name] = values
    return Population(**replaced)


def _discount(people: Population, coupon: Flags, tenure_days: Ints) -> Floats:
    introduction = np.where(tenure_days < INTRODUCTION_DAYS, np.where(tenure_days < 14, 0.4, 0.25), 0.0)
    running = np.where(coupon, 0.2, 0.0)
    partner = np.where(people.channel == PARTNER, 0.1, 0.0)
    greatest: Floats = np.maximum.reduce([introduction, running, partner])
    return greatest


def _first(count: int, weeks: int, newest: Floats) -> Floats:
    history = np.zeros((count, weeks))
    history[:, 0] = newest
    return history


def _pushed(history: Floats, newest: Floats | Ints) -> Floats:
    moved = np.empty_like(history)
    moved[:, 0] = newest
    moved[:, 1:] = history[:, :-1]
    return moved
