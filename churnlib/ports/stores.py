"""Where rows are kept, and the folders through which files come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl


class BatchTable(Protocol):
    """A table of rows that come and go by the batch. Key: (`model`, `batch_id`)."""

    def replace(self, model: str, batch_id: str, as_of: date, frame: pl.LazyFrame) -> str:
        """Write the batch's rows, replacing what an earlier try left; atomic. Returns where they are."""
        ...

    def remove(self, model: str, batch_id: str) -> None:
        """Take the batch's rows out; nothing happens when there are none."""
        ...

    def scan(self, model: str, *, since: date | None = None, until: date | None = None) -> pl.LazyFrame | None:
        """All rows with `since <= as_of <= until`, lazily; None when there is no batch."""
        ...

    def scan_batch(self, model: str, batch_id: str) -> pl.LazyFrame | None: ...


class Inbox(Protocol):
    """The folders through which files come and go: incoming/, processed/, failed/."""

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait, oldest name first."""
        ...

    def pending_outcomes(self, model: str) -> Sequence[Path]: ...
    def resolve(self, model: str, file: str) -> Path:
        """The path of a file of that model's inbox.

        Raises:
            ChurnError: the name leads out of the inbox, or there is no such file in it or in processed/.
        """
        ...

    def name_of(self, model: str, path: Path) -> str:
        """The name of a waiting file by which `resolve` finds it, wherever it has been moved since."""
        ...

    def owns(self, path: Path) -> bool:
        """Whether the file lies in the inbox (others are never moved)."""
        ...

    def origin(self, model: str, path: Path) -> str:
        """Address of a waiting file, for the record: its path, or `s3://…`."""
        ...

    def accept(self, model: str, path: Path, *, content_id: str | None = None) -> Path:
        """Move to processed/; a file that was moved already is left where it is.

        So is one that holds something else by now than the content given: it is news.
        """
        ...

    def refuse(self, model: str, path: Path, error: Mapping[str, object]) -> Path:
        """Move to failed/ with `<name>.error.json` beside it."""
        ...
