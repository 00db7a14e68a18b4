"""Weeks put together into files as a business would deliver them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from churnlib.simulation.world import Week
from churnlib.spec import AS_OF, ID, LABEL


def write_labelled(weeks: Sequence[Week], path: Path) -> Path:
    """Write one labelled Parquet file: one row per customer and week, with what became of them."""
    described = pl.concat([week.batch for week in weeks])
    truth = pl.concat([week.truth for week in weeks]).select(ID, AS_OF, LABEL)
    described.join(truth, on=[ID, AS_OF], how="inner", maintain_order="left").write_parquet(path)
    return path
