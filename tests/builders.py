"""Small specs, frames and models for every test. The same arguments give the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from churnlib.modelling.lineage import Lineage, rows_digest
from churnlib.modelling.training import Trained, train
from churnlib.spec import AS_OF, ID, LABEL, Spec, parse_spec

FIRST_AS_OF = date(2025, 1, 6)

PLANS = ("basic", "family", "premium", "student")

FEATURES: dict[str, dict[str, Any]] = {
    "tenure_months": {"type": "number", "min": 0},
    "monthly_charge": {"type": "number", "min": 0},
    "support_calls": {"type": "number"},
    "plan": {"type": "category"},
    "autopay": {"type": "boolean"},
    "signup_date": {"type": "date", "input_only": True},
    "charge_per_call": {"type": "number", "sql": "monthly_charge / support_calls"},
}


def spec(**changes: Any) -> Spec:
    """A spec of a small subscription business that trains in a blink; `changes` replace or merge its tables."""
    content: dict[str, Any] = {
        "name": "telly",
        "horizon_days": 28,
        "columns": {"id": "customer", "as_of": "as_of", "label": "churn", "value": "monthly_charge"},
        "features": FEATURES,
        "training": {"max_rounds": 60, "early_stopping_rounds": 10, "learning_rate": 0.2, "max_depth": 3},
    }
    for name, value in changes.items():
        old = content.get(name)
        merges = name != "features" and isinstance(old, dict) and isinstance(value, Mapping)
        content[name] = {**old, **value} if merges else value  # type: ignore[dict-item]
    return parse_spec(content, source="tests/builders.py")


def accepted(rows: int = 200, seed: int = 0, *, as_of: date = FIRST_AS_OF) -> pl.DataFrame:
    """One accepted snapshot for `spec()`; a tenth of the calls and a twentieth of the plans are null."""
    rng = np.random.default_rng(seed)
    tenure = rng.integers(0, 72, rows).astype(float)
    calls = np.where(rng.random(rows) < 0.1, np.nan, rng.poisson(2.0, rows))
    plans = rng.integers(0, len(PLANS), rows)
    has_plan = rng.random(rows) >= 0.05
    return pl.DataFrame(
        {
            ID: [f"c{number:05d}" for number in range(rows)],
            AS_OF: [as_of] * rows,
            "tenure_months": tenure,
            "monthly_charge": rng.uniform(10, 100, rows).round(2),
            "support_calls": pl.Series(calls).fill_nan(None),
            "plan": [PLANS[plan] if known else None for plan, known in zip(plans, has_plan, strict=True)],
            "autopay": rng.random(rows) < 0.5,
            "signup_date": [as_of - timedelta(days=int(30 * months)) for months in tenure],
        },
        schema_overrides={AS_OF: pl.Date, "plan": pl.String, "signup_date": pl.Date},
    )


def churn_rate(frame: pl.DataFrame) -> np.ndarray:
    """The rule of the builders' world: new customers, many calls, the basic plan and no autopay leave."""
    margin = frame.select(
        -1.6
        - 0.05 * (pl.col("tenure_months") - 20)
        + 0.6 * (pl.col("support_calls").fill_null(2) - 2)
        + pl.when(pl.col("plan") == "basic").then(1.0).otherwise(0.0)
        - pl.when("autopay").then(0.8).otherwise(0.0)
    ).to_series()
    return np.asarray(1 / (1 + np.exp(-margin.to_numpy())))


def labelled(rows: int = 600, weeks: int = 1, seed: int = 0) -> pl.DataFrame:
    """Labelled rows: the same customers in each of so many weekly snapshots, `rows` in each."""
    frames = []
    for week in range(weeks):
        as_of = FIRST_AS_OF + timedelta(weeks=week)
        frame = accepted(rows, seed * 1000 + week, as_of=as_of)
        churned = np.random.default_rng([seed, week]).random(rows) < churn_rate(frame)
        frames.append(frame.with_columns(pl.Series(LABEL, churned)))
    return pl.concat(frames)


@lru_cache(maxsize=8)
def trained(rows: int = 1500, weeks: int = 1, seed: int = 0) -> Trained:
    """A model of `spec()` on `labelled(...)`, AUC about 0.8; kept between tests, so leave it as it is."""
    return train(labelled(rows, weeks, seed), spec(), threads=1)


def lineage(frame: pl.DataFrame | None = None, **changes: Any) -> Lineage:
    """A lineage of labelled rows, with a fixed clock."""
    frame = labelled(20) if frame is None else frame
    content: dict[str, Any] = {
        "source": "tests/builders.py",
        "rows": frame.height,
        "digest": rows_digest(frame),
        "first_as_of": frame.get_column(AS_OF).min(),
        "last_as_of": frame.get_column(AS_OF).max(),
        "code_version": "0.1.0",
        "created_at": datetime(2025, 6, 1, tzinfo=UTC),
        "libraries": {"xgboost": "3.2.0"},
    }
    return Lineage.model_validate({**content, **changes})
