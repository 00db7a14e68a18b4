"""A filter on customers is read for what it allows, and never for less."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.io.plugins import register_io_source

from churnlib.adapters.postgres_predicate import customers_of
from churnlib.spec import ID

CUSTOMER, RISK = pl.col(ID), pl.col("probability")


def arriving(wanted: pl.Expr) -> pl.Expr | None:
    """The filter as polars hands it to a source."""
    arrived: list[pl.Expr | None] = []

    def source(
        _: list[str] | None, predicate: pl.Expr | None, __: int | None, ___: int | None
    ) -> Iterator[pl.DataFrame]:
        arrived.append(predicate)
        yield from ()

    schema = {ID: pl.String, "probability": pl.Float64}
    register_io_source(source, schema=schema).filter(wanted).collect(engine="streaming")
    return arrived[0] if arrived else pl.lit(value=False)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (CUSTOMER == "x", ["x"]),
        (pl.lit("x") == CUSTOMER, ["x"]),
        (CUSTOMER.is_in(["a", "b", None]), ["a", "b"]),
        ((CUSTOMER == "x") & (RISK > 0.5), ["x"]),
        (RISK.is_not_null() & (RISK > 0.1) & CUSTOMER.is_in(["q"]), ["q"]),
        (CUSTOMER == "' OR 1=1 --", ["' OR 1=1 --"]),
    ],
)
def test_a_filter_that_names_customers_is_understood(wanted: pl.Expr, named: list[str]) -> None:
    assert customers_of(arriving(wanted)) == named


@pytest.mark.parametrize(
    "wanted",
    [
        CUSTOMER != "x",
        CUSTOMER > "x",
        CUSTOMER.eq_missing("x"),
        ~(CUSTOMER == "x"),
        ~CUSTOMER.is_in(["x", "y"]),
        (CUSTOMER == "x") | (RISK > 0.5),
        CUSTOMER.str.to_lowercase() == "x",
        CUSTOMER.str.to_lowercase().is_in(["x", "y"]),
        CUSTOMER.eq(RISK.cast(pl.String)),
        RISK == 0.5,
        RISK.is_in([0.1, 0.5]),
    ],
)
def test_every_other_filter_names_nobody(wanted: pl.Expr) -> None:
    assert customers_of(arriving(wanted)) is None


def test_no_filter_names_nobody() -> None:
    assert customers_of(None) is None


@given(st.lists(st.text(max_size=3), min_size=1, max_size=5), st.lists(st.text(max_size=3), max_size=8))
def test_no_row_that_the_filter_keeps_is_left_out(named: list[str], rows: list[str]) -> None:
    wanted = CUSTOMER.is_in(named) & (RISK < 1)
    frame = pl.DataFrame({ID: rows, "probability": 0.5}, schema={ID: pl.String, "probability": pl.Float64})
    allowed = customers_of(wanted)
    assert allowed is not None
    assert set(frame.filter(wanted)[ID]) <= set(allowed)
