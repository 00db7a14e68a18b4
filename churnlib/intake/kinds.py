"""What a file is by its name, and by its first bytes whatever its name says."""

from __future__ import annotations

import codecs
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json", ".jsonl", ".ndjson")

READ_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file raises; some damaged Parquet pages make polars panic."""

_MAGIC = (
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF document"),
    (codecs.BOM_UTF16_LE, "UTF-16 text"),
    (codecs.BOM_UTF16_BE, "UTF-16 text"),
    (b"<!", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"[{", "JSON"),
    (b'{"', "JSON"),
)


def check_there(path: Path) -> None:
    """Refuse what does not exist."""
    if not path.exists():
        raise FileRefused(f"There is no file {path}.", hint="Check the path; it counts from where you stand.")


def suffix_of(path: Path) -> str:
    """What a file's name says about its form, in small letters: `.csv`, `.csv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def is_parquet(path: Path) -> bool:
    """Whether it is to be read as Parquet; every folder is."""
    return path.is_dir() or suffix_of(path) == ".parquet"


def head_of(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file, a byte order mark included.

    Raises:
        FileRefused: the file cannot be opened, or has no bytes.
    """
    try:
        with path.open("rb") as file:
            head = file.read(size)
    except OSError as error:
        raise unreadable(path.name, error) from error
    if not head:
        raise empty(path.name)
    return head


def look_of(head: bytes) -> str | None:
    """What the bytes look like, as words that follow "is"; None for what may be plain text."""
    plain = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, words in _MAGIC:
        if head.startswith(magic) or plain.startswith(magic):
            return words
    return "UTF-16 text or no text at all (it holds zero bytes)" if b"\x00" in head else None


def empty(source: str) -> FileRefused:
    """The refusal of a file without a byte in it."""
    return FileRefused(f"{source} is empty (0 bytes).", hint="Deliver it again; the export may have failed.")


def no_rows(source: str) -> FileRefused:
    """The refusal of a file that names columns and holds no customer."""
    return FileRefused(
        f"{source} has no rows.", hint="Deliver it again; the export may have selected no customer."
    )


def unreadable(source: str, error: BaseException) -> FileRefused:
    """The refusal of a file that the reader gave up on: its first line of explanation."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, pl.exceptions.PanicException):
        said = "a part of it is damaged"
    return FileRefused(
        f"{source} cannot be read: {said}.",
        hint="The file is damaged or not what its name says: write it again, or open and check it.",
    )
