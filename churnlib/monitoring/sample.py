"""Small samples of rows for the report that people look at. Verdicts never rest on them."""

from __future__ import annotations

import io

import polars as pl

from churnlib.monitoring.profile import SCORE, model_columns
from churnlib.spec import Spec

SCORE_BESIDE = "champion_score"
"""The probability's name where a feature is called "score" itself."""


def sample_columns(
    accepted: pl.DataFrame, probability: pl.Series, spec: Spec, *, rows: int = 2000, seed: int
) -> pl.DataFrame:
    """Draw rows of the model's features and the probability, which is last; in the frame's order.

    Frames of fewer rows are returned whole.

    Args:
        accepted: an accepted frame.
        probability: of those rows, in their order.
        spec: names the model's features.
        rows: rows to draw, each at most once.
        seed: of the draw; the same seed and frame give the same rows.

    Raises:
        ValueError: there is not one probability a row.
    """
    columns = model_columns(accepted, probability, spec)
    name = SCORE_BESIDE if SCORE in columns.columns else SCORE
    whole = columns.with_columns(probability.cast(pl.Float64).alias(name))
    if whole.height <= rows:
        return whole
    picked = pl.int_range(whole.height, eager=True).sample(rows, seed=seed).sort()
    return whole[picked]


def reference_sample(
    accepted: pl.DataFrame, probability: pl.Series, spec: Spec, rows: int = 2000, *, seed: int
) -> bytes:
    """The same as a Parquet file, to be kept in a release."""
    buffer = io.BytesIO()
    sample_columns(accepted, probability, spec, rows=rows, seed=seed).write_parquet(buffer)
    return buffer.getvalue()


def read_sample(content: bytes) -> pl.DataFrame:
    """What `reference_sample` kept."""
    return pl.read_parquet(io.BytesIO(content))
