"""Delivered files: their identity, and their rows as they were delivered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from churnlib.intake.chunks import open_chunks
from churnlib.intake.kinds import SUFFIXES as SUFFIXES
from churnlib.intake.kinds import check_there, is_parquet, suffix_of
from churnlib.intake.parquet_files import found_parts, read_parquet
from churnlib.spec import Input

_BLOCK = 1 << 20


def content_id(path: Path) -> str:
    """SHA-256 of what a file holds, hex; its name and place do not count.

    Any file has one, whether it can be read or not. For a folder: over the names and contents of its Parquet
    parts, sorted by name; over all files where it has no part.

    Raises:
        FileRefused: there is no such file.
    """
    check_there(path)
    if path.is_file():
        return _digest(path).hexdigest()
    whole = hashlib.sha256()
    for part in found_parts(path) or sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()}\0{_digest(part).hexdigest()}\n".encode())
    return whole.hexdigest()


def read_raw(path: Path, given: Input) -> pl.LazyFrame:
    """Open a delivered file; its form follows from the suffix, a folder holds Parquet parts.

    What can be checked without building a frame is checked here, in one pass over the bytes. What
    only shows when cells are read is raised on collect: of text and JSON as FileRefused, of Parquet (a damaged
    page) by polars.

    Returns:
        Rows in the file's order. Delimited text has every column as String, an empty cell null and
        blanks kept; Parquet and JSON keep their own types. Rows that are blank lines are left out.

    Raises:
        FileRefused: no such file, an unknown suffix, no bytes, no rows, cut off, not what the suffix
            says, another encoding or delimiter than `given`, ragged rows, or a column name twice.
    """
    check_there(path)
    return read_parquet(path) if is_parquet(path) else open_chunks(path, given).lazy()


def is_delimited(path: Path) -> bool:
    """Whether the file's delimiter and encoding are a matter of choice."""
    return path.is_file() and suffix_of(path) in (".csv", ".csv.gz")


def _digest(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest
