"""JSON: an array of objects, or one object a line. The content says which, not the suffix."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.delivery import CHUNK_ROWS, Delivery
from churnlib.intake.json_lines import chunks_of, schema_of
from churnlib.intake.kinds import head_of, look_of, no_rows, unreadable


def open_json(path: Path, *, rows: int = CHUNK_ROWS) -> Delivery:
    """Open JSON, all rows looked at for the types; a key that a row lacks is null.

    JSON lines are read in chunks; an array has no place to cut it, and is read as a whole.

    Raises:
        FileRefused: no JSON, broken JSON (the line or the byte is named), or no rows.
    """
    head = head_of(path).removeprefix(codecs.BOM_UTF8).lstrip()
    if not head:
        raise no_rows(path.name)
    if not head.startswith((b"[", b"{")):
        look = look_of(head)
        raise FileRefused(
            f"{path.name} is no JSON" + (f" but {look}." if look else ": it starts with neither '[' nor '{'."),
            hint="Give it the suffix of what it is, or write it as JSON lines.",
        )
    found = _array(path, rows) if head.startswith(b"[") else _lines(path, rows)
    if not found.schema:
        raise no_rows(path.name)
    return found


def _array(path: Path, rows: int) -> Delivery:
    try:
        frame = pl.read_json(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise _broken_array(path, error) from error
    if frame.is_empty():
        raise no_rows(path.name)
    return Delivery(frame.schema, lambda: frame.iter_slices(rows))


def _lines(path: Path, rows: int) -> Delivery:
    try:
        schema = schema_of(path)
    except pl.exceptions.PolarsError as error:
        raise _broken_line(path, error) from error

    def chunks() -> Iterator[pl.DataFrame]:
        return chunks_of(path, schema, rows=rows)

    return Delivery(schema, chunks)


def _broken_array(path: Path, error: Exception) -> FileRefused:
    """The place of the fault, found by a second reader that names it."""
    try:
        content = json.loads(path.read_bytes())
    except UnicodeDecodeError as fault:
        return _not_utf8(path, f"byte {fault.start:,}")
    except json.JSONDecodeError as fault:
        return _invalid(path, f"{fault.msg}, line {fault.lineno:,}, column {fault.colno:,}")
    if not content:
        return no_rows(path.name)
    if not all(isinstance(row, dict) for row in content):
        return _invalid(path, "the array must hold objects, one a customer")
    return unreadable(path.name, error)


def _broken_line(path: Path, error: Exception) -> FileRefused:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(codecs.BOM_UTF8).strip()
            try:
                is_object = not text or isinstance(json.loads(text), dict)
            except UnicodeDecodeError as fault:
                return _not_utf8(path, f"line {number:,}, byte {fault.start:,}")
            except json.JSONDecodeError as fault:
                return _invalid(path, f"{fault.msg}, line {number:,}, column {fault.colno:,}")
            if not is_object:
                return _invalid(path, f"line {number:,} is no object")
    return unreadable(path.name, error)


def _not_utf8(path: Path, where: str) -> FileRefused:
    return FileRefused(f"{path.name} is not UTF-8 ({where}).", hint="JSON is UTF-8: write it again as such.")


def _invalid(path: Path, what: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is no valid JSON: {what}.",
        hint="Write an array of objects, or one object a line; a file cut off in transfer looks like this.",
    )
