"""CSV and its kin: everything that polars would take silently, or refuse without saying where."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, cast

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.delimited_scan import Shape, scan_shape
from churnlib.intake.kinds import empty, head_of, look_of, no_rows, unreadable
from churnlib.intake.wording import listed
from churnlib.spec import Input

DELIMITERS = (",", ";", "\t", "|")
_JUDGED = 20


def read_delimited(path: Path, given: Input) -> pl.LazyFrame:
    """Open delimited text, plain or gzip, every column as String.

    Raises:
        FileRefused: as `files.read_raw`.
    """
    with _faults_refused(path):
        _check_kind(path)
        _check_delimiter(given)
        header = _header(path, given)
        shape = _shape(path, given)
        _check_encoding(path.name, shape, given)
        _check_header(path.name, header, given)
        has_blank_lines = _check_shape(path, given, shape, len(header))
        rows = pl.scan_csv(
            _source(path, given),
            separator=given.delimiter,
            infer_schema=False,
            glob=False,
        )
        if any('"' in name for name in header):  # polars leaves the quotation marks in such a name doubled
            rows = rows.rename(dict(zip(rows.collect_schema().names(), header, strict=True)))
    # polars makes a row of nulls of a blank line
    return rows.filter(~pl.all_horizontal(pl.all().is_null())) if has_blank_lines else rows


def detect(path: Path) -> Input:
    """How a CSV file seems to be written: UTF-8 unless its bytes are none, and the delimiter of its header.

    Raises:
        FileRefused: there is no text in it to judge by.
    """
    with _faults_refused(path):
        _check_kind(path)
        is_utf8 = _shape(path, Input()).bad_byte is None
        found = Input(encoding="utf8" if is_utf8 else "latin-1")
        choices = [found.model_copy(update={"delimiter": mark}) for mark in DELIMITERS]
        return max(choices, key=lambda choice: _plausibility(path, choice))


def _plausibility(path: Path, how: Input) -> tuple[bool, int]:
    """Whether the first records are of one width of more than one column, then how many columns that makes."""
    records = (record for _, record in _records(path, how) if record)
    widths = [len(record) for record in islice(records, _JUDGED)] or [0]
    return widths[0] > 1 and len(set(widths)) == 1, widths[0]


@contextmanager
def _faults_refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error, pl.exceptions.PolarsError) as error:
        raise unreadable(path.name, error) from error


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _source(path: Path, given: Input) -> Path | io.BytesIO:
    """The file itself, or in memory as UTF-8, which is all that polars reads."""
    if given.encoding == "utf8":
        return path
    with _open(path) as file:
        return io.BytesIO(file.read().decode("latin-1").encode())


def _shape(path: Path, given: Input) -> Shape:
    with _open(path) as file:
        return scan_shape(file, given.delimiter.encode())


def _records(path: Path, given: Input, *, is_strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line it ends on, from 1; blank lines are empty records. Slow."""
    encoding = "utf-8-sig" if given.encoding == "utf8" else "latin-1"
    with _open(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=given.delimiter, strict=is_strict)
        for record in reader:
            yield reader.line_num, record


def _header(path: Path, given: Input) -> list[str]:
    return next((record for _, record in _records(path, given) if record), [])


def _check_kind(path: Path) -> None:
    head_of(path)
    with _open(path) as file:
        head = file.read(4096)
    if not head:
        raise empty(path.name)
    look = look_of(head)
    if look:
        raise FileRefused(
            f"{path.name} is {look}, not delimited text.",
            hint="Give it the suffix of what it is, or save it as CSV in UTF-8.",
        )


def _check_delimiter(given: Input) -> None:
    if not given.delimiter.isascii() or given.delimiter in '"\r\n':
        raise FileRefused(
            f"{given.delimiter!r} cannot delimit columns.",
            hint="Set `delimiter` under `[input]` to one plain character, such as a comma or a semicolon.",
        )


def _check_encoding(source: str, shape: Shape, given: Input) -> None:
    if shape.bad_byte is not None and given.encoding == "utf8":
        raise FileRefused(
            f"{source} is not UTF-8: byte {shape.bad_byte:,} (line {shape.bad_line:,}) cannot be decoded.",
            hint='Set `encoding = "latin-1"` under `[input]` in the spec, or save the file as UTF-8.',
        )
    if shape.has_only_returns:
        raise FileRefused(
            f"{source} ends its lines with a carriage return alone.",
            hint="Save it with line feeds, as every current program does.",
        )


def _check_header(source: str, header: list[str], given: Input) -> None:
    if not header:
        raise no_rows(source)
    if len(header) == 1:
        marks = {mark: header[0].count(mark) for mark in DELIMITERS if mark != given.delimiter}
        mark = max(marks, key=lambda other: marks[other])
        if marks[mark]:
            raise FileRefused(
                f"{source} is not delimited by {given.delimiter!r}: its header is a single column that holds "
                f"{mark!r} {marks[mark]:,} times.",
                hint=f"Set `delimiter = {_toml(mark)}` under `[input]` in the spec.",
            )
    twice = [repr(name) for name, times in Counter(header).items() if name and times > 1]
    if twice:
        raise FileRefused(
            f"{source} has a column name more than once: {listed(twice[:5], total=len(twice))}.",
            hint="Give every column a name of its own.",
        )


def _check_shape(path: Path, given: Input, shape: Shape, width: int) -> bool:
    """Refuse ragged rows; says whether there are blank lines.

    Totals are compared first. Only where they do not add up is the file read record by record.
    """
    if shape.is_quote_open:
        _check_quotes(path, given)
    if shape.lines <= 1:
        raise no_rows(path.name)
    if width == 1 or shape.delimiters == shape.lines * (width - 1):
        return False
    rows = -1  # the header is none
    for line, record in _records(path, given):
        rows += bool(record)
        if record and len(record) != width:
            raise _ragged(path.name, line, len(record), width, given)
    if rows < 1:
        raise no_rows(path.name)
    return True


def _check_quotes(path: Path, given: Input) -> None:
    line = 0
    try:
        for line, _ in _records(path, given, is_strict=True):  # noqa: B007 the last sound line is wanted
            pass
    except csv.Error as error:
        raise FileRefused(
            f"{path.name}: a quotation mark opened in line {line + 1:,} is never closed.",
            hint="Write it again: a quotation mark within a quoted field is doubled.",
        ) from error


def _ragged(source: str, line: int, fields: int, width: int, given: Input) -> FileRefused:
    return FileRefused(
        f"{source}: line {line:,} has {fields:,} fields, the header has {width:,}.",
        hint=f"Write it again: a field that holds {given.delimiter!r} or a line end needs quotes, and a "
        "file cut off in transfer ends like this.",
    )


def _toml(mark: str) -> str:
    return '"\\t"' if mark == "\t" else f'"{mark}"'
