"""The engine's one class: a booster goes in, margins and contributions of whole matrices come out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from churnlib.modelling.trees.bins import Binning, plan_bins
from churnlib.modelling.trees.contributions import contribute
from churnlib.modelling.trees.games import Game, plan_game
from churnlib.modelling.trees.parse import Forest, NotCovered, read_forest
from churnlib.modelling.trees.predict import LeafProgram, plan_leaves, predict
from churnlib.modelling.trees.sample import Sample, take_sample
from churnlib.modelling.trees.strongest import choose

if TYPE_CHECKING:
    import xgboost

__all__ = ["NotCovered", "TreeEngine"]

_PIECE = 8_192  # rows that a thread takes at a time, a multiple of all block sizes

_TOP_PIECE = 4_096  # rows whose contributions are in memory at a time


@dataclass(frozen=True, eq=False, repr=False)
class TreeEngine:
    """Evaluates one model. It does not change and may be shared between threads.

    Margins have the same bits as XGBoost's. Contributions are those of path-dependent TreeSHAP (Lundberg et
    al. 2018), computed by quadrature (Wettenstein, Mitchell and Yu 2026), within 1e-5 of XGBoost's. A row's
    numbers depend neither on the other rows nor on the number of threads.

    Values are float32 in C order, shape (rows, features), in the booster's order of features; NaN is missing,
    and infinities are beyond every threshold, as for `inplace_predict`.
    """

    _forest: Forest
    _binning: Binning
    _leaves: LeafProgram
    _sample: Sample

    @classmethod
    def from_booster(cls, booster: xgboost.Booster) -> TreeEngine:
        """Prepare a model, and see that some rows on its thresholds score as they do in XGBoost.

        Covered are gbtree boosters with one output and numeric splits, of a depth of at most 10, of every
        objective.

        Raises:
            NotCovered: it is another one; the message says why, as the end of a sentence.
        """
        forest = read_forest(booster)
        binning = plan_bins(forest)
        sample = take_sample(booster, binning.search.feature, forest)
        engine = cls(forest, binning, plan_leaves(forest, binning), sample)
        if not np.array_equal(engine.margins(sample.values), sample.margins):
            raise NotCovered("its scores are not XGBoost's on a sample of rows")
        return engine

    @property
    def features(self) -> int:
        """Columns of a matrix."""
        return self._forest.features

    @property
    def trees(self) -> int:
        """How many there are."""
        return len(self._forest.trees)

    @property
    def base(self) -> np.float32:
        """What a row without any feature is worth: the last column of the contributions."""
        return np.float32(np.float64(self._forest.base_margin) + self._game.expected)

    def ready_to_explain(self) -> TreeEngine:
        """Prepare contributions now, not at the first call; returns itself.

        Raises:
            NotCovered: as `contributions`.
        """
        _ = self._game
        return self

    def margins(self, values: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """Return the raw score of each row before the objective's transform, float32, shape (rows,).

        Raises:
            ValueError: the values have another type, order or number of features.
        """
        given = self._checked(values)
        found = np.empty(len(given), dtype=np.float32)

        def work(rows: slice) -> None:
            predict(given[rows], self._binning, self._leaves, self._forest.base_margin, found[rows])

        _in_pieces(work, len(given), _PIECE, threads)
        return found

    def contributions(self, values: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """Return what each feature adds to the margin, float32, shape (rows, features + 1).

        The last column is `base`; a row's sum is its margin but for rounding.

        Raises:
            ValueError: as `margins`.
            NotCovered: covers do not add up, or on a sample of rows the result is not XGBoost's.
        """
        given, base = self._checked(values), self.base
        found = np.zeros((len(given), self.features + 1), dtype=np.float32)

        def work(rows: slice) -> None:
            contribute(given[rows], self._binning, self._game, found[rows])
            found[rows, -1] = base

        _in_pieces(work, len(given), _PIECE, threads)
        return found

    def top(self, values: np.ndarray, strongest: int, *, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's strongest features, strongest first, without ever holding all contributions.

        Args:
            values: as for `margins`.
            strongest: how many; never more than there are features.
            threads: at most so many work at once.

        Returns:
            Columns of the features, int32, and their contributions, float32, both of shape (rows, strongest)
            in Fortran order. Ordered by absolute size, ties by the order of features. Features without
            influence are left out: where fewer have any, the column is -1 and the contribution 0.

        Raises:
            ValueError: as `margins`.
            NotCovered: as `contributions`.
        """
        given, kept = self._checked(values), min(strongest, self.features)
        places = np.empty((kept, len(given)), dtype=np.int32)
        found = np.empty((kept, len(given)), dtype=np.float32)
        game = self._game

        def work(rows: slice) -> None:
            part = np.zeros((rows.stop - rows.start, self.features), dtype=np.float32)
            contribute(given[rows], self._binning, game, part)
            places[:, rows], found[:, rows] = choose(part, kept)

        _in_pieces(work, len(given), _TOP_PIECE, threads)
        return places.T, found.T

    @cached_property
    def _game(self) -> Game:
        if not self._forest.covers_add_up:
            raise NotCovered("the covers of its nodes do not add up")
        game = plan_game(self._forest, self._binning)
        found = np.zeros((len(self._sample.explained), self.features), dtype=np.float32)
        contribute(_read_only(self._sample.explained), self._binning, game, found)
        if not self._sample.agrees(found, np.float64(self._forest.base_margin) + game.expected):
            raise NotCovered("its contributions are not XGBoost's on a sample of rows")
        return game

    def _checked(self, values: np.ndarray) -> np.ndarray:
        if values.ndim != 2 or values.shape[1] != self.features:
            raise ValueError(f"values of shape {values.shape} have not the model's {self.features} features")
        if values.dtype != np.float32 or not values.flags.c_contiguous:
            raise ValueError(f"values of {values.dtype} with strides {values.strides} are not float32 in C order")
        return _read_only(values)


def _read_only(values: np.ndarray) -> np.ndarray:
    # To Numba, arrays that may be written are of another type: one type, one compilation.
    view = values.view()
    view.flags.writeable = False
    return view


def _in_pieces(work: Callable[[slice], None], rows: int, piece: int, threads: int) -> None:
    pieces = [slice(start, min(start + piece, rows)) for start in range(0, rows, piece)]
    if threads <= 1 or len(pieces) <= 1:
        for rows_of_piece in pieces:
            work(rows_of_piece)
        return
    with ThreadPoolExecutor(min(threads, len(pieces)), thread_name_prefix="trees") as pool:
        list(pool.map(work, pieces))
