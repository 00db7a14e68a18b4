"""Drift: measure a batch against the champion's reference, and judge what that means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from churnlib.monitoring.measurement import DriftMeasurement, FeatureDrift, measure
from churnlib.monitoring.wording import broken_reason, listed, moved_reason, stable_reason
from churnlib.records import Record, Report
from churnlib.spec import DriftPolicy

__all__ = ["DriftMeasurement", "DriftVerdict", "FeatureDrift", "Triage", "Verdict", "judge", "measure"]

Verdict = Literal["stable", "watch", "drifted", "broken"]
Triage = Literal["none", "inputs_moved", "clock", "broken_data"]


class DriftVerdict(Record):
    """What a measurement means.

    Attributes:
        verdict: `watch` moved now, `drifted` moved in enough of the last batches, `broken` is no drift.
        reason: one sentence for people.
        first_moved: `as_of` of the first batch of the present run of moved ones; None when none moved now.
    """

    verdict: Verdict
    triage: Triage
    reason: str
    first_moved: date | None = None


def judge(measurement: DriftMeasurement, history: Sequence[Report], policy: DriftPolicy) -> DriftVerdict:
    """Decide whether the batch moved, whether that lasts, and whether its data is broken. Pure.

    A score that moved while clocks did, and no other column, is put down to the clocks.

    Args:
        measurement: of the batch, with the spec's policy.
        history: earlier drift reports of the same version, oldest first. Reports that are not earlier
            are passed over, and the last one counts where a date was delivered twice.
        policy: sets how many rows are enough and how long a movement has to last.
    """
    if measurement.rows < policy.min_rows:
        few = f"{measurement.rows} rows are too few to judge (at least {policy.min_rows})"
        return DriftVerdict(verdict="stable", triage="none", reason=few)
    broken = [feature for feature in measurement.features if feature.fault is not None]
    if broken:
        return DriftVerdict(verdict="broken", triage="broken_data", reason=broken_reason(broken))
    moved = [feature for feature in measurement.features if feature.is_drifted and not feature.is_clock]
    clocks = [feature for feature in measurement.features if feature.is_drifted and feature.is_clock]
    if clocks and all(feature.kind == "score" for feature in moved):
        ageing = f"{listed(clocks + moved, policy)} moved only as time passes"
        return DriftVerdict(verdict="stable", triage="clock", reason=ageing)
    if not moved:
        return DriftVerdict(verdict="stable", triage="none", reason=stable_reason(measurement))
    return _moved_verdict(measurement, moved, _past(measurement, history), policy)


def _past(measurement: DriftMeasurement, history: Sequence[Report]) -> dict[date, bool]:
    """Whether each earlier batch moved, oldest first."""
    moved = {
        report.as_of: report.verdict in ("watch", "drifted") and report.triage == "inputs_moved"
        for report in history
        if report.as_of < measurement.as_of
    }
    return dict(sorted(moved.items()))


def _moved_verdict(
    measurement: DriftMeasurement, moved: list[FeatureDrift], past: dict[date, bool], policy: DriftPolicy
) -> DriftVerdict:
    recent = [*past.values(), True][-policy.window :]
    verdict: Verdict = "drifted" if sum(recent) >= policy.persistence else "watch"
    return DriftVerdict(
        verdict=verdict,
        triage="inputs_moved",
        reason=moved_reason(measurement, moved, recent, policy),
        first_moved=_first_moved(past, measurement.as_of, policy),
    )


def _first_moved(past: dict[date, bool], this: date, policy: DriftPolicy) -> date:
    """Go back over moved batches; as many quiet ones in between as an alarm survives do not end the run."""
    first, quiet = this, 0
    for as_of, was_moved in reversed(past.items()):
        quiet = 0 if was_moved else quiet + 1
        if quiet > policy.window - policy.persistence:
            break
        first = as_of if was_moved else first
    return first
