"""Where a model came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from churnlib.spec import AS_OF, ID


class Lineage(BaseModel):
    """What a release was trained on, by which code, when.

    Attributes:
        source: the training rows' file or history, in words.
        rows: labelled rows, all parts of the split.
        digest: SHA-256 of the rows' content, hex.
        code_version: of churnlib.
        created_at: UTC.
        libraries: version by name, of what could change a score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rows: int
    digest: str
    first_as_of: date
    last_as_of: date
    code_version: str
    created_at: datetime
    libraries: Mapping[str, str] = {}


def rows_digest(labelled: pl.DataFrame) -> str:
    """Return the SHA-256 of labelled rows, hex: of their CSV, sorted by customer and date.

    The rows' order does not count; names, order and values of the columns do.
    """
    text = labelled.sort(ID, AS_OF).write_csv(null_value="\x00")
    return hashlib.sha256(text.encode()).hexdigest()
