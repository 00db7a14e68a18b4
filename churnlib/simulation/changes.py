"""What can happen to the simulated business, and from which week on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from churnlib.errors import ChurnError
from churnlib.simulation.rules import Rules

Transform = Callable[[Rules], Rules]


@dataclass(frozen=True)
class Change:
    """One change of the world.

    Attributes:
        kind: its name.
        week: first week in which it holds; week 0 is the first that is delivered.
        transform: the rules from then on, made from the rules before.
    """

    kind: str
    week: int
    transform: Transform

    def rules(self, before: Rules, week: int) -> Rules:
        """Return the rules of that week."""
        return self.transform(before) if week >= self.week else before


def unchanged(rules: Rules) -> Rules:
    """Return the same rules: nothing ever happens."""
    return rules


def price_rise(rules: Rules) -> Rules:
    """Return the rules after prices rose by 18 to 25 % on every plan but premium.

    Who leaves changes with it. Loyal customers of the budget plan and large households that pay in
    full now go, customers with a discount stay, and trouble with boxes counts for less than before.
    """
    hazard = rules.hazard
    resented = replace(
        hazard,
        base=hazard.base + 0.50,
        skip=hazard.skip * 0.6,
        late=hazard.late * 0.6,
        late_premium=0.0,
        call=hazard.call * 0.7,
        fresh=0.0,
        loyal=0.20,
        price=0.80,
        loyal_budget=1.60,
        discount=-0.40,
        household_price=0.50,
    )
    return replace(rules, price_factors=(1.25, 1.22, 1.18, 1.0), hazard=resented)


CHANGES: tuple[tuple[str, Transform], ...] = (("none", unchanged), ("price_rise", price_rise))
"""Every kind of change by name."""


def make_change(kind: str = "none", week: int = 0) -> Change:
    """Return the change of that kind, in force from that week on.

    Raises:
        ChurnError: there is no such kind.
    """
    kinds = dict(CHANGES)
    if kind not in kinds:
        raise ChurnError(f"There is no world with the change {kind!r}.", hint=f"Known are {', '.join(kinds)}.")
    return Change(kind, week, kinds[kind])
