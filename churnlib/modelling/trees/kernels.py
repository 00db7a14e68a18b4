"""What the nodes of a tree do with a block of rows, as vector instructions. What is computed is in `games.py`."""

from __future__ import annotations

from collections.abc import Callable

from churnlib.modelling.trees.games import (
    A_COLUMN,
    A_FROM,
    A_HIGHEST,
    A_LEFT,
    A_TO,
    AGREES,
    COLUMN,
    HIGHEST,
    LEFT,
    NUMBERS,
    RIGHT,
    ROWS,
    SLOT,
    SUM,
)
from churnlib.modelling.trees.lanes import Emitted, Lanes, instruction

_WIDTH = 16


class _Node:
    """What the instructions of one node share: pointers, offsets and vectors."""

    ARGUMENTS = "bins numbers slots sums agreeing nodes node weights"

    def __init__(self, lanes: Lanes, again: bool) -> None:
        self.lanes, self.build, self.again = lanes, lanes.build, again
        self._bins, self._numbers, self.slots, self.sums, self._agreeing = (lanes.data(n) for n in range(5))
        fields = [self.build.load(lanes.at(lanes.data(5), lanes.offset(6), field)) for field in range(AGREES + 1)]
        wide = [lanes.wide(field) for field in fields]
        self._column, self._number, self._agrees = wide[COLUMN], wide[NUMBERS], wide[AGREES]
        self.slot, self.left, self.right, self.sum = wide[SLOT], wide[LEFT], wide[RIGHT], wide[SUM]
        self._highest = lanes.same(lanes.narrow(fields[HIGHEST], 8))
        self.points = lanes.types[-1].count

    def number(self, further: int) -> Emitted:
        """One of the node's numbers in all lanes."""
        return self.lanes.constant(self._numbers, self._number, further)

    def chooser(self, row: int) -> Callable[[tuple[Emitted, Emitted, Emitted]], Emitted]:
        """A function that chooses between vectors: for rows that go left, right, or did not go along before."""
        bins = self.lanes.load(self._bins, self._column, row)
        goes_left = self.lanes.at_most(bins, self._highest)
        flags = self.lanes.load(self._agreeing, self._agrees, row)
        agrees = self.build.icmp_unsigned("!=", flags, self.lanes.nothing(flags))

        def choose(vectors: tuple[Emitted, Emitted, Emitted]) -> Emitted:
            left, right, apart = vectors
            chosen = self.build.select(goes_left, left, right)
            return self.build.select(agrees, chosen, apart) if self.again else chosen

        return choose

    def weights(self) -> list[tuple[Emitted, Emitted, Emitted]]:
        """The weight of the left child (or V of a pair) at each point, to choose from."""
        apart = self.number(2 * self.points) if self.again else None
        return [(self.number(2 * point), self.number(2 * point + 1), apart) for point in range(self.points)]

    def factors(self) -> list[tuple[Emitted, Emitted, Emitted]]:
        """The factor of the difference, at each point where they differ, to choose from."""
        first = 2 * self.points + self.again
        pairs = [
            (self.number(first + 2 * n), self.number(first + 2 * n + 1))
            for n in range(self.points if self.again else 1)
        ]
        return [(left, right, self.lanes.nothing(left)) for left, right in pairs]

    def add_up(self, parts: list[Emitted], factors: list[Emitted], row: int) -> None:
        """Add the node's parts, of all points, to the sum of its feature."""
        if len(factors) < len(parts):  # one for all
            together = parts[0]
            for part in parts[1:]:
                together = self.build.fadd(together, part)
            parts = [together]
        total = self.lanes.load(self.sums, self.sum, row)
        for part, factor in zip(parts, factors, strict=True):
            total = self.lanes.add_product(factor, part, total)
        self.lanes.store(total, self.sums, self.sum, row)


def _leaf_up(node: _Node) -> None:
    """V of a leaf."""
    value = node.number(0)
    for place in range(0, node.points * ROWS, _WIDTH):
        node.lanes.store(value, node.slots, node.slot, place)


