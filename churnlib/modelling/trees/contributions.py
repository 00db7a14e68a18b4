"""Exact TreeSHAP from bins: every node's weights for a block of rows, up to the root and down again.

What is computed is in `games.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from churnlib.modelling.trees.bins import Binning, Search, fill
from churnlib.modelling.trees.games import (
    A_COLUMN,
    A_FROM,
    A_HIGHEST,
    A_LEFT,
    A_TO,
    AGREES,
    COLUMN,
    HIGHEST,
    KIND,
    LEAF,
    LEFT,
    NUMBERS,
    PAIR,
    PAIR_AGAIN,
    RIGHT,
    ROWS,
    SLOT,
    SPLIT,
    SPLIT_AGAIN,
    SUM,
    Game,
    GameProgram,
)
from churnlib.modelling.trees.lanes import Lanes, aligned, compiled

_WIDTH = 16


class _Node:
    """Emits what one node does with the rows of a block; its attributes are pointers, offsets and vectors."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:  # noqa: ANN401
        lanes = self.lanes = Lanes(context, builder, signature, values, _WIDTH)
        self.build = builder
        self._bins, self._numbers, self.slots, self.sums, self._agreeing = (lanes.data(n) for n in range(5))
        fields = [builder.load(lanes.at(lanes.data(5), lanes.offset(6), field)) for field in range(AGREES + 1)]
        wide = [builder.zext(field, ir.IntType(64)) for field in fields]
        self._column, self._number, self._agrees = wide[COLUMN], wide[NUMBERS], wide[AGREES]
        self.slot, self.left, self.right, self.sum = wide[SLOT], wide[LEFT], wide[RIGHT], wide[SUM]
        self._highest = lanes.same(builder.trunc(fields[HIGHEST], ir.IntType(8)))
        self.points = signature.args[-1].count

    def number(self, further: int) -> Any:  # noqa: ANN401
        """One of the node's numbers in all lanes."""
        return self.lanes.constant(self._numbers, self._number, further)

    def goes_left(self, row: int) -> Any:  # noqa: ANN401
        """Whether rows go left."""
        return self.lanes.at_most(self.lanes.load(self._bins, self._column, row), self._highest)

    def agrees(self, row: int) -> Any:  # noqa: ANN401
        """Whether rows went along with the earlier decisions on the feature."""
        flags = self.lanes.load(self._agreeing, self._agrees, row)
        return self.build.icmp_unsigned("!=", flags, ir.Constant(flags.type, None))

    def weights(self, again: bool) -> Any:  # noqa: ANN401
        """A function that gives the weight of the left child (or a pair's V) at a point, by row."""
        sides = [(self.number(2 * point), self.number(2 * point + 1)) for point in range(self.points)]
        apart = self.number(2 * self.points) if again else None

        def weight(point: int, goes_left: Any, agrees: Any) -> Any:  # noqa: ANN401
            chosen = self.build.select(goes_left, *sides[point])
            return chosen if apart is None else self.build.select(agrees, chosen, apart)

        return weight

    def factors(self, again: bool) -> Any:  # noqa: ANN401
        """A function that gives the factor of the difference at a point, by row; without `again` all are alike."""
        first = 2 * self.points + again
        pairs = [(self.number(first + 2 * n), self.number(first + 2 * n + 1)) for n in range(self.points if again else 1)]
        nothing = ir.Constant(pairs[0][0].type, None)

        def factor(point: int, goes_left: Any, agrees: Any) -> Any:  # noqa: ANN401
            chosen = self.build.select(goes_left, *pairs[point])
            return self.build.select(agrees, chosen, nothing) if again else chosen

        return factor

    def add_up(self, differences: list[Any], factor: Any, goes_left: Any, agrees: Any, again: bool, row: int) -> None:  # noqa: ANN401
        """Add the node's part, its differences at all points, to the sum of its feature."""
        total = self.lanes.load(self.sums, self.sum, row)
        if again:
            for point, difference in enumerate(differences):
                total = self.lanes.add_product(factor(point, goes_left, agrees), difference, total)
        else:
            together = differences[0]
            for difference in differences[1:]:
                together = self.build.fadd(together, difference)
            total = self.lanes.add_product(factor(0, goes_left, agrees), together, total)
        self.lanes.store(total, self.sums, self.sum, row)


