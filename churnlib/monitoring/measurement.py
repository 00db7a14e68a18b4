"""One batch, column by column, against the reference of the version that scored it."""

from __future__ import annotations

from datetime import date
from typing import Literal

import polars as pl

from churnlib.monitoring.divergences import js, js_threshold, merge_sparse, psi, psi_noise
from churnlib.monitoring.faults import missing_fault, shape_fault
from churnlib.monitoring.profile import SCORE, Profile, Reference, model_columns
from churnlib.records import Record
from churnlib.spec import AS_OF, DriftPolicy, Spec


class FeatureDrift(Record):
    """How one column, or the score, lies against the reference.

    Attributes:
        kind: `score` for the champion's probability.
        psi: population stability index; missing values are a bin of their own.
        js: Jensen-Shannon distance, base 2, 0 to 1.
        noise: PSI to expect from sampling alone with so many rows and bins.
        missing_reference: share of the rows without a value.
        missing_current: as `missing_reference`, in the batch.
        new_categories: values that the reference never had.
        is_drifted: PSI or JS reached the policy's limit and what sampling adds to it.
        is_clock: ages by itself, and so never raises an alarm.
        fault: why the column looks wrongly delivered, as the end of a sentence.
    """

    name: str
    kind: Literal["number", "category", "boolean", "score"]
    psi: float
    js: float
    noise: float
    missing_reference: float
    missing_current: float
    new_categories: tuple[str, ...] = ()
    is_drifted: bool
    is_clock: bool = False
    fault: str | None = None


class DriftMeasurement(Record):
    """One batch against the reference: the model's features in the spec's order, then the score."""

    as_of: date
    rows: int
    reference_rows: int
    features: tuple[FeatureDrift, ...]

    @property
    def headline(self) -> dict[str, float | None]:
        """The numbers that stand in a report; columns are the features, without the score."""
        columns = [feature for feature in self.features if feature.kind != "score"]
        score = next(feature for feature in self.features if feature.kind == "score")
        return {
            "rows": float(self.rows),
            "columns_moved": float(sum(one.is_drifted and not one.is_clock for one in columns)),
            "max_psi": max(one.psi for one in columns),
            "max_js": max(one.js for one in columns),
            "score_psi": score.psi,
            "score_js": score.js,
        }


def measure(reference: Reference, accepted: pl.DataFrame, probability: pl.Series, spec: Spec) -> DriftMeasurement:
    """Compare every model feature and the score with the reference, over all rows.

    Args:
        reference: of the version that scored the batch.
        accepted: an accepted frame of one batch.
        probability: that version's calibrated probability, in the frame's order.
        spec: of that version; its drift policy sets what counts as moved.

    Raises:
        ValueError: the batch has no rows, not one probability a row, or the reference lacks a feature.
    """
    columns = model_columns(accepted, probability, spec)
    if accepted.is_empty():
        raise ValueError("drift of a batch without rows")
    absent = set(spec.model_features).difference(reference.features)
    if absent:
        raise ValueError(f"the reference has no profile of {sorted(absent)}: it belongs to another spec")
    features = [
        _compare(name, reference.features[name], columns[name], spec.drift, is_clock=feature.clock)
        for name, feature in spec.model_features.items()
    ]
    score = _compare(SCORE, reference.score, probability, spec.drift, is_score=True)
    return DriftMeasurement(
        as_of=_latest(accepted),
        rows=accepted.height,
        reference_rows=reference.rows,
        features=(*features, score),
    )


def _latest(accepted: pl.DataFrame) -> date:
    latest = accepted[AS_OF].max()
    assert isinstance(latest, date)  # never null in an accepted frame
    return latest


def _compare(
    name: str,
    profile: Profile,
    column: pl.Series,
    policy: DriftPolicy,
    *,
    is_clock: bool = False,
    is_score: bool = False,
) -> FeatureDrift:
    counts = profile.count(column)
    before, now = merge_sparse(profile.array, counts)
    index, distance, noise = psi(before, now), js(before, now), psi_noise(before, now)
    is_drifted = index >= policy.psi + noise or distance >= js_threshold(policy.js, noise)
    missing = float(counts[-1] / counts.sum())
    fault = missing_fault(profile.missing, missing, policy)
    # a clock may leave every range it was in, and the scale of a score is ours
    if fault is None and is_drifted and missing < 1 and not is_clock and not is_score:
        fault = shape_fault(profile, column, policy)
    return FeatureDrift(
        name=name,
        kind="score" if is_score else profile.kind,
        psi=index,
        js=distance,
        noise=noise,
        missing_reference=profile.missing,
        missing_current=missing,
        new_categories=profile.new_values(column),
        is_drifted=is_drifted,
        is_clock=is_clock,
        fault=fault,
    )
