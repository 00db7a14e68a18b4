"""Delivered files: their identity, and their rows as they were delivered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.delimited import read_delimited
from churnlib.intake.json_files import read_json
from churnlib.intake.parquet_files import parts_of, read_parquet
from churnlib.spec import Input

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json", ".jsonl", ".ndjson")

_BLOCK = 1 << 20


def content_id(path: Path) -> str:
    """SHA-256 of what a file holds, hex; its name and place do not count.

    For a folder of Parquet parts: over the parts' names and contents, sorted by name.

    Raises:
        FileRefused: there is no such file, or the folder holds no part.
    """
    _check_there(path)
    if path.is_file():
        return _digest(path).hexdigest()
    whole = hashlib.sha256()
    for part in parts_of(path):
        whole.update(f"{part.relative_to(path).as_posix()}\0{_digest(part).hexdigest()}\n".encode())
    return whole.hexdigest()


def read_raw(path: Path, given: Input) -> pl.LazyFrame:
    """Open a delivered file; its form follows from the suffix, a folder holds Parquet parts.

    What can be checked without building a frame is checked here, in one pass over the bytes. What
    only shows when cells are read (a damaged Parquet page) is raised by polars on collect.

    Returns:
        Rows in the file's order. Delimited text has every column as String, an empty cell null and
        blanks kept; Parquet and JSON keep their own types. Rows that are blank lines are left out.

    Raises:
        FileRefused: no such file, an unknown suffix, no bytes, no rows, cut off, not what the suffix
            says, another encoding or delimiter than `given`, ragged rows, or a column name twice.
    """
    _check_there(path)
    suffix = _suffix(path)
    if path.is_dir() or suffix == ".parquet":
        return read_parquet(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return read_json(path)
    if suffix in (".csv", ".csv.gz"):
        return read_delimited(path, given)
    if suffix in (".tsv", ".tsv.gz"):
        return read_delimited(path, given.model_copy(update={"delimiter": "\t"}))
    raise FileRefused(
        f"{path.name} has a suffix that says nothing about its form.",
        hint=f"Rename it: known are {', '.join(SUFFIXES)}, and a folder of .parquet parts.",
    )


def is_delimited(path: Path) -> bool:
    """Whether the file's delimiter and encoding are a matter of choice."""
    return path.is_file() and _suffix(path) in (".csv", ".csv.gz")


def _check_there(path: Path) -> None:
    if not path.exists():
        raise FileRefused(f"There is no file {path}.", hint="Check the path; it counts from where you stand.")


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def _digest(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest
