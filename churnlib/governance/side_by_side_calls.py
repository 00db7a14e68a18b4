"""Who enters and who leaves the call list when one version follows another; needs scores, no outcomes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from churnlib.governance.comparison import CALL_SHARE, MAX_LEVELS, MISSING
from churnlib.governance.side_by_side import CallChange, Moves
from churnlib.spec import AS_OF, Spec

BANDS = ("least valuable quarter", "second quarter", "third quarter", "most valuable quarter")


def call_change(
    rows: pl.DataFrame, first: np.ndarray, second: np.ndarray, spec: Spec, *, source: str
) -> CallChange:
    """Compare the riskiest tenth of each snapshot by both versions; ties go by the order of the rows.

    Args:
        rows: an accepted frame, one row at least.
        first: probabilities of the first version, aligned with `rows`.
        second: probabilities of the second.
        spec: for the categories and the value column.
        source: of the rows, in words.
    """
    listed = _listed(rows, first, second)
    dates = rows.get_column(AS_OF).unique().sort().to_list()
    money = None if spec.columns.value is None else rows.get_column(spec.columns.value).cast(pl.Float64)
    return CallChange(
        whole=_moves("", "all customers", listed, money),
        segments=tuple(_segments(rows, listed, money, spec)),
        by_value=() if money is None else tuple(_bands(listed, money, str(spec.columns.value))),
        first_as_of=dates[0],
        last_as_of=dates[-1],
        source=source,
    )


def _listed(rows: pl.DataFrame, first: np.ndarray, second: np.ndarray) -> pl.DataFrame:
    """Columns `first` and `second`, True on the list."""
    size = (pl.len().over(AS_OF) * CALL_SHARE).round().clip(1)
    scores = rows.select(AS_OF, pl.Series("first", first), pl.Series("second", second))
    ranked = pl.col("first", "second").rank("ordinal", descending=True).over(AS_OF)
    return scores.select(ranked <= size)


def _segments(rows: pl.DataFrame, listed: pl.DataFrame, money: pl.Series | None, spec: Spec) -> Iterator[Moves]:
    for name, feature in spec.delivered.items():
        if feature.type not in {"category", "boolean"} or rows.get_column(name).n_unique() > MAX_LEVELS:
            continue
        values = rows.get_column(name).cast(pl.String).fill_null(MISSING)
        for value in sorted(values.unique().to_list()):
            yield _part(name, value, values == value, listed, money)


def _bands(listed: pl.DataFrame, money: pl.Series, column: str) -> Iterator[Moves]:
    """Quarters of the customers by value, equal values in one quarter; those without a value come last."""
    band = (money.rank("min") - 1) * len(BANDS) // money.count()
    for number, name in enumerate(BANDS):
        is_in = (band == number).fill_null(value=False)
        if is_in.any():
            low, high = np.quantile(money.filter(is_in).to_numpy(), [0, 1])
            span = f"{low:,.0f} to {high:,.0f}"
            yield _part(column, f"{name}, {span}", is_in, listed, money)
    if money.null_count():
        yield _part(column, MISSING, money.is_null(), listed, money)


def _part(name: str, value: str, is_in: pl.Series, listed: pl.DataFrame, money: pl.Series | None) -> Moves:
    return _moves(name, value, listed.filter(is_in), None if money is None else money.filter(is_in))


def _moves(name: str, value: str, listed: pl.DataFrame, money: pl.Series | None) -> Moves:
    one, two = listed["first"], listed["second"]
    entered, left = two & ~one, one & ~two
    return Moves(
        feature=name,
        value=value,
        customers=listed.height,
        listed_first=int(one.sum()),
        listed_second=int(two.sum()),
        entered=int(entered.sum()),
        left=int(left.sum()),
        value_entered=None if money is None else float(money.filter(entered).sum()),
        value_left=None if money is None else float(money.filter(left).sum()),
    )
