"""The first model of a slice takes its customers over from the base model, which must not rank them better."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from churnlib.governance.gates import MIN_POSITIVES, MIN_ROWS, GateResult
from churnlib.modelling.intervals import Interval, paired_auc_difference
from churnlib.modelling.release import Release
from churnlib.modelling.scoring import probabilities
from churnlib.modelling.training import Trained
from churnlib.ports import CHAMPION
from churnlib.spec import AS_OF, LABEL, Spec
from churnlib.usecases.services import Services


def first_of_slice(services: Services, trained: Trained, version: int) -> GateResult:
    """Whether the slice's first version may take over.

    It may unless the base model's champion ranks the slice's customers better by more than noise, on test rows
    that neither of them learned from. Where there is no such champion, or too few such rows, it may.
    """
    spec = trained.spec
    base = services.registry.by_alias(spec.family, CHAMPION)
    if base is None:
        return GateResult(passed=True, reasons=("there is no base model to compare with",))
    release = services.release(spec.family, base.version)
    rows = _unseen(trained, release)
    churned = rows.get_column(LABEL)
    if rows.height < MIN_ROWS or min(int(churned.sum()), int((~churned).sum())) < MIN_POSITIVES:
        return GateResult(passed=True, reasons=(f"{rows.height:,} rows that nobody learned from decide nothing",))
    ours = probabilities(services.release(spec.name, version), rows).to_numpy()
    found = paired_auc_difference(
        churned.to_numpy(),
        ours,
        probabilities(release, rows).to_numpy(),
        rounds=spec.promotion.bootstrap_rounds,
        seed=spec.training.seed,
        confidence=spec.promotion.confidence,
    )
    return _judged(found, spec, base.version, rows.height)


def _judged(found: Interval, spec: Spec, base: int, rows: int) -> GateResult:
    span = f"AUC {found.estimate:+.3f}, {found.low:+.3f} to {found.high:+.3f} on {rows:,} of the slice's customers"
    if found.high < 0:
        return GateResult(passed=False, reasons=(f"the base model v{base} ranks them better: {span}",))
    return GateResult(passed=True, reasons=(f"the base model v{base} does not rank them better: {span}",))


def _unseen(trained: Trained, base: Release) -> pl.DataFrame:
    """Test rows later than what the base model learned from, by the horizon.

    Data without time is divided by a hash of the id with the same seed, so that the customers of this test are
    those of the base model's own test.
    """
    rows = trained.split.test
    absent = [name for name in base.spec.delivered if name not in rows.columns]
    if absent:
        return rows.clear()
    if trained.split.kind != "time" or base.cutoff is None:
        return rows
    first: date = base.cutoff + timedelta(days=trained.spec.horizon_days)
    return rows.filter(pl.col(AS_OF) >= first)
