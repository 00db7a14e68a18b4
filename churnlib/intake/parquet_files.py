"""Parquet: one file, or a folder of parts that say the same columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.kinds import READ_FAULTS, empty, head_of, look_of, no_rows, unreadable
from churnlib.intake.wording import listed

_MAGIC = b"PAR1"
_LEAST = 12


def read_parquet(path: Path) -> pl.LazyFrame:
    """Open a Parquet file, or all parts of a folder in the order of their names.

    Parts must have the same columns; where their types differ, the wider one counts.

    Raises:
        FileRefused: no part, cut off, no Parquet, parts that do not fit together, or no rows.
    """
    parts = parts_of(path) if path.is_dir() else [path]
    names = {part: str(part.relative_to(path.parent)) for part in parts}
    for part in parts:
        _check_ends(part, names[part])
    schemas = {names[part]: _schema(part, names[part]) for part in parts}
    _check_same_columns(schemas)
    rows = _open(parts, schemas)
    try:
        count = int(rows.select(pl.len()).collect().item())
    except READ_FAULTS as error:
        raise unreadable(path.name, error) from error
    if not count:
        raise no_rows(path.name)
    return rows


def parts_of(folder: Path) -> list[Path]:
    """The `.parquet` files below a folder, sorted; hidden and `_` files (markers) are none.

    Raises:
        FileRefused: there is none.
    """
    parts = sorted(
        part for part in folder.rglob("*.parquet") if part.is_file() and not part.name.startswith(("_", "."))
    )
    if not parts:
        raise FileRefused(
            f"The folder {folder.name} holds no .parquet part.",
            hint="Name a file, or a folder of Parquet parts.",
        )
    return parts


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


def _open(parts: list[Path], schemas: dict[str, pl.Schema]) -> pl.LazyFrame:
    first, *others = schemas.values()
    if all(other == first for other in others):
        return pl.scan_parquet(parts, glob=False)
    # one part inferred integers where another has fractions or text
    frames = [pl.scan_parquet(part, glob=False).select(first.names()) for part in parts]
    return pl.concat(frames, how="vertical_relaxed")
