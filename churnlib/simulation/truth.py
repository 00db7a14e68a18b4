"""Who leaves: the log-odds that the simulated business really works by."""

from __future__ import annotations

import numpy as np

from churnlib.simulation.population import Floats, Population
from churnlib.simulation.rules import BUDGET, INVOICE, LEVELS, PREMIUM, Rules

_USUAL_PRICE, _USUAL_SKIPS = 55.0, 2.0
_FRESH_DAYS, _YEAR_DAYS = 45.0, 365.0


def weekly_price(people: Population, rules: Rules) -> Floats:
    """Euros that a box costs each customer this week, discount taken off, to the cent."""
    levels = np.array(LEVELS) * np.array(rules.price_factors)
    listed = levels[people.plan] * (1 + 0.17 * (people.meals - 3))
    price: Floats = np.round(listed * (1 - people.discount), 2)
    return price


def log_odds(people: Population, rules: Rules) -> Floats:
    """Log-odds of leaving within the week, without the noise; nobody can rank better than this."""
    hazard = rules.hazard
    manual = ~people.auto_renew
    skips = people.skips - _USUAL_SKIPS
    late = people.late.sum(axis=1)
    sessions = np.log1p(people.sessions.sum(axis=1)) - np.log1p(10.0)
    odds = (
        hazard.base
        + hazard.skip * skips
        + late * (hazard.late + hazard.late_premium * (people.plan == PREMIUM))
        + hazard.call * people.calls.sum(axis=1)
        + hazard.sessions * sessions
        + hazard.satisfaction * (people.satisfaction - 4.0)
        + manual * (hazard.manual_renewal + hazard.manual_skip * skips)
        + hazard.pause * (people.weeks_idle >= 3)
        + np.array(hazard.channel)[people.channel]
        + hazard.invoice * (people.payment == INVOICE)
    )
    total: Floats = odds + _tenure_terms(people, rules) + _price_terms(people, rules)
    return total


def _tenure_terms(people: Population, rules: Rules) -> Floats:
    hazard = rules.hazard
    years = np.minimum(people.tenure_days / _YEAR_DAYS, 1.5)
    loyalty = years * (hazard.loyal + hazard.loyal_budget * (people.plan == BUDGET))
    terms: Floats = hazard.fresh * np.exp(-people.tenure_days / _FRESH_DAYS) + loyalty
    return terms


def _price_terms(people: Population, rules: Rules) -> Floats:
    hazard = rules.hazard
    discount = people.discount_share
    pays_in_full = discount < 0.05
    terms: Floats = (
        hazard.price * np.log(weekly_price(people, rules) / _USUAL_PRICE)
        + hazard.discount * 10 * discount
        + hazard.household_price * (people.household - 2) * pays_in_full
    )
    return terms
