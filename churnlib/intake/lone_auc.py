"""How well one column alone tells who churned."""

from __future__ import annotations

import math

import polars as pl

from churnlib.intake.inspection_columns import Column

_FOLDS = 5
_PRIOR_ROWS = 20.0
_BINS = 64
_ROWS_A_BIN = 20


def lone_auc(column: Column, churned: pl.Series) -> float:
    """AUC from 0.5 (says nothing) to 1 (says all) of one column; missing counts as a value.

    Categories: ranked by the smoothed churn rate of their other folds, so that a category with one
    customer says nothing about that customer. Numbers: the better of the rank of the value, either
    way round, and the same churn rate over bins, which sees a relation that turns.

    Args:
        column: any kind; dates count as numbers.
        churned: Boolean without nulls, in the rows' order, of both classes.
    """
    if column.kind in ("category", "boolean"):
        return max(0.5, _auc(_rated(_counted(column.values.cast(pl.String), churned))))
    counted = _counted(column.values.to_physical().cast(pl.Float64), churned)
    ranked = [_auc(counted.with_columns(score=pl.col("value").fill_null(edge))) for edge in (-math.inf, math.inf)]
    return max(*ranked, *(1 - auc for auc in ranked), _auc(_rated(_binned(counted, column.rows))))


def _counted(values: pl.Series, churned: pl.Series) -> pl.DataFrame:
    """`rows` and `churned` by `value` and `fold`: all that the rest needs, and far fewer rows."""
    frame = pl.DataFrame({"value": values, "churned": churned}).with_row_index("fold")
    return (
        frame.lazy()
        .group_by("value", pl.col("fold") % _FOLDS)
        .agg(pl.len().cast(pl.Float64).alias("rows"), pl.col("churned").sum().cast(pl.Float64))
        .collect()
    )


def _binned(counted: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Each value its own bin where there are few, else bins of about equally many rows; missing is one more."""
    bins = max(2, min(_BINS, rows // _ROWS_A_BIN))
    if counted["value"].n_unique() <= bins:
        return counted
    ordered = counted.sort("value", nulls_last=True).with_columns(before=pl.col("rows").cum_sum() - pl.col("rows"))
    first = pl.col("before").min().over("value")
    bin_of = pl.when(pl.col("value").is_not_null()).then((first * bins / rows).floor())
    return ordered.group_by(bin_of.alias("value"), "fold").agg(pl.col("rows", "churned").sum())


def _rated(counted: pl.DataFrame) -> pl.DataFrame:
    """With `score`, the churn rate of the value in the other folds, drawn towards the rate of all rows."""
    prior = float(counted["churned"].sum()) / float(counted["rows"].sum())
    others = {name: pl.col(name).sum().over("value") - pl.col(name) for name in ("rows", "churned")}
    return counted.with_columns(score=(others["churned"] + prior * _PRIOR_ROWS) / (others["rows"] + _PRIOR_ROWS))


def _auc(scored: pl.DataFrame) -> float:
    """The share of pairs in which the churned customer has the higher `score`, ties half (Mann-Whitney)."""
    counted = scored.group_by("score").agg(pl.col("rows", "churned").sum()).sort("score")
    stayed = counted["rows"] - counted["churned"]
    won = counted["churned"] * (stayed.cum_sum() - stayed / 2)
    return float(won.sum()) / (float(counted["churned"].sum()) * float(stayed.sum()))
