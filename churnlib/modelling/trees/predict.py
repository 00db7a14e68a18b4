"""Margins from bins: the leaf of every tree, found from the leaves up, without a branch, for many rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from churnlib.modelling.trees.bins import Binning, Search, fill
from churnlib.modelling.trees.lanes import Emitted, Lanes, aligned, compiled, instruction
from churnlib.modelling.trees.parse import MAX_DEPTH, Forest, Tree

ROWS = 512
"""Rows in a block: bins and half-found leaves stay in the nearest caches."""

_WIDTH = 64

KIND, COLUMN, HIGHEST, LEFT, RIGHT, SLOT = range(6)

# Which children of a node are leaves.
BOTH, LEFT_ONLY, RIGHT_ONLY, NEITHER = range(4)


class LeafProgram(NamedTuple):
    """How to find the leaves.

    Attributes:
        steps: uint32, one row for each inner node, children before parents: kind, offset of its bins,
            highest bin that goes left, number of the left and of the right leaf where they are leaves, and
            offset of the slot, which holds the left child's result before and the node's after; the
            right child's is in the slot behind it.
        ends: int64, for each tree the step behind its last.
        leaves: float32 values, tree by tree.
        starts: int64, for each tree its first leaf.
    """

    steps: np.ndarray
    ends: np.ndarray
    leaves: np.ndarray
    starts: np.ndarray


def plan_leaves(forest: Forest, binning: Binning) -> LeafProgram:
    """Lay out the steps for all trees of a model."""
    steps: list[tuple[int, ...]] = []
    leaves: list[float] = []
    ends, starts = [], []
    for tree, places in zip(forest.trees, binning.places, strict=True):
        starts.append(len(leaves))
        found = _Leaves(tree, *(place.tolist() for place in places))
        if found.walk(0, 0) >= 0:  # a single leaf: whichever way, it is the first
            found.steps.append((BOTH, 0, 0, 0, 0, 0))
        steps += found.steps
        leaves += found.values
        ends.append(len(steps))
    return LeafProgram(
        np.array(steps, dtype=np.uint32).reshape(-1, SLOT + 1),
        np.array(ends, dtype=np.int64),
        np.array(leaves, dtype=np.float32),
        np.array(starts, dtype=np.int64),
    )


class _Leaves:
    def __init__(self, tree: Tree, column: list[int], highest: list[int]) -> None:
        self._left, self._right, self._value = tree.left.tolist(), tree.right.tolist(), tree.value.tolist()
        self._column, self._highest = column, highest
        self.steps: list[tuple[int, ...]] = []
        self.values: list[float] = []

    def walk(self, node: int, slot: int) -> int:
        """Return the number of the leaf, or -1 for an inner node, whose leaf will be in the slot."""
        if self._left[node] < 0:
            self.values.append(self._value[node])
            return len(self.values) - 1
        left, right = self.walk(self._left[node], slot), self.walk(self._right[node], slot + 1)
        kind = (BOTH if right >= 0 else LEFT_ONLY) if left >= 0 else (RIGHT_ONLY if right >= 0 else NEITHER)
        place = (self._column[node] * ROWS, self._highest[node])
        self.steps.append((kind, *place, max(left, 0), max(right, 0), slot * ROWS))
        return -1


def _choosing(kind: int) -> Callable[..., Emitted]:
    """Choose between the children of one kind of node."""

    def emit(lanes: Lanes) -> None:
        bins, column, found, slot = lanes.data(0), lanes.offset(1), lanes.data(5), lanes.offset(6)
        highest = lanes.same(lanes.narrow(lanes.values[2], 8))
        left, right = (lanes.same(lanes.narrow(lanes.values[n], found.type.pointee.width)) for n in (3, 4))
        for row in range(0, ROWS, _WIDTH):
            goes_left = lanes.at_most(lanes.load(bins, column, row), highest)
            on_left = left if kind in (BOTH, LEFT_ONLY) else lanes.load(found, slot, row)
            on_right = right if kind in (BOTH, RIGHT_ONLY) else lanes.load(found, slot, ROWS + row)
            lanes.store(lanes.build.select(goes_left, on_left, on_right), found, slot, row)

    return instruction(emit, "bins column highest left right slots slot", width=_WIDTH)


_both, _left_only, _right_only, _neither = (_choosing(kind) for kind in (BOTH, LEFT_ONLY, RIGHT_ONLY, NEITHER))


@compiled
def _add_leaf(sums: np.ndarray, slots: np.ndarray, leaves: np.ndarray, start: int) -> None:
    tree = leaves[start:]
    for row in range(sums.size):
        sums[row] += tree[slots[row]]


@compiled
def _predict(
    values: np.ndarray,
    search: Search,
    program: LeafProgram,
    base: np.float32,
    bins: np.ndarray,
    slots: np.ndarray,
    margins: np.ndarray,
) -> None:
    for first in range(0, values.shape[0], ROWS):
        count = min(ROWS, values.shape[0] - first)
        fill(values, first, count, search, bins, ROWS)
        sums = margins[first : first + count]
        sums[:] = base
        number = 0
        for tree in range(program.ends.size):
            while number < program.ends[tree]:
                step = program.steps[number]
                if step[KIND] == BOTH:
                    _both(bins, step[COLUMN], step[HIGHEST], step[LEFT], step[RIGHT], slots, step[SLOT])
                elif step[KIND] == NEITHER:
                    _neither(bins, step[COLUMN], step[HIGHEST], step[LEFT], step[RIGHT], slots, step[SLOT])
                elif step[KIND] == LEFT_ONLY:
                    _left_only(bins, step[COLUMN], step[HIGHEST], step[LEFT], step[RIGHT], slots, step[SLOT])
                else:
                    _right_only(bins, step[COLUMN], step[HIGHEST], step[LEFT], step[RIGHT], slots, step[SLOT])
                number += 1
            _add_leaf(sums, slots, program.leaves, program.starts[tree])


def predict(
    values: np.ndarray, binning: Binning, program: LeafProgram, base: np.float32, margins: np.ndarray
) -> None:
    """Write the margins of some rows: the base and the leaf of each tree, added in float32 in XGBoost's order.

    Args:
        values: float32 in C order, shape (rows, features); missing is NaN.
        binning: of the model.
        program: of the model.
        base: what each sum starts with.
        margins: float32, shape (rows,); is overwritten.
    """
    most = int(np.max(np.diff(program.starts, append=len(program.leaves))))
    slots = aligned((MAX_DEPTH + 1) * ROWS, np.uint8 if most <= 256 else np.uint16)
    _predict(values, binning.search, program, base, aligned(binning.columns * ROWS, np.uint8), slots, margins)
