"""Exact TreeSHAP from bins: every node's weights for a block of rows, up to the root and down again.

What is computed is in `games.py`.
"""

from __future__ import annotations

import numpy as np

from churnlib.modelling.trees.bins import Binning, Search, fill
from churnlib.modelling.trees.games import (
    A_TO,
    AGREES,
    LEAF,
    PAIR,
    PAIR_AGAIN,
    ROWS,
    SPLIT,
    SPLIT_AGAIN,
    Game,
    GameProgram,
)
from churnlib.modelling.trees.kernels import (
    agree,
    leaf_up,
    pair_again_down,
    pair_again_up,
    pair_down,
    pair_up,
    root,
    split_again_down,
    split_again_up,
    split_down,
    split_up,
)
from churnlib.modelling.trees.lanes import aligned, compiled


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
    # One function for all: a call for each tree would count references to every array, each time.
    node_ends, agreement_ends = program.node_ends, program.agreement_ends
    numbers, features = program.numbers, program.features
    nodes, agreements = program.nodes.reshape(-1), program.agreements.reshape(-1)
    node_size, agreement_size = np.uint64(AGREES + 1), np.uint64(A_TO + 1)
    agreeing[:ROWS] = 1
    for first in range(0, values.shape[0], ROWS):
        count = min(ROWS, values.shape[0] - first)
        fill(values, first, count, search, bins, ROWS)
        sums[:] = 0
        start = agreement = np.uint64(0)
        for tree in range(node_ends.size):
            while agreement < agreement_ends[tree]:
                agree(bins, agreeing, agreements, agreement)
                agreement += agreement_size
            end = np.uint64(node_ends[tree])
            at = end
            while at > start:
                at -= node_size
                kind = nodes[at]
                if kind == SPLIT:
                    split_up(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == PAIR:
                    pair_up(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == LEAF:
                    leaf_up(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == SPLIT_AGAIN:
                    split_again_up(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                else:
                    pair_again_up(bins, numbers, slots, sums, agreeing, nodes, at, weights)
            root(slots, weights)
            while at < end:
                kind = nodes[at]
                if kind == PAIR:
                    pair_down(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == SPLIT:
                    split_down(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == SPLIT_AGAIN:
                    split_again_down(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                elif kind == PAIR_AGAIN:
                    pair_again_down(bins, numbers, slots, sums, agreeing, nodes, at, weights)
                at += node_size
            start = end
        for number in range(features.size):
            for row in range(count):
                found[first + row, features[number]] = sums[number * ROWS + row]


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
