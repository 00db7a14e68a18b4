"""Where a model came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from churnlib.spec import AS_OF, ID


class DeliveredFile(BaseModel):
    """A file that came with a delivered model.

    Attributes:
        source: where it was taken from, a path or an `s3://` address.
        digest: SHA-256 of its content, hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    digest: str


class Handover(BaseModel):
    """How a model that was trained elsewhere came here.

    Attributes:
        by: who registered it.
        files: by what they are: model, sample, and features, labels and scores where they came.
        xgboost: version that wrote the model.
        trees: which of its trees score, in words.
        reproduced: published scores of the sample that it reproduces; None where none came.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    files: Mapping[str, DeliveredFile]
    xgboost: str
    trees: str
    reproduced: int | None = None


class Lineage(BaseModel):
    """What a release was trained on, by which code, when.

    Attributes:
        source: the training rows' file or history, in words.
        rows: labelled rows, all parts of the split; None of a delivered model, and so are the dates.
        digest: SHA-256 of the rows' content, hex; of a delivered model that of its file.
        code_version: of churnlib.
        created_at: of the release, UTC.
        libraries: version by name, of what could change a score.
        handover: how it came here, of a delivered model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rows: int | None
    digest: str
    first_as_of: date | None
    last_as_of: date | None
    code_version: str
    created_at: datetime
    libraries: Mapping[str, str] = {}
    handover: Handover | None = None


def rows_digest(labelled: pl.DataFrame) -> str:
    """Return the SHA-256 of labelled rows, hex: of their CSV, sorted by customer and date.

    The rows' order does not count; names, order and values of the columns do.
    """
    text = labelled.sort(ID, AS_OF).write_csv(null_value="\x00")
    return hashlib.sha256(text.encode()).hexdigest()
