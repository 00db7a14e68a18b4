"""The data contract at the border: which delivered rows are accepted, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from churnlib.intake.header_check import check_header, collect, label_of, schema_of, spec_file
from churnlib.intake.kinds import no_rows
from churnlib.intake.labels import check_positive, check_two_classes, classes_of
from churnlib.intake.row_check import row_check
from churnlib.intake.sorting import Tally, sort_rows
from churnlib.intake.whole_file import check_dates, check_one_date, check_share
from churnlib.spec import Spec


@dataclass(frozen=True)
class Checked:
    """A file of customers that passed the contract as a whole.

    Attributes:
        accepted: columns `customer_id`, `as_of`, the spec's delivered columns, and `churned` last if
            labelled; one row per customer and `as_of`, in the file's order.
        quarantined: rows as delivered, with `_reasons` (List[String]) last.
        rows: accepted and quarantined together.
        quarantined_by: rows by reason, most frequent first; a row with two reasons counts in both.
        as_of: the batch's date; of labelled history the latest.
        as_ofs: all dates of accepted rows, ascending.
        extra_columns: delivered columns that the spec does not know.
        absent_columns: optional columns that were not delivered and are all null.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    rows: int
    quarantined_by: dict[str, int]
    as_of: date
    as_ofs: tuple[date, ...]
    extra_columns: tuple[str, ...]
    absent_columns: tuple[str, ...]


def check(
    raw: pl.LazyFrame, spec: Spec, *, source: str, delivered_on: date, today: date, labelled: bool = False
) -> Checked:
    """Sort a file's rows into accepted and quarantined, or refuse the file. All rows are in memory at once.

    Args:
        raw: rows as delivered.
        spec: what the file has to look like.
        source: the file's name, for messages.
        delivered_on: the `as_of` of every row where the spec names no column for it.
        today: no `as_of` may lie after it.
        labelled: the file has the label, and may have several `as_of`.

    Raises:
        FileRefused: unreadable; a needed column is missing; no rows; more bad rows than
            `input.max_bad_share`; a label without exactly two classes; in a batch without labels several
            `as_of`, or one older than `max_age_days`; any `as_of` in the future.
    """
    header = check_header(schema_of(raw, source), spec, source=source, labelled=labelled)
    delivered = collect(raw, source)
    if delivered.is_empty():
        raise no_rows(source)
    if labelled:
        _check_label(delivered, spec, source)
    rows = sort_rows(delivered, row_check(header.schema, spec, delivered_on=delivered_on, labelled=labelled))
    tally = Tally()
    tally.add(rows)
    check_share(tally.accepted, tally.quarantined, rows.by_reason, spec, source)
    as_ofs = check_dates(tally.dates, spec, source, today)
    if not labelled:
        check_one_date(tally.dates, spec, source, delivered_on)
    return Checked(
        accepted=rows.accepted,
        quarantined=rows.quarantined,
        rows=delivered.height,
        quarantined_by=rows.by_reason,
        as_of=as_ofs[-1],
        as_ofs=as_ofs,
        extra_columns=header.extra,
        absent_columns=header.absent,
    )


def _check_label(delivered: pl.DataFrame, spec: Spec, source: str) -> None:
    label = label_of(spec)
    classes = classes_of(delivered, label, spec.input.missing)
    check_two_classes(classes, label, source, setting=f"`label` in {spec_file(spec)}")
    check_positive(classes, spec.columns.positive, label, source, setting=f"`positive` in {spec_file(spec)}")
