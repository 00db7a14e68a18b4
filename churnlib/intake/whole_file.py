"""What a file must be as a whole, once its rows are sorted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.header_check import spec_file
from churnlib.intake.wording import counts_text, share_text
from churnlib.spec import AS_OF, ID, Spec

_SETTINGS = {"missing": "nullable", "below": "min", "above": "max", "not one of": "categories"}


def check_share(good: int, bad: int, by_reason: Mapping[str, int], spec: Spec, source: str) -> None:
    """Refuse a file with more bad rows than the spec allows, or without a good one.

    Raises:
        FileRefused: the message has the most frequent reasons with their counts.
    """
    if good and bad <= spec.input.max_bad_share * (bad + good):
        return
    limit = share_text(spec.input.max_bad_share)
    raise FileRefused(
        f"{source}: {bad:,} of {bad + good:,} rows break the contract (limit {limit}): {counts_text(by_reason)}.",
        hint=_way_out(next(iter(by_reason)), spec),
    )


def check_dates(dates: pl.DataFrame, spec: Spec, source: str, today: date) -> tuple[date, ...]:
    """The dates of accepted rows, ascending.

    Args:
        dates: accepted rows by `as_of` (Date, `len`), at least one.
        spec: says where the dates come from.
        source: the file's name.
        today: no date may lie after it.

    Raises:
        FileRefused: one does.
    """
    as_ofs: tuple[date, ...] = tuple(dates[AS_OF].sort())
    if as_ofs[-1] > today:
        rows = int(dates.filter(pl.col(AS_OF) > today)["len"].sum())
        raise FileRefused(
            f"{source}: {rows:,} rows have an as_of in the future, up to {as_ofs[-1]} (today is {today}).",
            hint=f"Mend the dates in {spec.columns.as_of or AS_OF!r}, or deliver it later.",
        )
    return as_ofs


def check_one_date(dates: pl.DataFrame, spec: Spec, source: str, delivered_on: date) -> None:
    """Refuse a batch of several dates, or of an old one.

    Raises:
        FileRefused: several dates, with their counts; or older than `max_age_days` when it was delivered.
    """
    if dates.height > 1:
        counted = dates.sort("len", AS_OF, descending=[True, False])
        counts = {str(as_of): rows for as_of, rows in counted.iter_rows()}
        raise FileRefused(
            f"{source} holds {dates.height:,} dates in {spec.columns.as_of!r}: {counts_text(counts)}.",
            hint="A batch describes its customers at one date: deliver one file for each.",
        )
    if spec.max_age_days is None:
        return
    as_of = dates.item(0, AS_OF)
    age = (delivered_on - as_of) // timedelta(days=1)
    if age > spec.max_age_days:
        raise FileRefused(
            f"{source} is stale: its as_of {as_of} is {age:,} days older than its delivery.",
            hint=f"Deliver a newer one, or raise `max_age_days` ({spec.max_age_days}) in {spec_file(spec)}.",
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
