"""What two versions would have scored on weeks whose truth is known: only a simulation can tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from churnlib.modelling.metrics import evaluate
from churnlib.modelling.scoring import score
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.services import Services


@dataclass(frozen=True)
class Hindsight:
    """One week, scored by both versions.

    Attributes:
        caught_old: leavers in the riskiest tenth as the old version ranks.
        caught_new: leavers in the riskiest tenth as the new version ranks.
    """

    as_of: date
    customers: int
    leavers: int
    auc_old: float
    auc_new: float
    caught_old: int
    caught_new: int


def compare_weeks(
    services: Services, model: str, *, old: int, new: int, truths: Iterable[pl.DataFrame]
) -> list[Hindsight]:
    """Score each week's kept snapshot with both versions, and hold it against its truth.

    Args:
        services: the ports.
        model: registered model name.
        old: the former champion.
        new: the present one.
        truths: one frame a week with customer_id, as_of and churned.
    """
    return [_week(services, model, old, new, truth) for truth in truths]


def _week(services: Services, model: str, old: int, new: int, truth: pl.DataFrame) -> Hindsight:
    as_of = truth.item(0, AS_OF)
    kept = services.snapshots.scan(model, since=as_of, until=as_of)
    assert kept is not None
    rows = kept.join(truth.lazy().select(ID, AS_OF, LABEL), on=[ID, AS_OF], how="inner").collect()
    metrics = [
        evaluate(scored.get_column(LABEL).to_numpy(), scored.get_column("probability").to_numpy())
        for version in (old, new)
        for scored in [_scored(services, model, version, rows)]
    ]
    before, after = metrics
    return Hindsight(
        as_of=as_of,
        customers=before.rows,
        leavers=before.positives,
        auc_old=before.auc,
        auc_new=after.auc,
        caught_old=round(before.recall_top_decile * before.positives),
        caught_new=round(after.recall_top_decile * after.positives),
    )


def _scored(services: Services, model: str, version: int, rows: pl.DataFrame) -> pl.DataFrame:
    release = services.release(model, version)
    scores = score(release, rows.drop(LABEL), reasons=False).frame.select(ID, "probability")
    return scores.join(rows.select(ID, LABEL), on=ID, how="inner")
