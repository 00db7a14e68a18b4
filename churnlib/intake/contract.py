"""The data contract at the border: which delivered rows are accepted, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.header_check import check_header, collect, label_of, spec_file
from churnlib.intake.kinds import no_rows
from churnlib.intake.labels import check_positive, check_two_classes, classes_of
from churnlib.intake.row_check import RowCheck, reasons_of, row_check
from churnlib.intake.wording import counts_text, share_text
from churnlib.spec import AS_OF, ID, Spec

DUPLICATE = f"{ID}: duplicate"

_SETTINGS = {"missing": "nullable", "below": "min", "above": "max", "not one of": "categories"}


@dataclass(frozen=True)
class Sorted:
    """Rows sorted by the contract, each side in the file's order.

    Attributes:
        accepted: cast, one row per customer and `as_of`.
        quarantined: as delivered, with `_reasons` (List[String], never empty) last.
        by_reason: rows by reason, most frequent first; a row with two reasons counts in both.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    by_reason: dict[str, int]


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
    """Sort a file's rows into accepted and quarantined, or refuse the file.

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
    header = check_header(raw, spec, source=source, labelled=labelled)
    delivered = collect(raw, source)
    if delivered.is_empty():
        raise no_rows(source)
    if labelled:
        _check_label(delivered, spec, source)
    rules = row_check(header.schema, spec, delivered_on=delivered_on, labelled=labelled)
    rows = sort_rows(delivered, rules)
    check_share(rows, spec, source)
    as_ofs = _check_dates(rows.accepted, spec, source, today)
    if not labelled:
        _check_one_date(rows.accepted, as_ofs, spec, source, delivered_on)
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


def sort_rows(delivered: pl.DataFrame, rules: RowCheck) -> Sorted:
    """Apply the rules row by row, then quarantine every repetition of a customer and `as_of`.

    Of several good rows for one customer and `as_of` the first is accepted.
    """
    values, broken = rules.apply(delivered)
    is_good = ~broken.select(pl.any_horizontal(pl.all()).alias("bad")).to_series()
    keys = pl.struct(ID, AS_OF) if values[AS_OF].n_unique() > 1 else pl.col(ID)
    good = values.filter(is_good)
    is_repeated = ~good.select(keys.is_first_distinct().alias("first")).to_series()
    positions = is_good.arg_true().filter(is_repeated)
    repeated = pl.zeros(delivered.height, pl.Boolean, eager=True).scatter(positions, values=True)
    broken = broken.with_columns(repeated.alias(DUPLICATE))
    is_bad = ~is_good | repeated
    counts = broken.sum().row(0)
    by_reason = {reason: int(rows) for reason, rows in zip(broken.columns, counts, strict=True) if rows}
    return Sorted(
        accepted=good.filter(~is_repeated),
        quarantined=delivered.filter(is_bad).with_columns(reasons_of(broken.filter(is_bad))),
        by_reason=dict(sorted(by_reason.items(), key=lambda item: -item[1])),
    )


def check_share(rows: Sorted, spec: Spec, source: str) -> None:
    """Refuse a file with more bad rows than the spec allows, or without a good one.

    Raises:
        FileRefused: the message has the most frequent reasons with their counts.
    """
    bad, good = rows.quarantined.height, rows.accepted.height
    if good and bad <= spec.input.max_bad_share * (bad + good):
        return
    limit = share_text(spec.input.max_bad_share)
    top = next(iter(rows.by_reason))
    raise FileRefused(
        f"{source}: {bad:,} of {bad + good:,} rows break the contract (limit {limit}): "
        f"{counts_text(rows.by_reason)}.",
        hint=_way_out(top, spec),
    )


def _way_out(reason: str, spec: Spec) -> str:
    """What to do about the most frequent reason; it names the setting that the reason comes from."""
    column, _, fault = reason.rpartition(": ")
    if column not in spec.features:
        settings = {ID: ("id", spec.columns.id), AS_OF: ("as_of", spec.columns.as_of)}
        setting, name = settings.get(column, ("label", spec.columns.label))
        return f"Mend the file, or check `{setting}` ({name!r}) under `[columns]` in {spec_file(spec)}."
    setting = next((setting for start, setting in _SETTINGS.items() if fault.startswith(start)), "type")
    return f"Mend column {column!r} in the file, or `{setting}` of features.{column} in {spec_file(spec)}."


def _check_label(delivered: pl.DataFrame, spec: Spec, source: str) -> None:
    label = label_of(spec)
    classes = classes_of(delivered, label, spec.input.missing)
    check_two_classes(classes, label, source, setting=f"`label` in {spec_file(spec)}")
    check_positive(classes, spec.columns.positive, label, source, setting=f"`positive` in {spec_file(spec)}")


def _check_dates(accepted: pl.DataFrame, spec: Spec, source: str, today: date) -> tuple[date, ...]:
    as_ofs: tuple[date, ...] = tuple(accepted[AS_OF].unique().sort())
    if as_ofs[-1] > today:
        rows = int((accepted[AS_OF] > today).sum())
        raise FileRefused(
            f"{source}: {rows:,} rows have an as_of in the future, up to {as_ofs[-1]} (today is {today}).",
            hint=f"Mend the dates in {spec.columns.as_of or AS_OF!r}, or deliver it later.",
        )
    return as_ofs


def _check_one_date(
    accepted: pl.DataFrame, as_ofs: tuple[date, ...], spec: Spec, source: str, delivered_on: date
) -> None:
    if len(as_ofs) > 1:
        counted = accepted.group_by(AS_OF).len().sort("len", descending=True)
        counts = {str(as_of): rows for as_of, rows in counted.iter_rows()}
        raise FileRefused(
            f"{source} holds {len(as_ofs):,} dates in {spec.columns.as_of!r}: {counts_text(counts)}.",
            hint="A batch describes its customers at one date: deliver one file for each.",
        )
    if spec.max_age_days is None:
        return
    age = (delivered_on - as_ofs[0]) // timedelta(days=1)
    if age > spec.max_age_days:
        raise FileRefused(
            f"{source} is stale: its as_of {as_ofs[0]} is {age:,} days older than its delivery.",
            hint=f"Deliver a newer one, or raise `max_age_days` ({spec.max_age_days}) in {spec_file(spec)}.",
        )
