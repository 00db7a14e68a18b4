"""Parquet: one file, or a folder of parts that say the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.delivery import CHUNK_ROWS, Delivery
from churnlib.intake.kinds import READ_FAULTS, empty, head_of, look_of, no_rows, unreadable
from churnlib.intake.parquet_chunks import Part, chunks_of
from churnlib.intake.wording import listed

_MAGIC = b"PAR1"
_LEAST = 12


@dataclass(frozen=True)
class _Checked:
    parts: Sequence[Part]
    has_one_schema: bool

    def lazy(self) -> pl.LazyFrame:
        paths = [part.path for part in self.parts]
        if self.has_one_schema:
            return pl.scan_parquet(paths, glob=False)
        # one part inferred integers where another has fractions or text
        first = self.parts[0].schema.names()
        return pl.concat(
            [pl.scan_parquet(path, glob=False).select(first) for path in paths], how="vertical_relaxed"
        )


def read_parquet(path: Path) -> pl.LazyFrame:
    """Open a Parquet file, or all parts of a folder in the order of their names.

    Parts must have the same columns; where their types differ, the wider one counts.

    Raises:
        FileRefused: no part, cut off, no Parquet, parts that do not fit together, or no rows.
    """
    return _checked(path).lazy()


def open_parquet(path: Path, *, rows: int = CHUNK_ROWS) -> Delivery:
    """The same, to be read in chunks.

    Raises:
        FileRefused: as `read_parquet`.
    """
    checked = _checked(path)
    try:
        schema = checked.lazy().collect_schema()
    except READ_FAULTS as error:
        raise unreadable(path.name, error) from error

    def chunks() -> Iterator[pl.DataFrame]:
        return chunks_of(checked.parts, schema, rows=rows, source=path.name)

    return Delivery(schema, chunks)


def found_parts(folder: Path) -> list[Path]:
    """The `.parquet` files below a folder, sorted; hidden and `_` files (markers) are none."""
    return sorted(
        part for part in folder.rglob("*.parquet") if part.is_file() and not part.name.startswith(("_", "."))
    )


def parts_of(folder: Path) -> list[Path]:
    """The same, at least one.

    Raises:
        FileRefused: there is none.
    """
    parts = found_parts(folder)
    if not parts:
        raise FileRefused(
            f"The folder {folder.name} holds no .parquet part.",
            hint="Name a file, or a folder of Parquet parts.",
        )
    return parts


def _checked(path: Path) -> _Checked:
    paths = parts_of(path) if path.is_dir() else [path]
    names = {part: str(part.relative_to(path.parent)) for part in paths}
    for part in paths:
        _check_ends(part, names[part])
    schemas = {names[part]: _schema(part, names[part]) for part in paths}
    _check_same_columns(schemas)
    counts = _counts(paths, path.name)
    if not sum(counts):
        raise no_rows(path.name)
    parts = [Part(part, schemas[names[part]], rows) for part, rows in zip(paths, counts, strict=True)]
    return _Checked(parts, all(part.schema == parts[0].schema for part in parts))


def _check_ends(path: Path, source: str) -> None:
    head = head_of(path)
    if not head.startswith(_MAGIC):
        look = look_of(head)
        raise FileRefused(
            f"{source} is no Parquet file" + (f" but {look}." if look else ": it does not start with PAR1."),
            hint="Give it the suffix of what it is, or write it as Parquet.",
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(-len(_MAGIC), 2)
        is_whole = size >= _LEAST and file.read() == _MAGIC
    if not is_whole:
        raise FileRefused(
            f"{source} is cut off: its {size:,} bytes do not end with a Parquet footer.",
            hint="Deliver it again when it is written completely.",
        )


def _schema(path: Path, source: str) -> pl.Schema:
    try:
        schema = pl.scan_parquet(path, glob=False).collect_schema()
    except READ_FAULTS as error:
        raise unreadable(source, error) from error
    if not schema:
        raise empty(source)
    return schema


def _check_same_columns(schemas: dict[str, pl.Schema]) -> None:
    first, *others = schemas
    for other in others:
        differing = sorted(set(schemas[first]) ^ set(schemas[other]))
        if differing:
            raise FileRefused(
                f"{other} and {first} have different columns: {listed(differing[:5], total=len(differing))}.",
                hint="All parts of one delivery need the same columns.",
            )


def _counts(paths: Sequence[Path], source: str) -> list[int]:
    """Rows of each part."""
    counted = [pl.scan_parquet(path, glob=False).select(pl.len()) for path in paths]
    try:
        return [int(count.item()) for count in pl.collect_all(counted)]
    except READ_FAULTS as error:
        raise unreadable(source, error) from error