def _up(node: _Node, is_pair: bool, again: bool) -> None:
    """V of the node from V of its children."""
    lanes, weight = node.lanes, node.weights(again)
    for row in range(0, ROWS, _WIDTH):
        goes_left, agrees = node.goes_left(row), node.agrees(row) if again else None
        for point in range(node.points):
            value, place = weight(point, goes_left, agrees), point * ROWS + row
            if not is_pair:
                right = lanes.load(node.slots, node.right, place)
                difference = node.build.fsub(lanes.load(node.slots, node.left, place), right)
                value = lanes.add_product(value, difference, right)
            lanes.store(value, node.slots, node.slot, place)


def _down_split(node: _Node, is_pair: bool, again: bool) -> None:
    """The node's part, and P of its children from P of the node; P takes the place of V."""
    lanes, weight, factor = node.lanes, node.weights(again), node.factors(again)
    for row in range(0, ROWS, _WIDTH):
        goes_left, agrees = node.goes_left(row), node.agrees(row) if again else None
        parts = []
        for point in range(node.points):
            place = point * ROWS + row
            here = lanes.load(node.slots, node.slot, place)
            left, right = (lanes.load(node.slots, side, place) for side in (node.left, node.right))
            parts.append(node.build.fmul(here, node.build.fsub(left, right), flags=("contract",)))
            to_left = node.build.fmul(here, weight(point, goes_left, agrees))
            lanes.store(to_left, node.slots, node.left, place)
            lanes.store(node.build.fsub(here, to_left), node.slots, node.right, place)
        node.add_up(parts, factor, goes_left, agrees, again, row)


def _down_pair(node: _Node, is_pair: bool, again: bool) -> None:
    """The part of a node with two leaves."""
    factor = node.factors(again)
    for row in range(0, ROWS, _WIDTH):
        goes_left, agrees = node.goes_left(row), node.agrees(row) if again else None
        parts = [node.lanes.load(node.slots, node.slot, point * ROWS + row) for point in range(node.points)]
        node.add_up(parts, factor, goes_left, agrees, again, row)


