"""How the simulated business works at one moment: what it charges, and what makes a customer leave."""

from __future__ import annotations

from dataclasses import dataclass, field

PLANS = ("budget", "classic", "family", "premium")
BUDGET, CLASSIC, FAMILY, PREMIUM = range(len(PLANS))
REGIONS = ("north", "south", "east", "west", "capital")
CHANNELS = ("search", "social", "referral", "partner", "tv")
SEARCH, SOCIAL, REFERRAL, PARTNER, TV = range(len(CHANNELS))
PAYMENTS = ("card", "direct_debit", "paypal", "invoice")
INVOICE = 3

LEVELS = (38.9, 52.9, 74.9, 92.9)
"""Euros a week for three meals, by plan, before any rise."""


@dataclass(frozen=True)
class Hazard:
    """Log-odds of leaving within the week: the truth that a model tries to find.

    Attributes:
        base: of a customer with nothing special about them.
        skip: for each week without a box among the last eight.
        late: for each late delivery in eight weeks.
        late_premium: on top, for customers of the premium plan.
        call: for each support call in 90 days.
        sessions: for each natural log of app use above ten sessions in four weeks.
        satisfaction: for each star of satisfaction above four, rated or not.
        manual_renewal: for customers who do not renew automatically.
        manual_skip: on top, for each skipped week of such a customer.
        fresh: for customers in their first days; fades with tenure.
        loyal: for a year of tenure; levels off after a year and a half.
        pause: for three weeks or more without an order.
        channel: by channel, in the order of `CHANNELS`.
        invoice: for customers who pay by invoice.
        price: for each natural log of the weekly price above 55 euros.
        loyal_budget: for a year of tenure on the budget plan, on top of `loyal`.
        discount: for each tenth of discount in the last eight weeks.
        household_price: for each person above two in a household that pays without a discount.
        noise: standard deviation of what nobody can know.
    """

    base: float = -3.75
    skip: float = 0.58
    late: float = 0.70
    late_premium: float = 0.35
    call: float = 0.60
    sessions: float = -0.75
    satisfaction: float = -0.70
    manual_renewal: float = 1.30
    manual_skip: float = 0.25
    fresh: float = 0.70
    loyal: float = -0.60
    pause: float = 0.60
    channel: tuple[float, ...] = (0.0, 0.35, -0.40, 0.40, 0.10)
    invoice: float = 0.40
    price: float = 0.10
    loyal_budget: float = 0.0
    discount: float = -0.03
    household_price: float = 0.0
    noise: float = 0.30


@dataclass(frozen=True)
class Rules:
    """The business in one week. A change of the world is a function from rules to rules.

    Attributes:
        price_factors: what the levels are multiplied by, by plan.
        late_share: of the boxes delivered.
        hazard: who leaves.
    """

    price_factors: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    late_share: float = 0.09
    hazard: Hazard = field(default_factory=Hazard)
