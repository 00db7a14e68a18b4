"""Rows of a labelled file that two versions can be compared on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from churnlib.errors import ChurnError, FileRefused
from churnlib.intake.contract import check
from churnlib.intake.files import content_id, read_raw
from churnlib.intake.header_check import schema_of
from churnlib.modelling.split import split
from churnlib.spec import AS_OF, ID, LABEL, Spec
from churnlib.usecases.comparing_rows import CommonRows, NothingToCompareOn, Side
from churnlib.usecases.services import Services
from churnlib.usecases.slices import rows_of_slice

KEYS = [ID, AS_OF]


@dataclass(frozen=True)
class FileRows:
    """A labelled file for two versions.

    Attributes:
        every: all its rows, of which either version may have learned; outcomes are left out.
        honest: those that neither learned from; None where `why` says that there are none.
    """

    every: CommonRows
    honest: CommonRows | None
    why: NothingToCompareOn | None = None


def file_rows(services: Services, spec: Spec, path: Path, first: Side, second: Side) -> FileRows:
    """Read a labelled file for both versions, and keep apart what either may have learned from.

    Rows are honest where their date is later than what the version learned from, with the horizon between, or
    where the version's own split holds them out. Of a delivered version nobody knows: all its rows count, and
    a note says so.

    Raises:
        FileRefused: the file lacks a column that either version reads, or breaks the contract.
    """
    one = _checked(services, spec, path, first)
    two = one if first.release.spec.delivered == second.release.spec.delivered else None
    if two is None:
        two = _checked(services, spec, path, second)
        one = two.select(KEYS).join(one, on=KEYS, how="inner", maintain_order="left")
        two = two.join(one.select(KEYS), on=KEYS, how="semi", maintain_order="left")
    digest = content_id(path)
    is_honest = pl.Series([True]).new_from_index(0, two.height)
    notes: list[str] = []
    for side, rows in ((first, one), (second, two)):
        is_honest &= _held_out(side, rows, spec, digest)
        notes += _notes(side, path, digest)
    every = CommonRows(one.drop(LABEL), two.drop(LABEL), None, path.name, "customers")
    kept = int(is_honest.sum())
    if not kept:
        return FileRows(every, None, _all_learned(path, first, second, two.height))
    if kept < two.height:
        left_out = f"{two.height - kept:,} of {two.height:,} rows are left out"
        notes.append(f"{left_out}: one version or the other may have learned from them.")
    one, two = one.filter(is_honest), two.filter(is_honest)
    churned = two.get_column(LABEL).to_numpy()
    are = "customers" if kept == every.second.height else "held-out customers"
    honest = CommonRows(one.drop(LABEL), two.drop(LABEL), churned, path.name, are, notes=tuple(notes))
    return FileRows(every, honest)


def _checked(services: Services, spec: Spec, path: Path, side: Side) -> pl.DataFrame:
    """The file's accepted rows as the version's spec types them, with `churned` last."""
    today = services.clock().date()
    raw = read_raw(path, spec.input)
    known = schema_of(raw, path.name)
    for name, feature in side.release.spec.delivered.items():
        if feature.required and name not in known:
            raise FileRefused(
                f"{path.name} has no column {name!r}, which v{side.version} reads; rows need the columns of both.",
                hint="Add the column to the file; without --data, kept snapshots that have it are compared on.",
            )
    own = side.release.spec.model_copy(
        update={"name": spec.name, "variant": spec.variant, "columns": spec.columns, "input": spec.input}
    )
    accepted = check(raw, own, source=path.name, delivered_on=today, today=today, labelled=True).accepted
    # in the order in which a training compares, so that intervals are the same to the last digit
    return rows_of_slice(accepted.lazy(), own).sort(KEYS).collect()


def _held_out(side: Side, rows: pl.DataFrame, spec: Spec, digest: str) -> pl.Series:
    """True where the version did not learn from the row, or nobody knows that it did."""
    release = side.release
    if release.cutoff is None:
        return pl.Series([True]).new_from_index(0, rows.height)
    is_later = rows.get_column(AS_OF) >= side.honest_from
    if spec.columns.as_of is None:  # the date is that of today, which says nothing about the row
        is_later &= False
    if release.evaluation.split_kind != "hash" and release.lineage.digest != digest:
        return is_later
    try:
        test = split(rows, release.spec).test
    except ChurnError:  # too few rows to be divided as they were
        return is_later
    marked = rows.select(KEYS).join(
        test.select(*KEYS, pl.lit(value=True).alias("is_test")), on=KEYS, how="left", maintain_order="left"
    )
    return is_later | marked.get_column("is_test").fill_null(value=False)


def _notes(side: Side, path: Path, digest: str) -> Iterator[str]:
    release = side.release
    if release.cutoff is None:
        yield f"Nobody here knows whether v{side.version}, which was delivered, learned from rows of {path.name}."
    elif release.evaluation.split_kind == "hash" and release.lineage.digest != digest:
        yield (
            f"v{side.version} learned from other rows ({release.lineage.source}); whom it holds out is told by a "
            f"hash of the id, which hardly ever differs between files."
        )


def _all_learned(path: Path, first: Side, second: Side, rows: int) -> NothingToCompareOn:
    known = {side.version: side.release.cutoff for side in (first, second) if side.release.cutoff is not None}
    learned = " and ".join(f"v{version} up to {cutoff}" for version, cutoff in known.items())
    return NothingToCompareOn(
        f"One version or the other may have learned from each of the {rows:,} rows of {path.name} ({learned}).",
        hint="Name a file of later customers, with their dates.",
    )
