"""Champion and challenger measured on the same later rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.governance.evidence import CallList, Evidence, Slice, markdown, summary
from churnlib.modelling.intervals import Interval, bootstrap_interval, paired_auc_difference
from churnlib.modelling.metrics import auc, evaluate
from churnlib.spec import AS_OF, PromotionPolicy, Spec

__all__ = ["CallList", "Evidence", "Slice", "compare", "markdown", "summary"]

MAX_LEVELS = 12
"""A category with more values than this makes no slices."""

MIN_SLICE_CLASS = 30
"""Fewest churned, and fewest staying, customers of a slice that is judged."""

CALL_SHARE = 0.1
"""Share of each snapshot, from the highest risk down, that is on the call list."""

MISSING = "(missing)"
"""Value of the slice of rows without one."""


def compare(
    *,
    churned: np.ndarray,
    champion_probability: np.ndarray | None,
    challenger_probability: np.ndarray,
    rows: pl.DataFrame,
    spec: Spec,
    champion: int | None,
    challenger: int,
    cutoff: date | None,
) -> Evidence:
    """Measure both versions on the same rows.

    Args:
        churned: what became of the customers.
        champion_probability: of churn, aligned with `rows`; None when there is no champion.
        challenger_probability: as `champion_probability`.
        rows: an accepted frame that neither version was fitted on.
        spec: for the slices, the value column and the policy's intervals.
        champion: version of the champion; None when there is none.
        challenger: version of the challenger.
        cutoff: last `as_of` that the challenger was fitted on. None where rows were held out by
            customer because the data has no time.

    Raises:
        ChurnError: lengths differ, a champion has no scores, a probability is missing or outside 0..1,
            the challenger says the same for everyone, only one class is there, or the rows are not
            later than the cut-off by the horizon.
    """
    _check_versions(champion, champion_probability)
    outcome = np.asarray(churned, dtype=bool)
    ours = _checked(challenger_probability, rows, f"challenger v{challenger}")
    theirs = (
        None if champion_probability is None else _checked(champion_probability, rows, f"champion v{champion}")
    )
    _check_rows(outcome, ours, rows, challenger)
    _check_later(rows, cutoff, spec)
    dates = rows.get_column(AS_OF).unique().sort().to_list()
    policy, seed = spec.promotion, spec.training.seed
    rounds, confidence = policy.bootstrap_rounds, policy.confidence
    return Evidence(
        model=spec.name,
        champion=champion,
        challenger=challenger,
        rows=rows.height,
        positives=int(outcome.sum()),
        first_as_of=dates[0],
        last_as_of=dates[-1],
        cutoff=cutoff,
        champion_metrics=None if theirs is None else evaluate(outcome, theirs),
        challenger_metrics=evaluate(outcome, ours),
        challenger_auc=bootstrap_interval(outcome, ours, rounds=rounds, seed=seed, confidence=confidence),
        difference=_difference(outcome, theirs, ours, policy, seed),
        confidence=confidence,
        slices=_slices(outcome, theirs, ours, rows, spec),
        call_list=None if theirs is None else _call_list(outcome, theirs, ours, rows, spec),
    )


def _check_versions(champion: int | None, probability: np.ndarray | None) -> None:
    # without its scores a champion would pass for a missing one, which is far easier to beat
    if (champion is None) != (probability is None):
        what = "no scores" if probability is None else "scores but no version"
        raise ChurnError(f"The champion has {what}.", hint="Score the rows with the champion's release.")


def _checked(probability: np.ndarray, rows: pl.DataFrame, who: str) -> np.ndarray:
    values = np.asarray(probability, dtype=np.float64)
    if len(values) != rows.height:
        raise ChurnError(
            f"The {who} has {len(values)} scores for {rows.height} rows.",
            hint="Score the same rows with both.",
        )
    bad = int((~((values >= 0) & (values <= 1))).sum())
    if bad:
        raise ChurnError(
            f"{bad} of {len(values)} scores of the {who} are missing or no probability.",
            hint="Such a version cannot be judged; train it again.",
        )
    return values


def _check_rows(outcome: np.ndarray, ours: np.ndarray, rows: pl.DataFrame, challenger: int) -> None:
    if len(outcome) != rows.height:
        raise ChurnError(
            f"There are {len(outcome)} outcomes for {rows.height} rows.",
            hint="Join the outcomes to the rows.",
        )
    if rows.is_empty():
        raise ChurnError("There are no rows to compare on.", hint="Wait until later outcomes have matured.")
    if np.ptp(ours) == 0:
        raise ChurnError(
            f"The challenger v{challenger} gives all {len(ours)} customers the same score {ours[0]:.3f}.",
            hint="It learned nothing; look at its features and at the training rows.",
        )


def _check_later(rows: pl.DataFrame, cutoff: date | None, spec: Spec) -> None:
    if cutoff is None:
        return
    early = rows.filter((pl.col(AS_OF) - cutoff).dt.total_days() < spec.horizon_days).height
    if early:
        raise ChurnError(
            f"{early} of {rows.height} rows are not {spec.horizon_days} days after {cutoff}, the cut-off.",
            hint="A version is judged on later rows than it was fitted on, with the horizon between them.",
        )


def _difference(
    outcome: np.ndarray, theirs: np.ndarray | None, ours: np.ndarray, policy: PromotionPolicy, seed: int
) -> Interval | None:
    if theirs is None:
        return None
    return paired_auc_difference(
        outcome, ours, theirs, rounds=policy.bootstrap_rounds, seed=seed, confidence=policy.confidence
    )


def _slices(
    outcome: np.ndarray, theirs: np.ndarray | None, ours: np.ndarray, rows: pl.DataFrame, spec: Spec
) -> tuple[Slice, ...]:
    """One slice for each value with both classes, in the spec's order and then by value."""
    found = []
    for name, feature in spec.delivered.items():
        if feature.type != "category" or rows.get_column(name).n_unique() > MAX_LEVELS:
            continue
        values = rows.get_column(name).fill_null(MISSING)
        for value in sorted(values.unique().to_list()):
            at = (values == value).to_numpy()
            if 0 < outcome[at].sum() < at.sum():
                part = None if theirs is None else theirs[at]
                found.append(_slice(name, value, outcome[at], part, ours[at], spec))
    return tuple(found)


