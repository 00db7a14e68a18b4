"""What is suspicious about a column, and whether it is left out of the features for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from churnlib.intake.inspection_columns import Column
from churnlib.intake.twins import twin_categories
from churnlib.intake.wording import listed, share_text

LEAK_AUC = 0.98
_MANY_LEVELS = 200
_PREDICTIVE_AUC = 0.55
_ID_SHARE = 0.5
_ID_ROWS = 20
_MOSTLY = 0.95
_BY_CHANCE = 1e-6
_NAMED_ID = re.compile(r"(^|_)(id|uuid|guid|key|ssn|iban|phone|email)$")


@dataclass(frozen=True)
class ColumnWarning:
    """Something a person should look at.

    Attributes:
        column: the delivered column; empty where it is about the whole file.
        kind: constant, id_like, row_number, leak, one_class_only, duplicates, duplicate_ids, high_cardinality,
            mostly_missing, twin_categories, blank_numbers, mixed_numbers, date, nested, reserved,
            missing_ids, missing_labels, delimiter or encoding.
        message: one sentence.
        leaves_out: the column is no feature unless a person turns it on.
    """

    column: str
    kind: str
    message: str
    leaves_out: bool = False


def snake_case(name: str) -> str:
    """`DaysSinceJoin` as `days_since_join`: names compared word by word."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def check_column(column: Column, churned: pl.Series, auc: float) -> list[ColumnWarning]:
    """All warnings about one column; a column that says nothing at all has just one.

    Args:
        column: with one value a row.
        churned: Boolean, null where the label is missing.
        auc: the column's lone AUC.
    """
    for check in (_nested, _constant, _id_like):
        found = list(check(column))
        if found:
            return [*found, *_mixed_numbers(column)]
    about_label = [*_one_class_only(column, churned), *_leak(column, auc)]
    return [*about_label, *_date(column), *_high_cardinality(column, auc), *_plain_checks(column)]


def _plain_checks(column: Column) -> Iterator[ColumnWarning]:
    for check in (_mostly_missing, _blank_numbers, _mixed_numbers, _twins):
        yield from check(column)


def _nested(column: Column) -> Iterator[ColumnWarning]:
    if column.kind is None:
        said = f"holds {column.values.dtype}, not single values; unpack it into columns of their own"
        yield ColumnWarning(column.name, "nested", said, leaves_out=True)


def _constant(column: Column) -> Iterator[ColumnWarning]:
    if column.distinct == 0:
        yield ColumnWarning(column.name, "constant", "has no value in any row", leaves_out=True)
    elif column.distinct == 1 and not column.missing:
        only = column.top[0][0] if column.top else f"{column.values[0]}"
        yield ColumnWarning(column.name, "constant", f"is {only!r} in every row", leaves_out=True)


def _id_like(column: Column) -> Iterator[ColumnWarning]:
    cells = column.rows - column.missing
    if column.distinct < _ID_ROWS:
        return
    if column.kind == "category" and column.distinct > _ID_SHARE * cells:
        said = f"has {column.distinct:,} different texts in {cells:,} rows, like an id or a name"
        yield ColumnWarning(column.name, "id_like", said, leaves_out=True)
    elif column.is_whole and column.distinct == column.rows:
        if column.values.is_sorted() or column.values.is_sorted(descending=True):
            yield ColumnWarning(column.name, "id_like", "only counts the rows, like a row number", leaves_out=True)
        elif _NAMED_ID.search(snake_case(column.name)):
            yield ColumnWarning(
                column.name, "id_like", "differs in every row and is named like an id", leaves_out=True
            )


def _one_class_only(column: Column, churned: pl.Series) -> Iterator[ColumnWarning]:
    """Missing, or set, for one class only, in more rows than chance explains (11 of 7,043 prove nothing)."""
    known = churned.is_not_null()
    labels = churned.filter(known)
    is_missing = column.values.is_null().filter(known)
    for words, rows in (("set", labels.filter(~is_missing)), ("missing", labels.filter(is_missing))):
        if rows.is_empty() or rows.len() == labels.len() or rows.n_unique() > 1:
            continue
        share = float((labels == rows[0]).mean())
        if share ** rows.len() < _BY_CHANCE:
            who = "churned" if rows[0] else "stayed"
            said = (
                f"is only ever {words} for customers who {who} ({rows.len():,} rows); it may be written afterwards"
            )
            yield ColumnWarning(column.name, "one_class_only", said, leaves_out=True)
            return


def _leak(column: Column, auc: float) -> Iterator[ColumnWarning]:
    if auc > LEAK_AUC:
        said = f"alone tells who churned with an AUC of {auc:.3f}; it probably knows the answer"
        yield ColumnWarning(column.name, "leak", said, leaves_out=True)


def _date(column: Column) -> Iterator[ColumnWarning]:
    if column.kind == "date":
        said = "is a date: it can serve expressions (input_only = true), but is no feature by itself"
        yield ColumnWarning(column.name, "date", said, leaves_out=True)


def _high_cardinality(column: Column, auc: float) -> Iterator[ColumnWarning]:
    if column.kind == "category" and column.distinct > _MANY_LEVELS:
        says_little = auc < _PREDICTIVE_AUC
        verdict = "says little about churn" if says_little else "is kept because it says something about churn"
        said = f"has {column.distinct:,} categories and {verdict} (lone AUC {auc:.3f})"
        yield ColumnWarning(column.name, "high_cardinality", said, leaves_out=says_little)


def _mostly_missing(column: Column) -> Iterator[ColumnWarning]:
    if column.missing > _MOSTLY * column.rows:
        said = f"is missing in {share_text(column.missing / column.rows)} of the rows"
        yield ColumnWarning(column.name, "mostly_missing", said)


def _blank_numbers(column: Column) -> Iterator[ColumnWarning]:
    if column.kind == "number" and column.blanks:
        said = f"is a number with {column.blanks:,} cells of blanks, which are read as missing"
        yield ColumnWarning(column.name, "blank_numbers", said)


def _mixed_numbers(column: Column) -> Iterator[ColumnWarning]:
    if column.odd:
        said = (
            f"is a number but for {column.odd:,} cells such as {column.example[:40]!r}; "
            "name them under input.missing and set type = 'number'"
        )
        yield ColumnWarning(column.name, "mixed_numbers", said)


def _twins(column: Column) -> Iterator[ColumnWarning]:
    if column.kind != "category":
        return
    pairs = twin_categories(column.values.drop_nulls().unique(maintain_order=True).to_list())
    if pairs:
        shown = [f"{one!r} and {other!r}" for one, other in pairs[:3]]
        said = f"may name one thing twice: {listed(shown, total=len(pairs))}"
        yield ColumnWarning(column.name, "twin_categories", said)
