"""Rows sorted into accepted and quarantined, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl

from churnlib.intake.row_check import REASONS, RowCheck, reasons_of
from churnlib.spec import AS_OF, ID

DUPLICATE = f"{ID}: duplicate"


@dataclass(frozen=True)
class Sorted:
    """Rows sorted by the contract, each side in the file's order.

    Attributes:
        accepted: cast, one row per customer and `as_of`.
        quarantined: as delivered, with `_reasons` (List[String], never empty) last.
        by_reason: rows by reason, most frequent first; a row with two reasons counts in both.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    by_reason: dict[str, int]


@dataclass
class Tally:
    """What sorted rows add up to.

    Attributes:
        accepted: rows.
        quarantined: rows.
        dates: accepted rows by `as_of` (Date, `len`), in no order.
    """

    accepted: int = 0
    quarantined: int = 0
    dates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={AS_OF: pl.Date, "len": pl.UInt32}))
    _by_reason: dict[str, int] = field(default_factory=dict)

    def add(self, rows: Sorted) -> None:
        """Count some more rows."""
        self.accepted += rows.accepted.height
        self.quarantined += rows.quarantined.height
        self.dates = pl.concat([self.dates, _counted(rows.accepted[AS_OF])]).group_by(AS_OF).sum()
        for reason, count in rows.by_reason.items():
            self._by_reason[reason] = self._by_reason.get(reason, 0) + count

    @property
    def rows(self) -> int:
        """Accepted and quarantined together."""
        return self.accepted + self.quarantined

    def by_reason(self, order: Iterable[str]) -> dict[str, int]:
        """Rows by reason, most frequent first, among equals in the given order; a row with two counts in both."""
        return most_frequent({reason: self._by_reason.get(reason, 0) for reason in order})


def _counted(dates: pl.Series) -> pl.DataFrame:
    """Rows by date; of a batch's many rows with one date without a look at each."""
    if dates.n_unique() == 1:
        return pl.DataFrame([dates.head(1), pl.Series("len", [dates.len()], pl.UInt32)])
    return dates.to_frame().group_by(AS_OF).len()


def most_frequent(counts: dict[str, int]) -> dict[str, int]:
    """Reasons that occur, most frequent first."""
    found = [(reason, rows) for reason, rows in counts.items() if rows]
    return dict(sorted(found, key=lambda item: -item[1]))


def repeated_keys(accepted: pl.DataFrame) -> pl.Series:
    """Which rows are of a customer and `as_of` that an earlier row is of."""
    keys = pl.struct(ID, AS_OF) if accepted[AS_OF].n_unique() > 1 else pl.col(ID)
    return ~accepted.select(keys.is_first_distinct()).to_series()


def sort_rows(
    delivered: pl.DataFrame, check: RowCheck, repeated: Callable[[pl.DataFrame], pl.Series] = repeated_keys
) -> Sorted:
    """Apply the rules row by row, then quarantine every repetition of a customer and `as_of`.

    Of several good rows for one customer and `as_of` the first is accepted.

    Args:
        delivered: rows of one file.
        check: the rules.
        repeated: of the rows that break no rule, which repeat an earlier one.
    """
    values, broken = check.apply(delivered)
    is_bad = _in_any(broken, delivered.height)
    good = values.filter(~is_bad) if is_bad.any() else values
    is_repeated = repeated(good)
    if is_repeated.any():
        good = good.filter(~is_repeated)
        positions = (~is_bad).arg_true().filter(is_repeated)
        again = pl.zeros(delivered.height, pl.Boolean, eager=True).scatter(positions, values=True)
        broken, is_bad = pl.DataFrame([*broken, again.alias(DUPLICATE)]), is_bad | again
    if not is_bad.any():
        return Sorted(good, delivered.clear().with_columns(pl.Series(REASONS, [], pl.List(pl.String))), {})
    by_reason = most_frequent(dict(zip(broken.columns, broken.sum().row(0), strict=True)))
    reasons = reasons_of(broken.filter(is_bad).select(reason for reason in broken.columns if reason in by_reason))
    return Sorted(good, delivered.filter(is_bad).with_columns(reasons), by_reason)


def _in_any(flags: pl.DataFrame, height: int) -> pl.Series:
    """Which of so many rows have a flag."""
    if not flags.width:
        return pl.zeros(height, pl.Boolean, eager=True)
    return flags.select(pl.any_horizontal(pl.all()).alias("any")).to_series()
