"""Rows that a release carries with the scores it gave them, so that it can tell whether it still does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from churnlib.features.matrix import build_matrix
from churnlib.modelling.engine import margins
from churnlib.modelling.scoring import ScoringModel
from churnlib.spec import AS_OF

MARGIN, PROBABILITY = "_expected_margin", "_expected_probability"

MARGIN_TOLERANCE, PROBABILITY_TOLERANCE = 1e-5, 1e-6

_SPREAD = 0.25  # share of the probe kept for ordinary rows, spread over the range of risks

_ORDINARY = 1000  # rows scored to find that range


def make_probe(model: ScoringModel, candidates: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Choose rows and note their scores: `as_of`, delivered columns, expected margin and probability.

    Rows with a missing value and with the least and greatest value of each column come first, as far
    as there is room; the rest is spread evenly over the range of risks. No ids: the probe is no
    list of customers.
    """
    delivered = candidates.select(AS_OF, *model.spec.delivered)
    odd = _odd_rows(delivered)[: rows - int(rows * _SPREAD)]
    ordinary = np.setdiff1d(np.arange(0, delivered.height, max(1, delivered.height // _ORDINARY)), odd)
    by_risk = ordinary[np.argsort(_scores(model, delivered[ordinary])[0], kind="stable")]
    room = min(rows - len(odd), len(by_risk))
    spread = by_risk[np.linspace(0, len(by_risk) - 1, room).round().astype(int)]
    chosen: pl.DataFrame = delivered[[*odd, *spread.tolist()]]
    margin, probability = _scores(model, chosen)
    return chosen.with_columns(pl.Series(MARGIN, margin), pl.Series(PROBABILITY, probability))


@dataclass(frozen=True)
class Mismatch:
    """The first probe row that scores differently than it did."""

    row: int
    expected: float
    found: float
    what: str


def first_mismatch(model: ScoringModel, probe: pl.DataFrame) -> Mismatch | None:
    """Score the probe again; None when every row scores as noted, within 1e-5 (margin) and 1e-6 (probability)."""
    margin, probability = _scores(model, probe.drop(MARGIN, PROBABILITY))
    for what, column, found, tolerance in (
        ("margin", MARGIN, margin, MARGIN_TOLERANCE),
        ("probability", PROBABILITY, probability, PROBABILITY_TOLERANCE),
    ):
        expected = probe.get_column(column).to_numpy()
        off = np.flatnonzero(~(np.abs(found - expected) <= tolerance))  # NaN is off too
        if len(off):
            return Mismatch(int(off[0]), float(expected[off[0]]), float(found[off[0]]), what)
    return None


def _scores(model: ScoringModel, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    margin = margins(model.booster, build_matrix(rows, model.spec, model.state))
    return margin, model.calibration.apply(margin)


def _odd_rows(rows: pl.DataFrame) -> list[int]:
    """Row numbers of a missing value and of the extremes of each column, columns in turn."""
    nulls = [int(column.is_null().arg_max() or 0) for column in rows.iter_columns() if column.null_count()]
    extremes: list[int] = []
    for column in rows.iter_columns():
        if column.dtype.is_numeric() and column.null_count() < len(column):
            extremes += [int(place) for place in (column.arg_min(), column.arg_max()) if place is not None]
    return list(dict.fromkeys([*nulls, *extremes]))
