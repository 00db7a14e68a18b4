"""What features learn from training rows, and nothing else: the order of categories."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from pydantic import BaseModel, ConfigDict

from churnlib.features.expressions import derive
from churnlib.spec import LABEL, Spec


class FittedState(BaseModel):
    """Travels in the release, so that scoring uses the codes that training used.

    Attributes:
        codes: categories by feature, from the lowest smoothed churn rate to the highest; a
            category's code is its place. Null is no category.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: Mapping[str, tuple[str, ...]] = {}


def fit_state(frame: pl.DataFrame, spec: Spec) -> FittedState:
    """Order the categories of every category feature by their churn rate in the given rows.

    Ordered codes let a numeric split find the best partition into two groups (Fisher 1958; Breiman
    et al. 1984, section 4.2.2). The rate is smoothed towards the rate of all rows by
    `training.category_smoothing` rows of prior weight, so that rare categories stand in the middle;
    equal rates are ordered by name.

    Args:
        frame: labelled rows to learn from: training rows only, never those of a test.
        spec: its category features, delivered and derived, are fitted.
    """
    names = [name for name, feature in spec.model_features.items() if feature.type == "category"]
    if not names:
        return FittedState()
    rows = derive(frame.lazy(), spec).select(*names, LABEL).collect()
    prior = float(rows.get_column(LABEL).sum()) / max(rows.height, 1)
    weight = spec.training.category_smoothing
    return FittedState(codes={name: _ordered(rows, name, prior, weight) for name in names})


def _ordered(rows: pl.DataFrame, name: str, prior: float, weight: float) -> tuple[str, ...]:
    rate = (pl.col(LABEL).sum() + weight * prior) / (pl.len() + weight)
    ordered = (
        rows.drop_nulls(name)
        .group_by(pl.col(name).alias("category"))
        .agg(rate.alias("rate"))
        .sort("rate", "category")
    )
    return tuple(ordered.get_column("category").to_list())
