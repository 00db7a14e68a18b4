"""The list of a release's files with their checksums, and the check against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from churnlib.errors import ReleaseCorrupt

MANIFEST = "manifest.json"

FETCH_AGAIN = "Fetch the release again, or roll back to the version before (churn rollback)."


class Manifest(BaseModel):
    """What is in a release's folder.

    Attributes:
        format: of the folder; a reader refuses one that it does not know.
        model: the spec's name.
        cutoff: last `as_of` that was learned from; None where it is not known.
        files: SHA-256, hex, by name; every file but the manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model: str
    cutoff: date | None
    created_at: datetime
    code_version: str
    libraries: Mapping[str, str]
    files: Mapping[str, str]


def checksum(content: bytes) -> str:
    """Return the SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read what should be in the folder.

    Raises:
        ReleaseCorrupt: there is no manifest, or it is none that this version can read.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise ReleaseCorrupt(
            f"{folder} has no {MANIFEST}, so it is no complete release.", hint=FETCH_AGAIN
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its JSON"
        raise ReleaseCorrupt(
            f"{folder / MANIFEST} cannot be read: {where}: {first['msg']}.", hint=FETCH_AGAIN
        ) from error


def verified_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read every file that the manifest lists.

    Raises:
        ReleaseCorrupt: a file is missing, changed, or not in the list; it is named.
    """
    there = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(there ^ set(manifest.files)):
        what = "is not in the manifest" if name in there else "is missing"
        raise ReleaseCorrupt(f"{folder / name} {what}.", hint=FETCH_AGAIN)
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    for name, content in files.items():
        if checksum(content) != manifest.files[name]:
            raise ReleaseCorrupt(f"{folder / name} was changed: its checksum differs.", hint=FETCH_AGAIN)
    return files
