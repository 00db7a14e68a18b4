"""Delimited text record by record: slow, and the one reader that knows on which line it is."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.kinds import unreadable
from churnlib.spec import Input

_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Record:
    """One record of delimited text.

    Attributes:
        line: the line that it ends on, from 1.
        cells: none for a blank line.
        is_misquoted: a cell without quotation marks around it holds an odd number of them, so that some readers
            go on to the next one.
    """

    line: int
    cells: list[str]
    is_misquoted: bool


def records(path: Path, given: Input, *, is_strict: bool = False) -> Iterator[Record]:
    """Every record, the header included. Of a line that is a megabyte long the pieces count as records."""
    read: list[str] = []

    def lines(text: IO[str]) -> Iterator[str]:
        while line := text.readline(_LONGEST_LINE):
            read.append(line)
            yield line

    encoding = python_encoding(given)
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        reader = csv.reader(lines(text), delimiter=given.delimiter, strict=is_strict)
        for cells in reader:
            yield Record(reader.line_num, cells, _is_misquoted("".join(read), cells))
            read.clear()


def check_records(path: Path, given: Input, width: int) -> int:
    """Returns how many rows there are; slow.

    Raises:
        FileRefused: a row is ragged or misquoted; the message has its line.
    """
    rows = -1  # the header is none
    for record in records(path, given):
        rows += bool(record.cells)
        if record.cells and len(record.cells) != width:
            raise _ragged(path.name, record.line, len(record.cells), width, given)
        if record.is_misquoted:
            raise FileRefused(
                f"{path.name}: line {record.line:,} has a quotation mark in the middle of a field.",
                hint="Write it again: such a mark is doubled, and its field in quotation marks.",
            )
    return rows


def check_quotes(path: Path, given: Input, *, is_open: bool = False) -> None:
    """Look for a field that does not end as it should; slow.

    Args:
        path: delimited text.
        given: how it is written.
        is_open: the file is known to end inside quotation marks.

    Raises:
        FileRefused: there is one; the message has its line.
    """
    line = 0
    try:
        for record in records(path, given, is_strict=True):
            line = record.line
    except csv.Error as error:
        said = f"a quotation mark opened in line {line + 1:,} is never closed"
        if "expected after" in str(error):
            said = f"line {line + 1:,} has text after a closing quotation mark"
        elif not is_open:
            said = f"a field that begins in line {line + 1:,} has more than {csv.field_size_limit():,} characters"
        raise FileRefused(
            f"{path.name}: {said}.",
            hint="Write it again: a quotation mark within a quoted field is doubled.",
        ) from error


def _ragged(source: str, line: int, fields: int, width: int, given: Input) -> FileRefused:
    return FileRefused(
        f"{source}: line {line:,} has {fields:,} fields, the header has {width:,}.",
        hint=f"Write it again: a field that holds {given.delimiter!r} or a line end needs quotes, and a "
        "file cut off in transfer ends like this.",
    )


def _is_misquoted(text: str, cells: list[str]) -> bool:
    if '"' not in text:
        return False
    at = 0
    for cell in cells:
        marks = cell.count('"')
        is_quoted = text.startswith('"', at)
        if marks % 2 and not is_quoted:
            return True
        at += len(cell) + (marks + 2 if is_quoted else 0) + 1
    return False


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def python_encoding(given: Input) -> str:
    """What Python calls the encoding; a byte order mark is none of the text."""
    return "utf-8-sig" if given.encoding == "utf8" else "latin-1"


@contextmanager
def faults_refused(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into FileRefused."""
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error, pl.exceptions.PolarsError) as error:
        raise unreadable(path.name, error) from error
