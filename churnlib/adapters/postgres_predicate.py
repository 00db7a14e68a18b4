"""What a filter on customers says, so that the server need not send a batch for the sake of one of them."""

from __future__ import annotations

from typing import Final

import polars as pl

from churnlib.spec import ID

_ID: Final = pl.col(ID)


def customers_of(predicate: pl.Expr | None) -> list[str] | None:
    """Ids outside of which the predicate holds for no row; None where it does not name any.

    Understood are `customer_id == "…"`, `customer_id.is_in([…])` and either of them "and" anything else. The
    predicate is still to be applied: this only narrows what has to be read.
    """
    if predicate is None:
        return None
    parts = predicate.meta.pop()
    if len(parts) != 2:
        return None
    for one, other in (parts, reversed(parts)):
        if (one & other).meta.eq(predicate):
            named = customers_of(one)
            return customers_of(other) if named is None else named
        if one.meta.eq(_ID) and not other.meta.root_names():
            return _named(other, predicate)
    return None


def _named(literal: pl.Expr, predicate: pl.Expr) -> list[str] | None:
    """The ids in a literal, if the predicate is that the customer's is one of them."""
    if any(each.meta.eq(predicate) for each in (_ID.eq(literal), literal.eq(_ID))):
        return _texts(pl.select(literal).to_series())
    if _ID.is_in(literal).meta.eq(predicate):
        return _texts(pl.select(literal).to_series().explode())
    return None


def _texts(values: pl.Series) -> list[str] | None:
    return values.drop_nulls().to_list() if values.dtype == pl.String else None
