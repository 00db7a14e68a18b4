"""A first look at a file of labelled customers, and the spec that follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.cells import given as given_cells
from churnlib.intake.cells import text, value
from churnlib.intake.delimited import detect
from churnlib.intake.files import is_delimited, read_raw
from churnlib.intake.header_check import collect
from churnlib.intake.inspection_checks import ColumnWarning, check_column
from churnlib.intake.inspection_columns import Column, read_columns
from churnlib.intake.inspection_toml import Draft, write_spec
from churnlib.intake.labels import (
    Classes,
    check_positive,
    check_two_classes,
    classes_of,
    plain_class,
    plain_classes,
)
from churnlib.intake.lone_auc import lone_auc
from churnlib.intake.wording import lacking_text, listed
from churnlib.spec import AS_OF, RESERVED, Input

_CHURN_WORDS = {
    "1",
    "churn",
    "churned",
    "exit",
    "exited",
    "left",
    "leaver",
    "lost",
    "gone",
    "canceled",
    "cancelled",
}


@dataclass(frozen=True)
class Inspection:
    """What was found in a file, and the spec that it suggests.

    Attributes:
        spec_text: TOML with comments; loads as a spec.
        warnings: first those about the file, then by column in the file's order.
        draft: what the spec was written from; its columns are all but id, date and label.
        churned: Boolean by row; null where the label is missing.
        auc: lone AUC by column; only of columns that vary.
    """

    spec_text: str
    warnings: tuple[ColumnWarning, ...]
    draft: Draft
    churned: pl.Series
    auc: dict[str, float]

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return self.draft.rows

    @property
    def features(self) -> int:
        """Features that the spec has turned on."""
        return sum(column.name not in self.draft.left_out for column in self.draft.columns)


def inspect(
    path: Path,
    *,
    name: str,
    id_column: str,
    label_column: str,
    as_of_column: str | None = None,
    positive: str | None = None,
    given: Input | None = None,
) -> Inspection:
    """Look at all rows of a labelled file and draft the spec.

    Args:
        path: any file that `files.read_raw` reads.
        name: of the model.
        id_column: the customer's id.
        label_column: who churned.
        as_of_column: date of each row; a column of dates called `as_of` is found by itself.
        positive: the label's value for churned; otherwise 1, yes, true and their like, or the rarer class.
        given: how a CSV is written; None finds out, and warns where it is not UTF-8 with commas.

    Raises:
        FileRefused: as `files.read_raw`; a named column is missing; the label has other than two
            classes; the date column holds no dates; no column can be a feature.
    """
    how = given or (detect(path) if is_delimited(path) else Input())
    raw = collect(read_raw(path, how), path.name)
    _check_named(raw, {"--id": id_column, "--label": label_column, "--as-of": as_of_column}, path.name)
    churn_class, churned = _target(raw, label_column, positive, path.name, how)
    as_of = _as_of(raw, as_of_column, path.name, how)
    own = {id_column, label_column, as_of}
    columns = read_columns(raw, [column for column in raw.columns if column not in own], how.missing)
    auc = _lone_aucs(columns, churned)
    warnings = (
        *([] if given else _input_warnings(how)),
        *_row_warnings(raw, id_column, as_of, churned, how),
        *_column_warnings(columns, churned, auc),
    )
    draft = Draft(
        name=name,
        source=path.name,
        rows=raw.height,
        churn_share=float(churned.mean()),  # type: ignore[arg-type]
        id_column=id_column,
        as_of_column=as_of,
        label_column=label_column,
        positive=churn_class,
        input=how,
        columns=tuple(columns),
        left_out={warning.column: warning.message for warning in reversed(warnings) if warning.leaves_out},
    )
    _check_features(draft)
    return Inspection(write_spec(draft), warnings, draft, churned, auc)


def _check_named(raw: pl.DataFrame, named: dict[str, str | None], source: str) -> None:
    lacking = {option: column for option, column in named.items() if column and column not in raw.columns}
    if lacking:
        shown = listed([repr(column) for column in raw.columns[:8]], total=raw.width)
        raise FileRefused(
            f"{source} has no column {lacking_text(list(lacking.values()), raw.columns)}. It has {shown}.",
            hint=f"Name an existing column with {' and '.join(lacking)}.",
        )
    if named["--id"] == named["--label"]:
        raise FileRefused(
            f"{named['--id']!r} cannot be both the id and the label.", hint="Name two columns: --id and --label."
        )


def _target(raw: pl.DataFrame, label: str, positive: str | None, source: str, how: Input) -> tuple[str, pl.Series]:
    """The class that means churned, as written in the file, and who is of it."""
    classes = classes_of(raw, label, how.missing)
    check_two_classes(classes, label, source, setting="`--label`")
    if positive is not None:
        check_positive(classes, positive, label, source, setting="`--positive`")
    plain = plain_class(positive) if positive is not None else _likely_positive(classes)
    given = plain_classes(label, raw.schema[label], how.missing)
    return list(classes.rows)[classes.plain.index(plain)], raw.select(churned=given == plain).to_series()


def _likely_positive(classes: Classes) -> str:
    worded = [plain for plain in classes.plain if plain in _CHURN_WORDS]
    return worded[0] if len(worded) == 1 else classes.plain[-1]


def _as_of(raw: pl.DataFrame, named: str | None, source: str, how: Input) -> str | None:
    column = named or (AS_OF if AS_OF in raw.columns else None)
    if column is None:
        return None
    dtype = raw.schema[column]
    cells = given_cells(column, dtype, "date", how.missing)
    counts = raw.select(cells=cells.count(), days=value(cells, dtype, "date").count()).row(0)
    if counts[0] and counts[0] == counts[1]:
        return column
    if named is None:
        return None
    raise FileRefused(
        f"{source}: {counts[0] - counts[1]:,} of {counts[0]:,} cells of {column!r} are no dates.",
        hint="Write them like 2026-01-31, or leave out --as-of: then the delivery's date counts.",
    )


def _lone_aucs(columns: Sequence[Column], churned: pl.Series) -> dict[str, float]:
    known = churned.is_not_null()
    labels = churned.filter(known)
    varying = [column for column in columns if column.kind and column.distinct + bool(column.missing) > 1]
    return {
        column.name: lone_auc(replace(column, values=column.values.filter(known)), labels) for column in varying
    }


def _input_warnings(how: Input) -> Iterator[ColumnWarning]:
    if how.delimiter != ",":
        yield ColumnWarning("", "delimiter", f"columns are separated by {how.delimiter!r}; the spec says so")
    if how.encoding != "utf8":
        said = "the bytes are not UTF-8 and are read as latin-1; check that names with accents look right"
        yield ColumnWarning("", "encoding", said)


def _row_warnings(
    raw: pl.DataFrame, id_column: str, as_of: str | None, churned: pl.Series, how: Input
) -> Iterator[ColumnWarning]:
    keys = [id_column, as_of] if as_of else [id_column]
    cells = raw.select(text(key, raw.schema[key], how.missing) for key in keys)
    again = raw.height - cells.n_unique()
    if again:
        said = f"{again:,} rows repeat {' and '.join(keys)} of an earlier row; training keeps the first of each"
        yield ColumnWarning(id_column, "duplicate_ids", said)
    if _counts_rows(cells[id_column]):
        said = "only counts the rows: in the next file the same number may be another customer"
        yield ColumnWarning(id_column, "row_number", said)
    nameless = cells[id_column].null_count()
    if nameless:
        yield ColumnWarning(id_column, "missing_ids", f"{nameless:,} rows have no id; training leaves them out")
    rest = raw.drop(id_column)
    copies = raw.height - rest.n_unique() if rest.width else 0
    if copies:
        said = f"{copies:,} rows are copies of an earlier row once {id_column!r} is dropped"
        yield ColumnWarning("", "duplicates", said)
    unknown = churned.null_count()
    if unknown:
        yield ColumnWarning("", "missing_labels", f"{unknown:,} rows have no label; training leaves them out")


def _counts_rows(ids: pl.Series) -> bool:
    numbers = ids.cast(pl.Int64, strict=False)
    return numbers[0] in (0, 1) and bool((numbers.diff().drop_nulls() == 1).all()) and not numbers.null_count()


def _column_warnings(
    columns: Sequence[Column], churned: pl.Series, auc: dict[str, float]
) -> Iterator[ColumnWarning]:
    for column in columns:
        if column.name in RESERVED:
            said = "has a name that checked files use themselves; rename it in the file to use it"
            yield ColumnWarning(column.name, "reserved", said, leaves_out=True)
        yield from check_column(column, churned, auc.get(column.name, 0.5))


def _check_features(draft: Draft) -> None:
    if len(draft.left_out.keys() & {column.name for column in draft.columns}) == len(draft.columns):
        reasons = [f"{column!r} {why}" for column, why in draft.left_out.items()]
        raise FileRefused(
            f"No column of {draft.source} can be a feature: {listed(reasons[:3], total=len(reasons)) or 'none'}.",
            hint="Deliver columns that describe the customers at the date, before they churned.",
        )