def _pair_up(node: _Node) -> None:
    """V of a node with two leaves."""
    values = node.weights()
    for row in range(0, ROWS, _WIDTH):
        choose = node.chooser(row)
        for point in range(node.points):
            node.lanes.store(choose(values[point]), node.slots, node.slot, point * ROWS + row)


def _split_up(node: _Node) -> None:
    """V of a node from V of its children."""
    lanes, weights = node.lanes, node.weights()
    for row in range(0, ROWS, _WIDTH):
        choose = node.chooser(row)
        for point in range(node.points):
            place = point * ROWS + row
            right = lanes.load(node.slots, node.right, place)
            difference = node.build.fsub(lanes.load(node.slots, node.left, place), right)
            value = lanes.add_product(choose(weights[point]), difference, right)
            lanes.store(value, node.slots, node.slot, place)


def _split_down(node: _Node) -> None:
    """A node's part, and P of its children from P of the node; P takes the place of V."""
    lanes, weights, factors = node.lanes, node.weights(), node.factors()
    for row in range(0, ROWS, _WIDTH):
        choose = node.chooser(row)
        parts = []
        for point in range(node.points):
            place = point * ROWS + row
            here = lanes.load(node.slots, node.slot, place)
            left, right = (lanes.load(node.slots, side, place) for side in (node.left, node.right))
            parts.append(lanes.product(here, node.build.fsub(left, right)))
            to_left = node.build.fmul(here, choose(weights[point]))
            lanes.store(to_left, node.slots, node.left, place)
            lanes.store(node.build.fsub(here, to_left), node.slots, node.right, place)
        node.add_up(parts, [choose(factor) for factor in factors], row)


def _pair_down(node: _Node) -> None:
    """The part of a node with two leaves."""
    factors = node.factors()
    for row in range(0, ROWS, _WIDTH):
        choose = node.chooser(row)
        parts = [node.lanes.load(node.slots, node.slot, point * ROWS + row) for point in range(node.points)]
        node.add_up(parts, [choose(factor) for factor in factors], row)


def _node(emit: Callable[[_Node], None], *, again: bool = False) -> Callable[..., Emitted]:
    return instruction(lambda lanes: emit(_Node(lanes, again)), _Node.ARGUMENTS, width=_WIDTH)


leaf_up, pair_up, split_up = _node(_leaf_up), _node(_pair_up), _node(_split_up)
pair_again_up, split_again_up = _node(_pair_up, again=True), _node(_split_up, again=True)
pair_down, split_down = _node(_pair_down), _node(_split_down)
pair_again_down, split_again_down = _node(_pair_down, again=True), _node(_split_down, again=True)


def _root(lanes: Lanes) -> None:
    """Put the points' weights into the root's slot, as P."""
    for point in range(lanes.types[1].count):
        weight = lanes.same(lanes.build.extract_value(lanes.values[1], point))
        for row in range(0, ROWS, _WIDTH):
            lanes.store(weight, lanes.data(0), lanes.zero, point * ROWS + row)


root = instruction(_root, "slots weights", width=_WIDTH)


def _agree(lanes: Lanes) -> None:
    """Mark the rows that go along with one more decision."""
    bins, agreeing, agreements, at = lanes.data(0), lanes.data(1), lanes.data(2), lanes.offset(3)
    fields = [lanes.build.load(lanes.at(agreements, at, field)) for field in range(A_TO + 1)]
    column, start, end = (lanes.wide(fields[field]) for field in (A_COLUMN, A_FROM, A_TO))
    highest = lanes.same(lanes.narrow(fields[A_HIGHEST], 8))
    asked = lanes.same(lanes.narrow(fields[A_LEFT], 1))
    for row in range(0, ROWS, _WIDTH):
        goes_left = lanes.at_most(lanes.load(bins, column, row), highest)
        before = lanes.load(agreeing, start, row)
        stays = lanes.build.icmp_unsigned("==", goes_left, asked)
        lanes.store(lanes.build.select(stays, before, lanes.nothing(before)), agreeing, end, row)


agree = instruction(_agree, "bins agreeing agreements agreement", width=_WIDTH)
