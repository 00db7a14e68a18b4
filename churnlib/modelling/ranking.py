"""Each row's rank within a batch that is never in memory as a whole: exact, from a few bytes a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LOW = np.uint64(0xFFFF_FFFF)  # half of a key that holds the row
_HIGH = np.uint64(32)

_PIECE = 1 << 16  # rows for which temporary arrays are made at a time

DECILES = 10


@dataclass(frozen=True)
class Ranks:
    """Ranks of some rows within their batch, one entry a row in the rows' order.

    Attributes:
        percentile: float64, share of the batch with no higher value, in percent: above 0, and the riskiest has
            100; equal values have the same.
        decile: int8, 1 is the riskiest tenth, 10 the safest; of equal size: ties are cut by the order of the file.
        place: int64, 0 is the riskiest; all different, ties go by the order of the file.
    """

    percentile: np.ndarray
    decile: np.ndarray
    place: np.ndarray

    def filter(self, kept: np.ndarray) -> Ranks:
        """The ranks of some of the rows: a boolean for each."""
        return Ranks(self.percentile[kept], self.decile[kept], self.place[kept])


class Ranking:
    """Collects the values of a batch, part after part, and then knows the rank of every row.

    How a batch is cut into parts changes nothing. It holds 4 bytes a row while values are added, at most 16
    when the first ranks are asked for, and 8 from then on.
    """

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._rows = 0
        self._settled: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def rows(self) -> int:
        """How many were added."""
        return self._rows

    def add(self, values: np.ndarray) -> None:
        """Add the next rows' values in the order of the file; higher is riskier.

        Values are told apart as far as float32 does, which holds margins exactly. Infinities are values.

        Raises:
            ValueError: a value is NaN, which has no rank, or there are more than 4,294,967,296 rows.
            RuntimeError: ranks were asked for already, and more rows would change them.
        """
        if self._settled is not None:
            raise RuntimeError("rows cannot be added to a ranking that was asked for ranks")
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            part = np.asarray(values).astype(np.float32)
        if np.isnan(part).any():
            raise ValueError(f"row {self._rows + int(np.isnan(part).argmax())} has no value to rank it by: NaN")
        if self._rows + len(part) > int(_LOW) + 1:
            raise ValueError(f"more than {int(_LOW) + 1:,} rows cannot be ranked")
        part += np.float32(0)  # -0.0 is 0.0
        self._parts.append(part)
        self._rows += len(part)

    def ranks(self, start: int, stop: int) -> Ranks:
        """The ranks of the rows from `start` on, before `stop`, among all that were added.

        Raises:
            ValueError: there are no such rows.
        """
        if not 0 <= start <= stop <= self._rows:
            raise ValueError(f"rows {start} to {stop} are not among {self._rows}")
        if self._settled is None:
            self._settled = self._settle()
        places, above = self._settled
        place, rows = places[start:stop].astype(np.int64), max(self._rows, 1)
        return Ranks(
            percentile=(self._rows - above[start:stop].astype(np.int64)) / rows * 100,
            decile=(place * DECILES // rows + 1).astype(np.int8),
            place=place,
        )

    def _settle(self) -> tuple[np.ndarray, np.ndarray]:
        """Each row's place, and how many rows have a higher value; both uint32."""
        keys = self._keys()
        keys.sort()
        places, above = (np.empty(self._rows, dtype=np.uint32) for _ in range(2))
        tied = np.uint32(0)
        for start in range(0, self._rows, _PIECE):
            value, row = keys[start : start + _PIECE] >> _HIGH, keys[start : start + _PIECE] & _LOW
            place = np.arange(start, start + len(row), dtype=np.uint32)
            before = keys[start - 1] >> _HIGH if start else ~value[0]
            differs = np.diff(value, prepend=before) != 0
            first_tied = np.maximum.accumulate(np.where(differs, place, tied))
            places[row], above[row], tied = place, first_tied, first_tied[-1]
        return places, above

    def _keys(self) -> np.ndarray:
        """One number a row that sorts as the row does: its value upside down, then where it stands."""
        keys = np.empty(self._rows, dtype=np.uint64)
        start, self._parts = 0, self._parts[::-1]
        while self._parts:
            bits = self._parts.pop().view(np.uint32)
            # Of negative numbers, the bits rise as the number falls; of the others they rise with it.
            falling = bits ^ ((bits >> np.uint32(31)) - np.uint32(1) & np.uint32(0x7FFF_FFFF))
            stop = start + len(bits)
            keys[start:stop] = falling.astype(np.uint64) << _HIGH | np.arange(start, stop, dtype=np.uint64)
            start = stop
        return keys
