"""The contract for single rows, as expressions: the same for a whole file and for a stream of batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from churnlib.intake.cells import Kind, given, text, value
from churnlib.intake.labels import plain_class, plain_classes
from churnlib.intake.wording import number_text
from churnlib.spec import AS_OF, ID, LABEL, Feature, Spec

REASONS = "_reasons"

_FAULTS = {"number": "not a number", "boolean": "not true or false", "date": "not a date"}
_MOST_CATEGORIES = 4
_TYPES: dict[Kind, pl.DataType] = {
    "number": pl.Float64(),
    "category": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
}


@dataclass(frozen=True)
class RowCheck:
    """What becomes of each row of a raw frame, without a look at any other row.

    Attributes:
        given: what was delivered for each accepted column, over the raw frame.
        values: the accepted columns, over `given`; sound only where no rule is broken.
        broken: by reason, whether a row breaks it, over `given` and `values`; a null is a no.
    """

    given: dict[str, pl.Expr] = field(default_factory=dict)
    values: dict[str, pl.Expr] = field(default_factory=dict)
    broken: dict[str, pl.Expr] = field(default_factory=dict)

    def apply(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Evaluate on rows in memory: the accepted columns, and a Boolean column for each reason."""
        flags = [flag.fill_null(value=False).alias(f"broken:{reason}") for reason, flag in self.broken.items()]
        rows = (
            raw.lazy()
            .select(expression.alias(_given(name)) for name, expression in self.given.items())
            .with_columns(expression.alias(name) for name, expression in self.values.items())
            .with_columns(flags)
            .collect()
        )
        broken = rows.select(rows.columns[rows.width - len(flags) :])
        broken.columns = list(self.broken)
        return rows.select(list(self.values)), broken

    def add(self, name: str, column: str, kind: Kind, schema: pl.Schema, spec: Spec) -> None:
        """Read a raw column as an accepted one; what is given and no value of the kind breaks a rule."""
        self.given[name] = given(column, schema[column], kind, spec.input.missing)
        self.values[name] = value(pl.col(_given(name)), schema[column], kind)
        if kind in _FAULTS:
            self.broken[f"{name}: {_FAULTS[kind]}"] = pl.col(_given(name)).is_not_null() & pl.col(name).is_null()

    def demand(self, name: str) -> None:
        """A row without it breaks a rule."""
        self.broken[f"{name}: missing"] = pl.col(_given(name)).is_null()

    def add_key(self, schema: pl.Schema, spec: Spec, as_of: str | None) -> None:
        """Read the customer's id, and `as_of` from a raw column if there is one."""
        column = spec.columns.id
        self.given[ID] = text(column, schema[column], spec.input.missing)
        self.values[ID] = pl.col(_given(ID))
        self.demand(ID)
        if as_of is not None:
            self.add(AS_OF, as_of, "date", schema, spec)
            self.demand(AS_OF)

    def add_label(self, schema: pl.Schema, spec: Spec, column: str) -> None:
        """Read the label; that it has two classes is for the file as a whole to say."""
        self.given[LABEL] = plain_classes(column, schema[column], spec.input.missing)
        self.values[LABEL] = pl.col(_given(LABEL)) == plain_class(spec.columns.positive)
        self.broken["label: missing"] = pl.col(_given(LABEL)).is_null()


def row_check(schema: pl.Schema, spec: Spec, *, delivered_on: date, labelled: bool) -> RowCheck:
    """The check of rows with these raw columns; required columns must be there.

    `as_of` is the delivery's date where the spec names no column for it. An optional column that the
    file lacks is all null, and its rows are accepted.
    """
    rules = RowCheck()
    rules.add_key(schema, spec, spec.columns.as_of)
    if spec.columns.as_of is None:
        rules.values[AS_OF] = pl.lit(delivered_on, pl.Date)
    for name, feature in spec.delivered.items():
        if name in schema:
            rules.add(name, name, feature.type, schema, spec)
            rules.broken.update(_limits(name, feature))
            if not feature.nullable:
                rules.demand(name)
        else:
            rules.values[name] = pl.lit(None, _TYPES[feature.type])
    if labelled:
        rules.add_label(schema, spec, spec.columns.label or LABEL)
    return rules


def reasons_of(broken: pl.DataFrame) -> pl.Series:
    """The reasons of each row as List[String], in the check's order."""
    named = [pl.when(pl.col(reason)).then(pl.lit(reason)) for reason in broken.columns]
    return broken.select(pl.concat_list(named).list.drop_nulls().alias(REASONS)).to_series()


def _limits(name: str, feature: Feature) -> dict[str, pl.Expr]:
    limits: dict[str, pl.Expr] = {}
    if feature.min is not None:
        limits[f"{name}: below {number_text(feature.min)}"] = pl.col(name) < feature.min
    if feature.max is not None:
        limits[f"{name}: above {number_text(feature.max)}"] = pl.col(name) > feature.max
    if feature.categories is not None:
        limits[f"{name}: not one of {_shown(feature.categories)}"] = ~pl.col(name).is_in(list(feature.categories))
    return limits


def _shown(categories: tuple[str, ...]) -> str:
    shown = ", ".join(categories[:_MOST_CATEGORIES])
    return shown + (", …" if len(categories) > _MOST_CATEGORIES else "")


def _given(name: str) -> str:
    return f"given:{name}"