def _slice(
    feature: str, value: str, outcome: np.ndarray, theirs: np.ndarray | None, ours: np.ndarray, spec: Spec
) -> Slice:
    rows, positives = len(outcome), int(outcome.sum())
    is_judged = rows >= spec.promotion.min_slice_rows and min(positives, rows - positives) >= MIN_SLICE_CLASS
    return Slice(
        feature=feature,
        value=value,
        rows=rows,
        positives=positives,
        auc_champion=None if theirs is None else auc(outcome, theirs),
        auc_challenger=auc(outcome, ours),
        difference=_difference(outcome, theirs, ours, spec.promotion, spec.training.seed) if is_judged else None,
    )


def _call_list(
    outcome: np.ndarray, theirs: np.ndarray, ours: np.ndarray, rows: pl.DataFrame, spec: Spec
) -> CallList:
    value = spec.columns.value
    size = (pl.len().over(AS_OF) * CALL_SHARE).round().clip(1)
    listed = rows.select(
        AS_OF,
        pl.Series("churned", outcome),
        pl.Series("theirs", theirs),
        pl.Series("ours", ours),
        (pl.col(value) if value else pl.lit(None, pl.Float64)).fill_null(0.0).alias("value"),
    ).with_columns(
        pl.col("theirs", "ours").rank("ordinal", descending=True).over(AS_OF) <= size,
    )
    ours_caught, theirs_caught = (listed.filter(pl.col(who) & pl.col("churned")) for who in ("ours", "theirs"))
    return CallList(
        listed=int(listed.get_column("ours").sum()),
        entered=listed.filter(pl.col("ours") & ~pl.col("theirs")).height,
        churned_champion=theirs_caught.height,
        churned_challenger=ours_caught.height,
        value_champion=float(theirs_caught.get_column("value").sum()) if value else None,
        value_challenger=float(ours_caught.get_column("value").sum()) if value else None,
    )
