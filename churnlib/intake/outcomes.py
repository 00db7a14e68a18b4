"""What became of customers: delivered outcomes, checked like any file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.header_check import check_columns, check_single_values, collect, schema_of, spec_file
from churnlib.intake.kinds import no_rows
from churnlib.intake.labels import check_positive, check_two_classes, classes_of
from churnlib.intake.row_check import RowCheck, Rule
from churnlib.intake.sorting import sort_rows
from churnlib.intake.whole_file import check_share
from churnlib.spec import AS_OF, KNOWN_AT, LABEL, Spec


@dataclass(frozen=True)
class CheckedOutcomes:
    """A file of outcomes that passed the contract as a whole.

    Attributes:
        outcomes: `customer_id`, `as_of`, `churned`, `known_at`; nothing null; one row per customer and
            `as_of`, in the file's order. Outcomes whose horizon has not passed are in it.
        quarantined: rows as delivered, with `_reasons` (List[String]) last.
        rows: both together.
        quarantined_by: rows by reason, most frequent first; a row with two reasons counts in both.
    """

    outcomes: pl.DataFrame
    quarantined: pl.DataFrame
    rows: int
    quarantined_by: dict[str, int]


def check_outcomes(raw: pl.LazyFrame, spec: Spec, *, source: str, today: date) -> CheckedOutcomes:
    """Sort a file of outcomes into usable and quarantined rows, or refuse it.

    The columns are called as in files of customers; `as_of` and `churned` where the spec names none.
    Without a `known_at` an outcome counts as known when its horizon ends. A file in which everybody
    stayed is fine.

    Raises:
        FileRefused: unreadable; a column is missing; no rows; more than two classes, or two that are
            both not the positive one; more bad rows than `input.max_bad_share`.
    """
    as_of, label = spec.columns.as_of or AS_OF, spec.columns.label or LABEL
    schema = schema_of(raw, source)
    check_columns(schema, [spec.columns.id, as_of, label], source=source, spec=spec)
    used = [spec.columns.id, as_of, label, *([KNOWN_AT] if KNOWN_AT in schema else [])]
    check_single_values(schema, used, source=source)
    delivered = collect(raw, source)
    if delivered.is_empty():
        raise no_rows(source)
    _check_label(delivered, spec, label, source)
    rows = sort_rows(delivered, _rules(schema, spec, as_of=as_of, label=label, today=today))
    check_share(rows.accepted.height, rows.quarantined.height, rows.by_reason, spec, source)
    end = pl.col(AS_OF) + pl.duration(days=spec.horizon_days)
    outcomes = rows.accepted.with_columns(
        pl.col(KNOWN_AT).fill_null(end) if KNOWN_AT in schema else end.alias(KNOWN_AT)
    )
    return CheckedOutcomes(outcomes, rows.quarantined, delivered.height, rows.by_reason)


def _check_label(delivered: pl.DataFrame, spec: Spec, label: str, source: str) -> None:
    classes = classes_of(delivered, label, spec.input.missing)
    if not classes.plain:
        raise FileRefused(
            f"{source}: column {label!r} has no value in any row.",
            hint="An outcome says whether the customer churned.",
        )
    if len(classes.plain) > 2:
        check_two_classes(classes, label, source, setting=f"`label` in {spec_file(spec)}")
    check_positive(classes, spec.columns.positive, label, source, setting=f"`positive` in {spec_file(spec)}")


def _rules(schema: pl.Schema, spec: Spec, *, as_of: str, label: str, today: date) -> RowCheck:
    check = RowCheck()
    check.add_key(schema, spec, as_of)
    check.rules[f"{AS_OF}: in the future"] = Rule(pl.col(AS_OF) > today)
    check.add_label(schema, spec, label)
    if KNOWN_AT not in schema:
        return check
    check.add(KNOWN_AT, KNOWN_AT, "date", schema, spec)
    check.rules[f"{KNOWN_AT}: in the future"] = Rule(pl.col(KNOWN_AT) > today)
    check.rules[f"{KNOWN_AT}: before {AS_OF}"] = Rule(pl.col(KNOWN_AT) < pl.col(AS_OF))
    return check
