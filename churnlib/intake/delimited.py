"""CSV and its kin: everything that polars would take silently, or refuse without saying where."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.delimited_records import (
    check_quotes,
    check_records,
    faults_refused,
    open_bytes,
    python_encoding,
    records,
)
from churnlib.intake.delimited_scan import Shape, scan_shape
from churnlib.intake.delivery import CHUNK_ROWS, Delivery, with_rows
from churnlib.intake.kinds import READ_FAULTS, empty, head_of, look_of, no_rows, unreadable
from churnlib.intake.record_blocks import record_blocks
from churnlib.intake.wording import listed
from churnlib.spec import Input

DELIMITERS = (",", ";", "\t", "|")
_JUDGED = 20
_LONGEST = 32 << 20
"""Bytes without the end of a record, at which it is no record any more but a quotation mark too many."""


def open_delimited(path: Path, given: Input, *, rows: int = CHUNK_ROWS) -> Delivery:
    """Open delimited text, plain or gzip, every column as String.

    Raises:
        FileRefused: as `files.read_raw`.
    """
    with faults_refused(path):
        _check_kind(path)
        _check_delimiter(given)
        shape = _shape(path, given)
        _check_encoding(path.name, shape, given)
        _check_longest(path, given, shape)
        head = _head(path)
        header = _header(head, given)
        _check_header(path.name, header, given)
        has_blank_lines = _check_shape(path, given, shape, len(header))
        names = _names(_utf8(head, given), header, given)

    def frame(block: bytes) -> pl.DataFrame:
        found = _parse(path, given, head, block, width=len(names))
        found.columns = names
        # polars makes a row of nulls of a blank line
        return found.filter(~pl.all_horizontal(pl.all().is_null())) if has_blank_lines else found

    def chunks() -> Iterator[pl.DataFrame]:
        with faults_refused(path), open_bytes(path) as file:
            file.seek(len(head))
            yield from with_rows(map(frame, record_blocks(file, rows=rows)))

    return Delivery(pl.Schema(dict.fromkeys(names, pl.String())), chunks)


def detect(path: Path) -> Input:
    """How a CSV file seems to be written: UTF-8 unless its bytes are none, and the delimiter of its header.

    Raises:
        FileRefused: there is no text in it to judge by.
    """
    with faults_refused(path):
        _check_kind(path)
        is_utf8 = _shape(path, Input()).bad_byte is None
        found = Input(encoding="utf8" if is_utf8 else "latin-1")
        choices = [found.model_copy(update={"delimiter": mark}) for mark in DELIMITERS]
        return max(choices, key=lambda choice: _plausibility(path, choice))


def _plausibility(path: Path, how: Input) -> tuple[bool, int]:
    """Whether the first records are of one width of more than one column, then how many columns that makes."""
    widths = [len(record.cells) for record in islice((one for one in records(path, how) if one.cells), _JUDGED)]
    return (widths or [0])[0] > 1 and len(set(widths)) == 1, (widths or [0])[0]


def _shape(path: Path, given: Input) -> Shape:
    with open_bytes(path) as file:
        return scan_shape(file, given.delimiter.encode())


def _head(path: Path) -> bytes:
    """The file up to the end of its first record that is no blank line."""
    lines = []
    with open_bytes(path) as file:
        for record in record_blocks(file, rows=1):
            lines.append(record)
            if record.removeprefix(codecs.BOM_UTF8) not in (b"\n", b"\r\n"):
                break
    return b"".join(lines)


def _header(head: bytes, given: Input) -> list[str]:
    text = head.decode(python_encoding(given), errors="replace")
    return next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=given.delimiter)), [])


def _names(head: bytes, header: list[str], given: Input) -> list[str]:
    """What polars calls the columns: it has names for those without one."""
    names = pl.read_csv(head, separator=given.delimiter, infer_schema=False).columns
    if len(names) != len(header):
        return names
    # polars leaves the quotation marks in a name doubled
    return [own if '"' in own else name for own, name in zip(header, names, strict=True)]


def _parse(path: Path, given: Input, head: bytes, block: bytes, *, width: int) -> pl.DataFrame:
    try:
        return pl.read_csv(_utf8(head + block, given), separator=given.delimiter, infer_schema=False)
    except READ_FAULTS as error:
        check_records(path, given, width)  # these two know the line
        check_quotes(path, given)
        raise unreadable(path.name, error) from error


def _utf8(text: bytes, given: Input) -> bytes:
    """Text in UTF-8, which is all that polars reads."""
    return text if given.encoding == "utf8" else text.decode("latin-1").encode()


def _check_kind(path: Path) -> None:
    head_of(path)
    with open_bytes(path) as file:
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


def _check_longest(path: Path, given: Input, shape: Shape) -> None:
    """Refuse a record that would be read as one piece and is as long as a file."""
    if shape.longest <= _LONGEST:
        return
    check_quotes(path, given, is_open=shape.is_quote_open)
    if shape.may_be_misquoted:
        check_records(path, given, len(next((one.cells for one in records(path, given) if one.cells), [])))
    raise FileRefused(
        f"{path.name} has a line of {shape.longest:,} bytes or more.",
        hint="Write it again, one customer a line.",
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
    """Refuse ragged rows; says whether there may be blank lines.

    Totals are compared first. Only where they do not add up is the file read record by record.
    """
    if shape.is_quote_open:
        check_quotes(path, given, is_open=True)
    adds_up = width > 1 and shape.delimiters == shape.lines * (width - 1)
    if adds_up and not shape.may_be_misquoted and shape.lines > 1:
        return False
    if check_records(path, given, width) < 1:
        raise no_rows(path.name)
    return not adds_up


def _toml(mark: str) -> str:
    return '"\\t"' if mark == "\t" else f'"{mark}"'
