"""The numbers that exact TreeSHAP needs of each tree, laid out for the kernels in `contributions.py`.

A coalition that holds each feature with chance t gives a tree the value f(t): a node goes where the row goes
when its feature is held, and shares by cover when not. Shapley values are the integrals over t in 0 .. 1 of
the derivatives of f by the chance of one feature (Owen 1972), polynomials in t of a degree below the
number of distinct features on a path, so that Gauss and Legendre's points give them exactly: one point
for two features (Wettenstein, Mitchell and Yu 2026, arXiv:2605.04497). The values are those of
path-dependent TreeSHAP (Lundberg et al. 2018).

At a point t, let Z be the product of the shares of the earlier decisions on the node's feature along its path,
and O whether the row goes along with all of them (Z = O = 1 where there are none). With r the share that
goes left and c whether the row does, the left child's weight is

    ((1 - t) Z r + t O c) / ((1 - t) Z + t O)

and the right child's the rest. With P the product of the weights above the node, and V the weighted mean of
the leaves below a child, the node adds to its feature

    P (V_left - V_right) O Z (c - r) / ((1 - t) Z + t)^2
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from churnlib.modelling.trees.bins import Binning
from churnlib.modelling.trees.parse import Forest, Tree

ROWS = 64
"""Rows in a block: all that a tree needs of them stays in the nearest cache."""

KIND, COLUMN, HIGHEST, NUMBERS, SLOT, LEFT, RIGHT, SUM, AGREES = range(9)

# Leaf: beside an inner node. Pair: both children are leaves. Again: the feature was decided on above.
SPLIT, SPLIT_AGAIN, LEAF, PAIR, PAIR_AGAIN = range(5)

A_COLUMN, A_HIGHEST, A_LEFT, A_FROM, A_TO = range(5)


class GameProgram(NamedTuple):
    """What the kernels do.

    Attributes:
        nodes: uint32, one row for each node, parents before children: kind, offset of its bins, highest bin that
            goes left, offset of its numbers, offsets of its own, its left and its right child's slot, of its
            feature's sum, and of whether rows go along with the earlier decisions on its feature.
        node_ends: uint64, for each tree the offset of the node behind its last.
        agreements: uint32, one row for each node that decides on its feature again: for the decision
            before it the offset of the bins, the highest bin that goes left, whether the path does, where it says
            whether rows went along until there, and where to put it for here.
        agreement_ends: int64, likewise.
        numbers: float32. A leaf has its value. Others have for each point the weight of the left child (for a
            pair: V) if the row goes left and if right; if again, the same where it did not go along; then the
            factor of the difference for left and right, if again for each point.
        features: int64, the feature of each sum.
        slots: how many a block needs.
        agreeing: how many of those.
    """

    nodes: np.ndarray
    node_ends: np.ndarray
    agreements: np.ndarray
    agreement_ends: np.ndarray
    numbers: np.ndarray
    features: np.ndarray
    slots: int
    agreeing: int


class Game(NamedTuple):
    """A model as a game: the program, the points, and what a row without any feature is worth.

    Attributes:
        weights: of the points, float32; as many as there are points.
        expected: of all trees together, without the base margin.
    """

    program: GameProgram
    weights: tuple[np.float32, ...]
    expected: float


def plan_game(forest: Forest, binning: Binning) -> Game:
    """Lay out nodes and numbers for all trees of a model."""
    most = max(_features_on_a_path(tree) for tree in forest.trees)
    points, weights = np.polynomial.legendre.leggauss(max(1, (most + 1) // 2))
    layout = _Layout(((points + 1) / 2).tolist())
    expected = sum(
        layout.add(tree, column.tolist(), highest.tolist())
        for tree, (column, highest) in zip(forest.trees, binning.places, strict=True)
    )
    return Game(layout.program(), tuple(np.float32(weight / 2) for weight in weights), expected)


def _features_on_a_path(tree: Tree) -> int:
    left, right, feature = tree.left.tolist(), tree.right.tolist(), tree.feature.tolist()

    def most(node: int, met: frozenset[int]) -> int:
        if left[node] < 0:
            return len(met)
        further = met | {feature[node]}
        return max(most(left[node], further), most(right[node], further))

    return most(0, frozenset())


class _Earlier(NamedTuple):
    """The last decision on a feature along a path, and all of them together."""

    node: int
    went_left: bool
    share: float
    agrees: int


class _Layout:
    def __init__(self, points: list[float]) -> None:
        self._points = points
        self._nodes: list[tuple[int, ...]] = []
        self._agreements: list[tuple[int, ...]] = []
        self._node_ends: list[int] = []
        self._agreement_ends: list[int] = []
        self._numbers: list[float] = []
        self._sums: dict[int, int] = {}
        self._slots = self._agreeing = 1

    def add(self, tree: Tree, column: list[int], highest: list[int]) -> float:
        """Lay out one tree; returns its value when nothing is known."""
        self._tree = tree
        self._left, self._right = tree.left.tolist(), tree.right.tolist()
        self._feature, self._value, self._share = (
            tree.feature.tolist(),
            tree.value.tolist(),
            tree.left_share.tolist(),
        )
        self._column, self._highest = column, highest
        self._slot, self._agree = 1, 1
        if self._left[0] >= 0:
            first = len(self._nodes)
            self._inner(0, 0, {})
            # One kind after the other, so that the processor guesses well what comes next; parents stay first.
            self._nodes[first:] = sorted(
                self._nodes[first:], key=lambda node: (max(node[KIND], SPLIT_AGAIN), node[SLOT])
            )
        self._slots, self._agreeing = max(self._slots, self._slot), max(self._agreeing, self._agree)
        self._node_ends.append(len(self._nodes))
        self._agreement_ends.append(len(self._agreements))
        return self._expected(0)

    def program(self) -> GameProgram:
        """All that was laid out."""
        return GameProgram(
            nodes=np.array(self._nodes, dtype=np.uint32).reshape(-1, AGREES + 1),
            node_ends=np.array(self._node_ends, dtype=np.uint64) * np.uint64(AGREES + 1),
            agreements=np.array(self._agreements, dtype=np.uint32).reshape(-1, A_TO + 1),
            agreement_ends=np.array(self._agreement_ends, dtype=np.uint64) * np.uint64(A_TO + 1),
            numbers=np.array(self._numbers, dtype=np.float32),
            features=np.array(list(self._sums), dtype=np.int64),
            slots=self._slots,
            agreeing=self._agreeing,
        )

    def _expected(self, node: int) -> float:
        if self._left[node] < 0:
            return float(self._value[node])
        share = float(self._share[node])
        return share * self._expected(self._left[node]) + (1 - share) * self._expected(self._right[node])

    def _inner(self, node: int, slot: int, earlier: dict[int, _Earlier]) -> None:
        feature, share = self._feature[node], self._share[node]
        before = earlier.get(feature)
        agrees = self._agreement(before) if before else 0
        above = before.share if before else 1.0
        children = (self._left[node], self._right[node])
        are_leaves = [self._left[child] < 0 for child in children]
        slots = [0, 0] if all(are_leaves) else [self._slot, self._slot + 1]
        self._slot += 0 if all(are_leaves) else 2
        kind = (PAIR if all(are_leaves) else SPLIT) + (before is not None)
        size = ROWS * len(self._points)
        place = (self._column[node] * ROWS, self._highest[node], len(self._numbers))
        total = self._sums.setdefault(feature, len(self._sums)) * ROWS
        self._nodes.append((kind, *place, slot * size, slots[0] * size, slots[1] * size, total, agrees * ROWS))
        self._numbers += self._node_numbers(node, above, before is not None)
        if all(are_leaves):
            return
        for child, is_leaf, own, went_left in zip(children, are_leaves, slots, (True, False), strict=True):
            if is_leaf:
                self._nodes.append((LEAF, 0, 0, len(self._numbers), own * size, 0, 0, 0, 0))
                self._numbers.append(self._value[child])
            else:
                together = above * (share if went_left else 1 - share)
                self._inner(child, own, {**earlier, feature: _Earlier(node, went_left, together, agrees)})

    def _agreement(self, before: _Earlier) -> int:
        number = self._agree
        self._agree += 1
        place = (self._column[before.node] * ROWS, self._highest[before.node], int(before.went_left))
        self._agreements.append((*place, before.agrees * ROWS, number * ROWS))
        return number

    def _node_numbers(self, node: int, above: float, again: bool) -> list[float]:
        share = self._share[node]
        left, right = self._left[node], self._right[node]
        is_pair = self._left[left] < 0 and self._left[right] < 0
        low, high = (self._value[right], self._value[left]) if is_pair else (0.0, 1.0)
        numbers, factors = [], []
        for point in self._points:
            rest = (1 - point) * above
            for goes_left in (1, 0):
                numbers.append(low + (high - low) * (rest * share + point * goes_left) / (rest + point))
                factors.append((high - low) * above * (goes_left - share) / (rest + point) ** 2)
        if not again:
            return numbers + factors[:2]
        return [*numbers, low + (high - low) * share, *factors]
