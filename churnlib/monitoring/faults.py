"""Signs that a column was delivered wrongly rather than that customers changed.

Each check claims a fault only on evidence that a change of customers does not leave: a false claim would
hold back a retraining that is needed.
"""

from __future__ import annotations

import polars as pl

from churnlib.monitoring.divergences import merge_sparse, psi, psi_noise
from churnlib.monitoring.profile import Numbers, Profile, finite, magnitude
from churnlib.spec import DriftPolicy

FACTORS = (10.0, 12.0, 24.0, 60.0, 100.0, 1000.0, 3600.0, 86400.0, 1_000_000.0)
"""Between usual units: millimetres, months, hours, minutes, cents, thousands, seconds, millions."""

FACTOR_TOLERANCE = 0.25
"""How far the typical size may lie from a factor; a sample of 500 rows scatters by about half of it."""

FIT = 0.25
"""A factor explains a column when, taken out, it leaves at most this share of the PSI that is an alarm."""

FAR_RATIO = 2.0
"""A range is foreign only when the typical size at least doubled or halved too."""


def missing_fault(before: float, now: float, policy: DriftPolicy) -> str | None:
    """Say that values went missing, in shares of the rows."""
    if now - before <= policy.max_new_missing:
        return None
    return f"is missing in {now:.0%} of the rows ({before:.0%} in the reference)"


def shape_fault(profile: Profile, column: pl.Series, policy: DriftPolicy) -> str | None:
    """Say that a column which moved is constant, in other units or of a foreign range.

    Args:
        profile: the column's reference.
        column: the batch's values, at least one of them not missing.
        policy: sets the PSI that is an alarm.
    """
    constant = _constant(profile, column)
    if constant or profile.kind != "number":
        return constant
    numbers = finite(column)
    return _other_units(profile, numbers, len(column), policy) or _foreign_range(profile, numbers)


def _constant(profile: Profile, column: pl.Series) -> str | None:
    present = column.drop_nulls()
    if profile.distinct < 2 or present.n_unique() != 1:
        return None
    return f"has the one value {present[0]} in every row ({profile.distinct} values in the reference)"


def _other_units(profile: Profile, numbers: Numbers, rows: int, policy: DriftPolicy) -> str | None:
    """A usual factor near the ratio of typical sizes, without which the distribution is the reference's."""
    ratio = _ratio(profile, numbers)
    if ratio is None:
        return None
    near = [factor for factor in (*FACTORS, *(1 / one for one in FACTORS)) if _near(ratio, factor)]
    fits = {factor: _psi_without(profile, numbers, rows, factor) for factor in near}
    best = min(fits, key=lambda factor: fits[factor], default=None)
    if best is None or fits[best] > FIT * policy.psi:
        return None
    change = f"multiplied by {best:,.0f}" if best > 1 else f"divided by {1 / best:,.0f}"
    return f"looks {change}, as in other units (undone, it lies as in the reference)"


def _psi_without(profile: Profile, numbers: Numbers, rows: int, factor: float) -> float:
    before, now = merge_sparse(profile.array, profile.count_numbers(numbers / factor, missing=rows))
    return psi(before, now) - psi_noise(before, now)


def _foreign_range(profile: Profile, numbers: Numbers) -> str | None:
    """All values further outside the reference's range than that range is wide, and of another size."""
    ratio = _ratio(profile, numbers)
    if ratio is None or profile.low is None or profile.high is None or profile.distinct < 2:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    gap = max(low - profile.high, profile.low - high)
    if gap <= profile.high - profile.low or 1 / FAR_RATIO < ratio < FAR_RATIO:
        return None
    span = f"{profile.low:g} to {profile.high:g}"
    return f"lies from {low:g} to {high:g}, far outside what the reference knew ({span})"


def _ratio(profile: Profile, numbers: Numbers) -> float | None:
    size = magnitude(numbers)
    return None if size is None or profile.magnitude is None else size / profile.magnitude


def _near(ratio: float, factor: float) -> bool:
    return 1 - FACTOR_TOLERANCE <= ratio / factor <= 1 + FACTOR_TOLERANCE
