"""A list of customers as a CSV file that is safe to open in a spreadsheet."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import polars as pl

from churnlib.errors import ChurnError
from churnlib.records import Contact

_FORMULA = re.compile(r"[\s\x00]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""What a spreadsheet may take for a formula: also in full-width letters, and behind blanks that it strips."""


@dataclass(frozen=True)
class Row:
    """One customer on a list; `reasons` are sentences, strongest first."""

    contact: Contact
    reasons: tuple[str, ...]


def list_text(rows: Sequence[Row], *, reasons: int) -> str:
    """The file's content: rank, customer_id, probability, value_at_risk, reason_1 to `reason_<reasons>`.

    The same rows give the same text: contacts as they are on record, probabilities with four digits, money
    with two. A text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    columns = {
        "rank": pl.Series([row.contact.rank for row in rows], dtype=pl.Int64),
        "customer_id": pl.Series([safe_cell(row.contact.customer_id) for row in rows], dtype=pl.String),
        "probability": pl.Series([row.contact.probability for row in rows], dtype=pl.Float64).round(4),
        "value_at_risk": pl.Series([row.contact.value_at_risk for row in rows], dtype=pl.Float64).round(2),
    }
    for k in range(reasons):
        told = [safe_cell(row.reasons[k]) if k < len(row.reasons) else None for row in rows]
        columns[f"reason_{k + 1}"] = pl.Series(told, dtype=pl.String)
    return pl.DataFrame(columns).write_csv()


def safe_cell(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def check_free(path: Path, text: str, *, force: bool) -> None:
    """Refuse a place where the file cannot be, or where something else is.

    Raises:
        ChurnError: its folder is not there, it is no plain file, or its content is another and not to be replaced.
    """
    if not path.parent.is_dir():
        raise ChurnError(f"There is no folder {path.parent}.", hint="Make it, or name another file with --out.")
    if not path.exists():
        return
    if not path.is_file():
        raise ChurnError(f"{path} is no file that could be replaced.", hint="Name another file with --out.")
    if not force and not _holds(path, text):
        raise ChurnError(
            f"{path} is there already, with other content.",
            hint="Name another file with --out, or give --force to replace it.",
        )


def write_list(path: Path, text: str, *, force: bool) -> None:
    """Write the file; a reader sees all of it or none. One that holds the text already is left alone.

    Raises:
        ChurnError: as `check_free`.
    """
    check_free(path, text, force=force)
    if path.exists() and _holds(path, text):
        return
    temporary = path.with_name(f".{path.name[:150]}.{uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _holds(path: Path, text: str) -> bool:
    content = text.encode()
    return path.stat().st_size == len(content) and path.read_bytes() == content
