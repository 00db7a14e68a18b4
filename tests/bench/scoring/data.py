"""Synthetic customers: 30 numbers, of which 10 have gaps, and 10 categories of 2 to 50 levels."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from churnlib.spec import AS_OF, ID, LABEL, Spec, parse_spec
from tests import loops

MODEL = loops.MODEL
MODEL = loops.MODEL
AS_OF_DATE = date(2025, 1, 6)
NUMBERS = tuple(f"n{number:02}" for number in range(30))
LEVELS = (2, 3, 4, 5, 8, 12, 16, 24, 36, 50)
CATEGORIES = tuple(f"c{number:02}" for number in range(len(LEVELS)))
WITH_GAPS = (*NUMBERS[5:10], *NUMBERS[15:20])
TREES, DEPTH = 300, 6

_CHUNK_ROWS = 250_000


def spec(*, top_share: float) -> Spec:
    """The spec of these customers; early stopping never comes, so that the model has all its trees."""
    features: dict[str, dict[str, Any]] = {name: {"type": "number"} for name in NUMBERS}
    features |= {name: {"type": "category"} for name in CATEGORIES}
    training = {"max_rounds": TREES, "early_stopping_rounds": TREES, "max_depth": DEPTH, "learning_rate": 0.01}
    content = {
        "name": MODEL,
        "horizon_days": 28,
        "columns": {"id": "customer", "as_of": "as_of", "label": "churn", "value": "n10"},
        "features": features,
        "training": training,
        "reasons": {"top_share": top_share},
    }
    return parse_spec(content, source="tests/bench/scoring/data.py")


def customers(rows: int, *, seed: int, first: int = 0, of: int | None = None) -> pl.DataFrame:
    """Rows `first` on of a file of so many, as an accepted frame with `churned`; ids come in no order."""
    draw = np.random.default_rng([seed, first])
    total = of or rows
    columns: dict[str, Any] = {}
    for place, name in enumerate(NUMBERS):
        columns[name] = _number(draw, place, rows)
    logit = 0.9 * columns["n00"] + 0.6 * np.sin(2 * columns["n01"]) * columns["n02"] - 0.02 * columns["n11"]
    logit += 0.15 * columns["n20"] - 0.1 * columns["n21"] + np.where(columns["n15"] > 60, 0.8, 0.0) - 1.9
    for name, levels in zip(CATEGORIES, LEVELS, strict=True):
        level = np.minimum(draw.zipf(1.3, rows) - 1, levels - 1)
        logit += np.random.default_rng(levels).normal(0, 0.3, levels)[level]
        columns[name] = pl.Series([f"{name}_{number:02}" for number in range(levels)])[level]
    gaps = {name: draw.random(rows) < 0.1 for name in WITH_GAPS}
    labels = draw.random(rows) < 1 / (1 + np.exp(-logit))
    frame = pl.DataFrame({ID: _ids(rows, first, total), AS_OF: [AS_OF_DATE] * rows, **columns, LABEL: labels})
    return frame.with_columns(
        pl.when(pl.Series(gap)).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


def _number(draw: np.random.Generator, place: int, rows: int) -> np.ndarray:
    """Ten measured, ten in money with two decimals, ten counted."""
    if place < 10:
        return draw.normal(size=rows)
    if place < 20:
        return draw.exponential(20.0 + place, rows).round(2)
    return draw.poisson(1 + place % 10, rows)


def _ids(rows: int, first: int, total: int) -> pl.Series:
    """Each number below the total once over the whole file, in no order."""
    step = int(total * 0.618) | 1
    while math.gcd(step, total) > 1:
        step += 2
    number = (np.arange(first, first + rows) * step) % total
    return "k" + pl.Series(number).cast(pl.String).str.zfill(9)


def deliver(folder: Path, rows: int, suffix: str, *, seed: int = 1) -> Path:
    """Write a delivered file, a piece of it at a time; `suffix` is parquet or csv."""
    path, parts = folder / f"{rows}.{suffix}", []
    for first in range(0, rows, _CHUNK_ROWS):
        frame = customers(min(_CHUNK_ROWS, rows - first), seed=seed, first=first, of=rows)
        frame = frame.drop(LABEL).rename({ID: "customer"})
        if suffix == "csv":
            with path.open("ab") as file:
                frame.write_csv(file, include_header=first == 0)
        else:
            parts.append(folder / f"{rows}-{first}.part")
            frame.write_parquet(parts[-1])
    if parts:
        pl.scan_parquet(parts).sink_parquet(path)
    for part in parts:
        part.unlink()
    return path
