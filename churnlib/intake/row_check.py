"""The contract for single rows, as expressions: the same for a whole file and for a stream of batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from churnlib.intake.cells import Kind, given, text, value
from churnlib.intake.labels import plain_class, plain_classes
from churnlib.intake.short_cuts import ShortCut, short_cut, short_cut_of_id
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
class Rule:
    """What a row must not be.

    Attributes:
        is_broken: over `given` and `values`; a null is a no.
        column: the accepted column whose cells alone the rule is about; None if it asks for more.
    """

    is_broken: pl.Expr
    column: str | None = None


@dataclass(frozen=True)
class RowCheck:
    """What becomes of each row of a raw frame, without a look at any other row.

    Attributes:
        given: what was delivered for each accepted column, over the raw frame.
        values: the accepted columns, over `given`; sound only where no rule is broken.
        rules: by reason.
        short_cuts: by accepted column, a quicker way to the same values.
    """

    given: dict[str, pl.Expr] = field(default_factory=dict)
    values: dict[str, pl.Expr] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    short_cuts: dict[str, ShortCut] = field(default_factory=dict)

    def apply(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Evaluate on rows in memory.

        Returns:
            The accepted columns; and for each reason that may occur a Boolean column, in the order of the rules.
        """
        short = self._short(raw)
        given = {_given(name): cells for name, cells in self.given.items() if name not in short.columns}
        rules = {reason: rule for reason, rule in self.rules.items() if rule.column not in short.columns}
        flags = [rule.is_broken.fill_null(value=False).alias(f"broken:{reason}") for reason, rule in rules.items()]
        rows = (
            pl.concat([raw.select(cells.alias(name) for name, cells in given.items()), short], how="horizontal")
            .lazy()
            .with_columns(cells.alias(name) for name, cells in self.values.items() if name not in short.columns)
            .with_columns(flags)
            .collect()
        )
        broken = rows.select(rows.columns[rows.width - len(flags) :])
        broken.columns = list(rules)
        return rows.select(list(self.values)), broken

    def _short(self, raw: pl.DataFrame) -> pl.DataFrame:
        """The accepted columns whose short cut holds for these rows."""
        tried = raw.select(cut.value.alias(name) for name, cut in self.short_cuts.items())
        return tried.select(
            name for name, cut in self.short_cuts.items() if cut.holds(raw[cut.column], tried[name])
        )

    def add(self, name: str, column: str, kind: Kind, schema: pl.Schema, spec: Spec) -> None:
        """Read a raw column as an accepted one; what is given and no value of the kind breaks a rule."""
        self.given[name] = given(column, schema[column], kind, spec.input.missing)
        self.values[name] = value(pl.col(_given(name)), schema[column], kind)
        if kind in _FAULTS:
            is_broken = pl.col(_given(name)).is_not_null() & pl.col(name).is_null()
            self.rules[f"{name}: {_FAULTS[kind]}"] = Rule(is_broken, name)

    def demand(self, name: str) -> None:
        """A row without it breaks a rule."""
        self.rules[f"{name}: missing"] = Rule(pl.col(_given(name)).is_null(), name)

    def add_key(self, schema: pl.Schema, spec: Spec, as_of: str | None) -> None:
        """Read the customer's id, and `as_of` from a raw column if there is one."""
        column = spec.columns.id
        self.given[ID] = text(column, schema[column], spec.input.missing)
        self.values[ID] = pl.col(_given(ID))
        self.demand(ID)
        self._add_short_cut(ID, short_cut_of_id(column, schema[column], spec.input.missing))
        if as_of is not None:
            self.add(AS_OF, as_of, "date", schema, spec)
            self.demand(AS_OF)

    def add_feature(self, name: str, feature: Feature, schema: pl.Schema, spec: Spec) -> None:
        """Read a delivered column as the spec describes it."""
        self.add(name, name, feature.type, schema, spec)
        self.rules.update({reason: Rule(is_broken, name) for reason, is_broken in _limits(name, feature).items()})
        if not feature.nullable:
            self.demand(name)
        self._add_short_cut(name, short_cut(name, schema[name], feature, spec.input.missing))

    def add_label(self, schema: pl.Schema, spec: Spec, column: str) -> None:
        """Read the label; that it has two classes is for the file as a whole to say."""
        self.given[LABEL] = plain_classes(column, schema[column], spec.input.missing)
        self.values[LABEL] = pl.col(_given(LABEL)) == plain_class(spec.columns.positive)
        self.rules["label: missing"] = Rule(pl.col(_given(LABEL)).is_null(), LABEL)

    def _add_short_cut(self, name: str, cut: ShortCut | None) -> None:
        if cut is not None:
            self.short_cuts[name] = cut


def row_check(schema: pl.Schema, spec: Spec, *, delivered_on: date, labelled: bool) -> RowCheck:
    """The check of rows with these raw columns; required columns must be there.

    `as_of` is the delivery's date where the spec names no column for it. An optional column that the
    file lacks is all null, and its rows are accepted.
    """
    check = RowCheck()
    check.add_key(schema, spec, spec.columns.as_of)
    if spec.columns.as_of is None:
        check.values[AS_OF] = pl.lit(delivered_on, pl.Date)
    for name, feature in spec.delivered.items():
        if name in schema:
            check.add_feature(name, feature, schema, spec)
        else:
            check.values[name] = pl.lit(None, _TYPES[feature.type])
    if labelled:
        check.add_label(schema, spec, spec.columns.label or LABEL)
    return check


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
