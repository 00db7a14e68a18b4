"""Delivered rows beside a delivered model: which columns are its features, and which stand for several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.cells import text
from churnlib.intake.delimited import detect
from churnlib.intake.files import is_delimited, read_raw
from churnlib.intake.header_check import collect
from churnlib.intake.inspection_checks import snake_case
from churnlib.intake.inspection_columns import Column, read_columns
from churnlib.intake.wording import lacking_text
from churnlib.modelling.foreign_kind import head_without_code
from churnlib.spec import Input

DEFAULT_ID = "customer_id"
"""The id's column in batches where the sample has none."""

_IDS = frozenset(
    f"{whose}id"
    for whose in ("", "customer", "client", "user", "account", "player", "member", "subscriber", "household")
)

_SEPARATORS = ("_", "=")


@dataclass(frozen=True)
class Sample:
    """Delivered rows.

    Attributes:
        source: the file's name.
        raw: as delivered, one row a customer.
        input: how the file is written.
    """

    source: str
    raw: pl.DataFrame
    input: Input


@dataclass(frozen=True)
class Layout:
    """What a sample's columns are to the model.

    Attributes:
        columns: of the features that the sample has under their own names, in the model's order.
        one_hot: column and value of each feature that says whether the column has the value; in the model's order.
        id_column: of batches; of the sample too where `has_id`.
        counts_rows: the id only counts the rows.
        unused: columns of the sample that nobody needs.
    """

    columns: Mapping[str, Column]
    one_hot: Mapping[str, tuple[str, str]]
    id_column: str
    has_id: bool
    counts_rows: bool
    unused: tuple[str, ...]

    @property
    def expanded(self) -> tuple[str, ...]:
        """Columns that one-hot features are made of."""
        return tuple(dict.fromkeys(column for column, _ in self.one_hot.values()))


def read_sample(path: Path, given: Input | None = None) -> Sample:
    """Read all delivered rows; how a CSV is written is found out where nothing is given.

    Raises:
        FileRefused: as `files.read_raw`, or it is a pickle.
    """
    if path.is_file():
        head_without_code(path, "Write the rows as CSV, Parquet or JSON.")
    how = given or (detect(path) if is_delimited(path) else Input())
    return Sample(path.name, collect(read_raw(path, how), path.name), how)


def lay_out(sample: Sample, names: Sequence[str], *, asked_id: str | None, label: str | None) -> Layout:
    """Find every feature of the model, and the customer's id, among a sample's columns.

    A feature that is no column may be the one-hot column of one, named `<column>_<value>` as pandas and
    scikit-learn name it.

    Args:
        sample: the rows.
        names: of the model's features, in its order.
        asked_id: the id's column as somebody named it; None finds it by its name.
        label: the label's column, if it is known.

    Raises:
        FileRefused: a feature is neither a column nor a one-hot one; the nearest names stand in the message.
    """
    raw, features = sample.raw, set(names)
    spare = [name for name in raw.columns if name not in features and name != label]
    one_hot = _one_hot(sample, [name for name in names if name not in raw.columns], spare)
    lacking = [name for name in names if name not in raw.columns and name not in one_hot]
    if lacking:
        raise FileRefused(
            f"{sample.source} lacks {len(lacking):,} of the model's {len(names):,} features: "
            f"{lacking_text(lacking, spare)}.",
            hint="Deliver rows as the model gets them; what follows from other columns may stand in a spec of "
            "your own, as `sql`.",
        )
    expanded = {column for column, _ in one_hot.values()}
    id_column, has_id = _id(sample, asked_id, [name for name in spare if name not in expanded])
    found = read_columns(raw, [name for name in names if name in raw.columns], sample.input.missing)
    return Layout(
        columns={column.name: column for column in found},
        one_hot=one_hot,
        id_column=id_column,
        has_id=has_id,
        counts_rows=has_id and _counts_rows(sample, id_column),
        unused=tuple(name for name in spare if name not in expanded and name != id_column),
    )


def texts(sample: Sample, column: str) -> pl.Series:
    """A column as text, null where nothing was delivered."""
    dtype = sample.raw.schema[column]
    return sample.raw.select(text(column, dtype, sample.input.missing)).to_series()


def _one_hot(sample: Sample, absent: Sequence[str], spare: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Features `<column>_<value>`: the value was seen, or it stands beside others of its column that were."""
    readable = [name for name in spare if not sample.raw.schema[name].is_nested()]
    values = {name: set(texts(sample, name).drop_nulls().unique().to_list()) for name in readable}
    splits = {
        feature: [
            (column, feature[len(column) + 1 :])
            for column in sorted(readable, key=len, reverse=True)
            if feature.startswith(tuple(column + separator for separator in _SEPARATORS))
        ]
        for feature in absent
    }
    seen = {
        feature: next((split for split in found if split[1] in values[split[0]]), None)
        for feature, found in splits.items()
    }
    words = {split[0] for split in seen.values() if split and not _is_numeric(values[split[0]])}
    result = {}
    for feature, found in splits.items():
        split = seen[feature] or next((split for split in found if split[0] in words and split[1]), None)
        if split is not None:
            result[feature] = split
    return result


def _is_numeric(values: set[str]) -> bool:
    return not pl.Series(list(values), dtype=pl.String).cast(pl.Float64, strict=False).null_count()


def _id(sample: Sample, asked: str | None, spare: Sequence[str]) -> tuple[str, bool]:
    if asked is not None:
        if asked in sample.raw.columns and asked not in spare:
            raise FileRefused(
                f"{asked!r} is a feature of the model or the label, and cannot be the customer's id too.",
                hint="Name another column with --id.",
            )
        near = lacking_text([asked], spare) if asked not in spare else ""
        if "meant?" in near:
            raise FileRefused(f"{sample.source} has no column {near}.", hint="Name an existing column with --id.")
        return asked, asked in spare
    named = [name for name in spare if snake_case(name).replace("_", "") in _IDS]
    told = [name for name in named if not _counts_rows(sample, name) and _tells_apart(sample, name)]
    return (told[0], True) if len(told) == 1 else (DEFAULT_ID, False)


def _tells_apart(sample: Sample, column: str) -> bool:
    cells = texts(sample, column)
    return cells.null_count() == 0 and cells.n_unique() == len(cells)


def _counts_rows(sample: Sample, column: str) -> bool:
    numbers = texts(sample, column).cast(pl.Int64, strict=False)
    return not numbers.null_count() and numbers[0] in (0, 1) and bool((numbers.diff().drop_nulls() == 1).all())
