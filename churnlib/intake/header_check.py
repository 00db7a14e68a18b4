"""The contract for a file's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.cells import is_nested
from churnlib.intake.kinds import READ_FAULTS, unreadable
from churnlib.intake.wording import lacking_text, listed
from churnlib.spec import Spec


@dataclass(frozen=True)
class Header:
    """Columns of a file that passed.

    Attributes:
        schema: columns and their raw types.
        extra: columns that the spec does not know, in the file's order.
        absent: optional columns that the file lacks, in the spec's order.
    """

    schema: pl.Schema
    extra: tuple[str, ...]
    absent: tuple[str, ...]


def spec_file(spec: Spec) -> str:
    """Where a person finds the spec."""
    return f"models/{spec.name}.toml"


def check_header(schema: pl.Schema, spec: Spec, *, source: str, labelled: bool) -> Header:
    """Compare the raw columns of a file of customers with the spec.

    Raises:
        FileRefused: the id, date, label or a required column is not there; a
            column of the spec holds lists or structs; the spec names no label where one is needed.
    """
    needed = [spec.columns.id, *([spec.columns.as_of] if spec.columns.as_of else [])]
    if labelled:
        needed.append(label_of(spec))
    needed += [name for name, feature in spec.delivered.items() if feature.required]
    check_columns(schema, needed, source=source, spec=spec)
    known = {*needed, *spec.delivered, spec.columns.label}
    check_single_values(schema, [name for name in schema if name in known], source=source)
    extra = tuple(name for name in schema if name not in known)
    return Header(schema, extra, tuple(name for name in spec.delivered if name not in schema))


def schema_of(raw: pl.LazyFrame, source: str) -> pl.Schema:
    """The raw columns; a file that polars cannot open is refused."""
    try:
        return raw.collect_schema()
    except READ_FAULTS as error:
        raise unreadable(source, error) from error


def collect(raw: pl.LazyFrame, source: str) -> pl.DataFrame:
    """Read the rows; damage that shows only now is refused like damage that shows at once."""
    try:
        return raw.collect()
    except READ_FAULTS as error:
        raise unreadable(source, error) from error


def label_of(spec: Spec) -> str:
    """The label's column.

    Raises:
        FileRefused: the spec names none.
    """
    if spec.columns.label is None:
        raise FileRefused(
            f"{spec_file(spec)} names no label, so no file can be learned from.",
            hint="Set `label` under `[columns]` to the column that says who churned.",
        )
    return spec.columns.label


def check_columns(schema: pl.Schema, needed: Sequence[str], *, source: str, spec: Spec) -> None:
    """Refuse a file that lacks columns, with the nearest names that it has."""
    lacking = [name for name in dict.fromkeys(needed) if name not in schema]
    if not lacking:
        return
    columns = "a column" if len(lacking) == 1 else f"{len(lacking):,} columns"
    spare = [name for name in schema if name not in needed]
    shown = listed([repr(name) for name in schema.names()[:8]], total=len(schema))
    raise FileRefused(
        f"{source} lacks {columns}: {lacking_text(lacking, spare)}. It has {shown}.",
        hint=f"Deliver it with these columns, or change {spec_file(spec)}; "
        "a feature that may be absent has `required = false`.",
    )


def check_single_values(schema: pl.Schema, names: Sequence[str], *, source: str) -> None:
    """Refuse columns of lists or structs: there is no one way to make a value of them."""
    nested = [f"{name!r} ({schema[name]})" for name in names if is_nested(schema[name])]
    if nested:
        raise FileRefused(
            f"{source} holds lists, structs or bytes where single values are needed: {listed(nested[:5])}.",
            hint="Unpack them into columns of their own.",
        )
