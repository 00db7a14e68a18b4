"""Delivered files in chunks, so that memory does not grow with them."""

from __future__ import annotations

from pathlib import Path

from churnlib.errors import FileRefused
from churnlib.intake.delimited import open_delimited
from churnlib.intake.delivery import CHUNK_ROWS, Delivery
from churnlib.intake.json_files import open_json
from churnlib.intake.kinds import SUFFIXES, check_there, is_parquet, suffix_of
from churnlib.intake.parquet_files import open_parquet
from churnlib.spec import Input

__all__ = ["CHUNK_ROWS", "Delivery", "open_chunks"]


def open_chunks(path: Path, given: Input, *, rows: int = CHUNK_ROWS) -> Delivery:
    """Open a delivered file; its form follows from the suffix, a folder holds Parquet parts.

    Rows, types and refusals are those of `files.read_raw`. Memory does not grow with the file, with one
    exception: an array of JSON is read as a whole. Wide files come in chunks of fewer rows.

    Args:
        path: the file, or a folder of Parquet parts.
        given: how delimited text is written.
        rows: most rows of a chunk.

    Raises:
        FileRefused: as `files.read_raw`, before any chunk is read.
    """
    check_there(path)
    if is_parquet(path):
        return open_parquet(path, rows=rows)
    suffix = suffix_of(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return open_json(path, rows=rows)
    if suffix in (".csv", ".csv.gz"):
        return open_delimited(path, given, rows=rows)
    if suffix in (".tsv", ".tsv.gz"):
        return open_delimited(path, given.model_copy(update={"delimiter": "\t"}), rows=rows)
    raise FileRefused(
        f"{path.name} has a suffix that says nothing about its form.",
        hint=f"Rename it: known are {', '.join(SUFFIXES)}, and a folder of .parquet parts.",
    )
