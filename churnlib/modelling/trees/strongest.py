"""The few largest of many numbers a row, for a block of rows at once and without a branch."""

from __future__ import annotations

import numpy as np

from churnlib.modelling.trees.lanes import aligned, compiled

NOBODY = -1
"""Place where a row has fewer numbers that are not zero than were asked for."""

_ROWS = 64


@compiled
def _choose(
    parts: np.ndarray,
    places: np.ndarray,
    strongest: np.ndarray,
    best: np.ndarray,
    where: np.ndarray,
    number: np.ndarray,
    place: np.ndarray,
) -> None:
    # Plain loops over short arrays become vectors, where offsets cannot be below zero.
    block, zero, end = np.uint64(_ROWS), np.uint64(0), np.uint64(best.size)
    for first in range(0, parts.shape[0], _ROWS):
        count = min(_ROWS, parts.shape[0] - first)
        for at in range(best.size):
            best[at] = 0
            where[at] = NOBODY
        for feature in range(parts.shape[1]):
            for row in range(count):
                number[row] = parts[first + row, feature]
            for row in range(_ROWS):
                place[row] = feature
            # At each rank the larger one stays, the other goes on to the next.
            for rank in range(zero, end, block):
                for row in range(block):
                    new, old, new_place, old_place = number[row], best[rank + row], place[row], where[rank + row]
                    size, old_size = abs(new), abs(old)
                    larger = (size > old_size) | ((size == old_size) & (new_place < old_place))
                    best[rank + row] = new if larger else old
                    where[rank + row] = new_place if larger else old_place
                    number[row] = old if larger else new
                    place[row] = old_place if larger else new_place
        for rank in range(places.shape[0]):
            for row in range(count):
                strongest[rank, first + row] = best[rank * _ROWS + row]
                places[rank, first + row] = where[rank * _ROWS + row]


def choose(parts: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's numbers of largest absolute size, largest first, ties by the order of columns.

    Zeros are not chosen: where a row has too few others, the place is -1 and the number 0.

    Args:
        parts: float32 in C order, shape (rows, columns).
        most: how many are wanted; at most as many as there are columns.

    Returns:
        Their columns, int32, and the numbers, float32, both of shape (most, rows).
    """
    places, strongest = (np.empty((most, len(parts)), dtype) for dtype in (np.int32, np.float32))
    where, best = (aligned(most * _ROWS, dtype) for dtype in (np.int32, np.float32))
    place, number = (aligned(_ROWS, dtype) for dtype in (np.int32, np.float32))
    _choose(parts, places, strongest, best, where, number, place)
    return places, strongest