def _kernel(emit_node: Any, is_pair: bool, again: bool) -> Any:  # noqa: ANN401 - a Numba intrinsic
    @intrinsic  # type: ignore[untyped-decorator]
    def kernel(
        _: Any, bins: Any, numbers: Any, slots: Any, sums: Any, agreeing: Any, nodes: Any, at: Any, weights: Any
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit_node(_Node(context, builder, signature, values), is_pair, again)
            return context.get_dummy_value()

        return types.void(bins, numbers, slots, sums, agreeing, nodes, at, weights), emit

    return kernel


_pair_up, _pair_again_up = _kernel(_up, True, False), _kernel(_up, True, True)
_split_up, _split_again_up = _kernel(_up, False, False), _kernel(_up, False, True)
_pair_down, _pair_again_down = _kernel(_down_pair, True, False), _kernel(_down_pair, True, True)
_split_down, _split_again_down = _kernel(_down_split, False, False), _kernel(_down_split, False, True)


@intrinsic  # type: ignore[untyped-decorator]
def _agree(_: Any, bins: Any, agreeing: Any, agreements: Any, at: Any) -> Any:
    """Mark the rows that go along with one more decision."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lanes = Lanes(context, builder, signature, values, ROWS)
        fields = [builder.load(lanes.at(lanes.data(2), lanes.offset(3), field)) for field in range(A_TO + 1)]
        column, start, end = (builder.zext(fields[field], ir.IntType(64)) for field in (A_COLUMN, A_FROM, A_TO))
        limit = lanes.same(builder.trunc(fields[A_HIGHEST], ir.IntType(8)))
        asked = lanes.same(builder.trunc(fields[A_LEFT], ir.IntType(1)))
        goes_left = lanes.at_most(lanes.load(lanes.data(0), column), limit)
        before = lanes.load(lanes.data(1), start)
        stays = builder.icmp_unsigned("==", goes_left, asked)
        lanes.store(builder.select(stays, before, ir.Constant(before.type, None)), lanes.data(1), end)
        return context.get_dummy_value()

    return types.void(bins, agreeing, agreements, at), emit


@compiled
def _climb(
    bins: np.ndarray,
    slots: np.ndarray,
    sums: np.ndarray,
    agreeing: np.ndarray,
    program: GameProgram,
    first: int,
    end: int,
    weights: tuple[np.float32, ...],
) -> None:
    """Put V of each node of a tree into its slot."""
    nodes, flat, numbers = program.nodes, program.nodes.reshape(-1), program.numbers
    for node in range(end - 1, first - 1, -1):
        kind, at = nodes[node, KIND], np.uint64(node * nodes.shape[1])
        if kind == SPLIT:
            _split_up(bins, numbers, slots, sums, agreeing, flat, at, weights)
        elif kind == PAIR:
            _pair_up(bins, numbers, slots, sums, agreeing, flat, at, weights)
        elif kind == LEAF:
            slot = nodes[node, SLOT]
            slots[slot : slot + len(weights) * ROWS] = numbers[nodes[node, NUMBERS]]
        elif kind == SPLIT_AGAIN:
            _split_again_up(bins, numbers, slots, sums, agreeing, flat, at, weights)
        else:
            _pair_again_up(bins, numbers, slots, sums, agreeing, flat, at, weights)


@compiled
def _descend(
    bins: np.ndarray,
    slots: np.ndarray,
    sums: np.ndarray,
    agreeing: np.ndarray,
    program: GameProgram,
    first: int,
    end: int,
    weights: tuple[np.float32, ...],
) -> None:
    """Add the part of each node of a tree to its feature's sum."""
    nodes, flat, numbers = program.nodes, program.nodes.reshape(-1), program.numbers
    for node in range(first, end):
        kind, at = nodes[node, KIND], np.uint64(node * nodes.shape[1])
        if kind == PAIR:
            _pair_down(bins, numbers, slots, sums, agreeing, flat, at, weights)
        elif kind == SPLIT:
            _split_down(bins, numbers, slots, sums, agreeing, flat, at, weights)
        elif kind == SPLIT_AGAIN:
            _split_again_down(bins, numbers, slots, sums, agreeing, flat, at, weights)
        elif kind == PAIR_AGAIN:
            _pair_again_down(bins, numbers, slots, sums, agreeing, flat, at, weights)


@compiled
def _contribute(
    values: np.ndarray,
    search: Search,
    program: GameProgram,
    weights: tuple[np.float32, ...],
    bins: np.ndarray,
    slots: np.ndarray,
    sums: np.ndarray,
    agreeing: np.ndarray,
    found: np.ndarray,
) -> None:
    agreeing[:ROWS] = 1
    flat = program.agreements.reshape(-1)
    for first in range(0, values.shape[0], ROWS):
        count = min(ROWS, values.shape[0] - first)
        fill(values, first, count, search, bins, ROWS)
        sums[:] = 0
        node = agreement = 0
        for tree in range(program.node_ends.size):
            while agreement < program.agreement_ends[tree]:
                _agree(bins, agreeing, flat, np.uint64(agreement * program.agreements.shape[1]))
                agreement += 1
            end = program.node_ends[tree]
            _climb(bins, slots, sums, agreeing, program, node, end, weights)
            for point in range(len(weights)):
                slots[point * ROWS : (point + 1) * ROWS] = weights[point]
            _descend(bins, slots, sums, agreeing, program, node, end, weights)
            node = end
        for number in range(program.features.size):
            for row in range(count):
                found[first + row, program.features[number]] = sums[number * ROWS + row]


def contribute(values: np.ndarray, binning: Binning, game: Game, found: np.ndarray) -> None:
    """Write the contributions of some rows, of the features that the model uses.

    Args:
        values: float32 in C order, shape (rows, features); missing is NaN.
        binning: of the model.
        game: of the model.
        found: float32, shape (rows, features or more); columns of unused features are left as they are.
    """
    program = game.program
    bins = aligned(binning.columns * ROWS, np.uint8)
    slots = aligned(program.slots * len(game.weights) * ROWS, np.float32)
    sums = aligned(len(program.features) * ROWS, np.float32)
    agreeing = aligned(program.agreeing * ROWS, np.uint8)
    _contribute(values, binning.search, program, game.weights, bins, slots, sums, agreeing, found)
