"""The label's classes: two of them, one of which means "churned"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.cells import FALSE_WORDS, TRUE_WORDS, text
from churnlib.intake.wording import counts_text

_TRUE, _FALSE = "1", "0"
_SUFFIX_ZERO = r"^([+-]?\d+)\.0+$"


@dataclass(frozen=True)
class Classes:
    """Classes of a label column, as delivered.

    Attributes:
        rows: rows by class, as the file first writes it, most frequent first; missing labels not counted.
        plain: the comparable form of each class, in the same order.
    """

    rows: Mapping[str, int]
    plain: tuple[str, ...]


def plain_class(value: str | int | float | bool) -> str:
    """A class in the form in which classes are compared: `Yes`, `true`, `1.0` and `1` are one."""
    given = re.sub(_SUFFIX_ZERO, r"\1", str(value).strip().lower())
    return _TRUE if given in TRUE_WORDS else _FALSE if given in FALSE_WORDS else given


def plain_classes(column: str, dtype: pl.DataType, missing: Sequence[str]) -> pl.Expr:
    """`plain_class` of a raw column, null where the label is missing."""
    given = text(column, dtype, missing).str.to_lowercase().str.replace(_SUFFIX_ZERO, "$1")
    return (
        pl.when(given.is_in(list(TRUE_WORDS)))
        .then(pl.lit(_TRUE))
        .when(given.is_in(list(FALSE_WORDS)))
        .then(pl.lit(_FALSE))
        .otherwise(given)
    )


def classes_of(raw: pl.DataFrame, column: str, missing: Sequence[str]) -> Classes:
    """Count the classes of a label column."""
    dtype = raw.schema[column]
    counted = (
        raw.lazy()
        .select(plain_classes(column, dtype, missing).alias("plain"), text(column, dtype, missing).alias("shown"))
        .drop_nulls("plain")
        .group_by("plain", maintain_order=True)
        .agg(pl.col("shown").first(), pl.len().alias("rows"))
        .sort("rows", descending=True, maintain_order=True)
        .collect()
    )
    return Classes(dict(zip(counted["shown"], counted["rows"], strict=True)), tuple(counted["plain"]))


def check_two_classes(classes: Classes, column: str, source: str, *, setting: str) -> None:
    """Refuse a label that is no question of yes or no.

    Args:
        classes: what the column holds.
        column: the label.
        source: the file's name.
        setting: where the label's column is chosen, for the hint.

    Raises:
        FileRefused: no class, one, or more than two; the message names and counts them.
    """
    counts = counts_text(classes.rows)
    if len(classes.plain) > 2:
        raise FileRefused(
            f"{source}: label {column!r} has {len(classes.plain):,} classes instead of two: {counts}.",
            hint=f"Check that {setting} names the right column; leave unknown answers empty.",
        )
    if len(classes.plain) < 2:
        found = f"only one class: {counts}" if classes.plain else "no value in any row"
        raise FileRefused(
            f"{source}: label {column!r} has {found}; there is nothing to learn.",
            hint="Deliver rows of customers who left and of customers who stayed.",
        )


def check_positive(
    classes: Classes, positive: str | int | float | bool, column: str, source: str, *, setting: str
) -> None:
    """Refuse a file of two classes none of which is the positive one.

    Raises:
        FileRefused: `positive` is neither class.
    """
    if len(classes.plain) >= 2 and plain_class(positive) not in classes.plain:
        raise FileRefused(
            f"{source}: label {column!r} is never {str(positive)!r}; it is {counts_text(classes.rows)}.",
            hint=f"Set {setting} to the value that means churned.",
        )
