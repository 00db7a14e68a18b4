"""Values as bins between the model's own thresholds: a byte each, every comparison of the model exactly kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba.core import types

from churnlib.modelling.trees.lanes import Emitted, Lanes, compiled, instruction
from churnlib.modelling.trees.parse import Forest

THRESHOLDS = 254
"""Most thresholds in a column. A feature with more has several columns, each for a stretch of them."""

MISSING = 255

_ROW = 16


class Search(NamedTuple):
    """What `fill` needs, one entry for each stretch of thresholds.

    Attributes:
        feature: column of the matrix.
        start: where its thresholds are: first the last one of each row, then the rows.
        missing_right: the column of bins where missing is 255 and goes right everywhere; -1 if nobody needs it.
        missing_left: the column where missing is 0 and all others are one more; -1 likewise.
        thresholds: float32 in rows of 16, padded with NaN, which no value reaches.
    """

    feature: np.ndarray
    start: np.ndarray
    missing_right: np.ndarray
    missing_left: np.ndarray
    thresholds: np.ndarray


@dataclass(frozen=True)
class Binning:
    """How a model's matrix becomes bins.

    Attributes:
        columns: how many there are in a block, at least one.
        places: for each tree, by node: column and highest bin that goes left; zeros at leaves.
    """

    search: Search
    columns: int
    places: tuple[tuple[np.ndarray, np.ndarray], ...]


def plan_bins(forest: Forest) -> Binning:
    """Lay out columns for all thresholds of a model."""
    thresholds = _thresholds(forest)
    stretches = [(f, start) for f, found in thresholds.items() for start in range(0, len(found), THRESHOLDS)]
    stretch_of = {stretch: number for number, stretch in enumerate(stretches)}
    columns: dict[tuple[int, bool], int] = {}
    places = []
    for tree in forest.trees:
        column, highest = (np.zeros(len(tree.left), dtype=np.uint32) for _ in range(2))
        for node in np.flatnonzero(tree.left >= 0).tolist():
            feature, missing_left = int(tree.feature[node]), bool(tree.missing_left[node])
            rank = int(np.searchsorted(thresholds[feature], tree.value[node]))
            stretch = stretch_of[feature, rank - rank % THRESHOLDS]
            column[node] = columns.setdefault((stretch, missing_left), len(columns))
            highest[node] = rank % THRESHOLDS + missing_left
        places.append((column, highest))
    return Binning(_search(thresholds, stretches, columns), max(1, len(columns)), tuple(places))


def _thresholds(forest: Forest) -> dict[int, np.ndarray]:
    """Sorted distinct thresholds by feature, of the features that are used."""
    inner = [tree.left >= 0 for tree in forest.trees]
    feature = np.concatenate([tree.feature[kept] for tree, kept in zip(forest.trees, inner, strict=True)])
    value = np.concatenate([tree.value[kept] for tree, kept in zip(forest.trees, inner, strict=True)])
    return {int(one): np.unique(value[feature == one]) for one in np.unique(feature)}


def _search(
    thresholds: dict[int, np.ndarray], stretches: list[tuple[int, int]], columns: dict[tuple[int, bool], int]
) -> Search:
    parts = [_rows(thresholds[feature][start : start + THRESHOLDS]) for feature, start in stretches]
    ends = np.cumsum([len(part) for part in parts], dtype=np.uint64)
    numbers = range(len(stretches))
    return Search(
        feature=np.array([feature for feature, _ in stretches], dtype=np.uint64),
        start=np.concatenate([np.zeros(1, dtype=np.uint64), ends])[: len(parts)],
        missing_right=np.array([columns.get((number, False), -1) for number in numbers], dtype=np.int64),
        missing_left=np.array([columns.get((number, True), -1) for number in numbers], dtype=np.int64),
        thresholds=np.concatenate([*parts, np.zeros(0, dtype=np.float32)]),
    )


def _rows(stretch: np.ndarray) -> np.ndarray:
    rows = np.full((1 + len(stretch) // _ROW, _ROW), np.nan, dtype=np.float32)
    rows.flat[: len(stretch)] = stretch
    lasts = np.full(_ROW, np.nan, dtype=np.float32)
    lasts[: len(rows)] = rows[:, -1]
    return np.concatenate([lasts, rows.ravel()])


def _count(lanes: Lanes) -> Emitted:
    thresholds = lanes.load(lanes.data(0), lanes.offset(1))
    return lanes.how_many(lanes.build.fcmp_ordered("<=", thresholds, lanes.same(lanes.values[2])))


_reached = instruction(_count, "thresholds start value", width=_ROW, returns=types.uint64)
"""How many thresholds of the row of 16 at the start are at most the value."""


@compiled
def fill(values: np.ndarray, first: int, count: int, search: Search, bins: np.ndarray, room: int) -> None:
    """Write the bins of `count` rows from `first` on: `room` bytes for each column, one after the other.

    A bin is the number of thresholds that are at most the value, so that `value < threshold` is
    `bin <= rank of the threshold`, in float32 and bit by bit.
    """
    row_size = np.uint64(_ROW)
    for number in range(search.feature.size):
        feature, start = search.feature[number], search.start[number]
        right, left = search.missing_right[number] * room, search.missing_left[number] * room
        for row in range(count):
            value = values[first + row, feature]
            before = _reached(search.thresholds, start, value) * row_size
            found = before + _reached(search.thresholds, start + row_size + before, value)
            missing = np.isnan(value)
            if right >= 0:
                bins[right + row] = np.uint8(MISSING if missing else found)
            if left >= 0:
                bins[left + row] = np.uint8(0 if missing else found + np.uint64(1))
