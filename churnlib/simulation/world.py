"""A weekly-box subscription that is played week by week, and whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.simulation.changes import Change, make_change
from churnlib.simulation.delivery import batch_frame, monday, truth_frame
from churnlib.simulation.population import Flags, Population, live_a_week, newcomers, with_replacements
from churnlib.simulation.rules import Rules
from churnlib.simulation.truth import log_odds

BURN_IN_WEEKS = 70
"""Weeks played before week 0, so that its customers are what the rules keep producing."""


@dataclass(frozen=True)
class Week:
    """One Monday of the business.

    Attributes:
        as_of: the Monday.
        batch: one row per customer, as delivered: `customer_id`, `as_of`, then the demo spec's columns.
        truth: one row per customer in the same order: `customer_id`, `as_of`, `churned`, `known_at`.
        log_odds: of leaving, as the truth has them; the best possible ranking.
    """

    as_of: date
    batch: pl.DataFrame
    truth: pl.DataFrame
    log_odds: pl.Series


class World:
    """The business. The same arguments give the same weeks, in whatever order they are asked for.

    Playing forward costs a few hundredths of a second a week; going back plays from the start.
    """

    def __init__(
        self,
        seed: int,
        customers: int = 20_000,
        *,
        first_monday: date = date(2025, 9, 1),
        change: Change | None = None,
    ) -> None:
        """Open the business, 70 weeks before week 0; nothing is played yet.

        Args:
            seed: of every draw.
            customers: in every snapshot.
            first_monday: `as_of` of week 0.
            change: what happens to the business, and when; nothing by default.

        Raises:
            ChurnError: fewer than one customer, a negative seed, or a first day that is no Monday.
        """
        if customers < 1:
            raise ChurnError(f"A world of {customers} customers is empty.", hint="Ask for at least one.")
        if seed < 0:
            raise ChurnError(f"{seed} cannot be a seed.", hint="Seeds are 0 or above.")
        if first_monday.weekday() != 0:
            raise ChurnError(f"{first_monday} is no Monday.", hint="Snapshots are taken on Mondays.")
        self._seed = seed
        self._customers = customers
        self._first_monday = first_monday
        self._change = change or make_change()
        self._number, self._joined = -BURN_IN_WEEKS, customers
        self._people = self._opening()

    def week(self, number: int) -> Week:
        """Return week `number`, counted from 0.

        Raises:
            ChurnError: the number is negative.
        """
        if number < 0:
            raise ChurnError(f"There is no week {number}.", hint="Weeks are counted from 0.")
        if number < self._number:
            self._number, self._joined, self._people = -BURN_IN_WEEKS, self._customers, self._opening()
        while self._number < number:
            self._number += 1
            self._people = self._next(self._people, self._number)
        return self._described()

    def _opening(self) -> Population:
        rng = self._rng(-BURN_IN_WEEKS, "opening")
        people = newcomers(self._customers, 0, rng)
        # a business that opened on one day would keep a bulge of that day's customers for years
        return replace(people, tenure_days=people.tenure_days + 7 * rng.integers(0, 60, self._customers))

    def _rules(self, week: int) -> Rules:
        return self._change.rules(Rules(), week)

    def _rng(self, week: int, purpose: str) -> np.random.Generator:
        # each week and purpose has its own stream, so that describing a week draws nothing from playing on
        return np.random.default_rng([self._seed, week + 10_000, *purpose.encode()])

    def _leaves(self, people: Population, week: int) -> Flags:
        rng = self._rng(week, "leaving")
        rules = self._rules(week)
        odds = log_odds(people, rules) + rng.normal(0, rules.hazard.noise, len(people))
        leaves: Flags = rng.random(len(people)) < 1 / (1 + np.exp(-odds))
        return leaves

    def _next(self, people: Population, week: int) -> Population:
        leaves = self._leaves(people, week - 1)
        lived = live_a_week(people, self._rules(week), self._rng(week, "living"))
        first = self._joined
        self._joined += int(leaves.sum())
        return with_replacements(lived, leaves, self._rng(week, "joining"), first)

    def _described(self) -> Week:
        people, rules = self._people, self._rules(self._number)
        as_of = monday(self._first_monday, self._number)
        leaves = self._leaves(people, self._number)
        return Week(
            as_of=as_of,
            batch=batch_frame(people, rules, as_of),
            truth=truth_frame(people, leaves, as_of, self._rng(self._number, "knowing")),
            log_odds=pl.Series("log_odds", log_odds(people, rules)),
        )
