"""Drift in words, for people."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.monitoring.measurement import DriftMeasurement, FeatureDrift
from churnlib.spec import DriftPolicy

NAMED = 3
"""Columns that a reason names; the others are counted."""


def listed(features: Sequence[FeatureDrift], policy: DriftPolicy) -> str:
    """Features by how far they moved, with the measure that says so."""
    ranked = sorted(features, key=lambda one: -one.psi)
    texts = [_called(one) + _measured(one, policy) for one in ranked[:NAMED]]
    if len(ranked) > NAMED:
        texts.append(f"{len(ranked) - NAMED} more")
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _called(feature: FeatureDrift) -> str:
    return "the score" if feature.kind == "score" else feature.name


def _measured(feature: FeatureDrift, policy: DriftPolicy) -> str:
    enough = feature.psi >= policy.psi + feature.noise
    return f" (PSI {feature.psi:.2f})" if enough else f" (JS {feature.js:.2f})"


def broken_reason(broken: Sequence[FeatureDrift]) -> str:
    """Name the columns that look wrongly delivered, and why."""
    more = f"; {len(broken) - NAMED} more columns look broken" if len(broken) > NAMED else ""
    return "; ".join(f"{_called(one)} {one.fault}" for one in broken[:NAMED]) + more


def stable_reason(measurement: DriftMeasurement) -> str:
    """Say how far the column went that went farthest."""
    most = max(measurement.features, key=lambda one: one.psi)
    return f"no column moved; the most was {_called(most)} (PSI {most.psi:.2f})"


def moved_reason(
    measurement: DriftMeasurement, moved: Sequence[FeatureDrift], recent: Sequence[bool], policy: DriftPolicy
) -> str:
    """Name what moved, and say in how many of the `recent` batches, this one last, something did."""
    alarm = f"{policy.persistence} of {policy.window} are an alarm"
    often = f"; {sum(recent)} of the last {len(recent)} batches moved"
    if len(recent) == 1:
        often = ", the first to be judged"
    if sum(recent) < policy.persistence:
        often += f" ({alarm})"
    still = [one for one in measurement.features if not one.is_drifted and one.kind != "score"]
    others = "1 other column" if len(still) == 1 else f"{len(still)} other columns"
    return f"{listed(moved, policy)} moved in this batch{often}; {others} did not"
