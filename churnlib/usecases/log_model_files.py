"""The files of a delivered model, brought here from wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from churnlib.errors import ChurnError, FileRefused
from churnlib.intake.files import content_id
from churnlib.modelling.lineage import DeliveredFile

Fetch = Callable[[str, Path], Path]
"""Brings what lies at an `s3://` address into a folder, under its own name; returns where it is.

Raises ServiceUnavailable where it cannot be reached, and ChurnError where nothing is there.
"""

S3 = "s3://"


@dataclass(frozen=True)
class Delivered:
    """One file of the delivery.

    Attributes:
        path: where it can be read.
        source: where it came from: the path as given, or its `s3://` address.
    """

    path: Path
    source: str

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return self.path.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its content, hex."""
        return content_id(self.path)

    @property
    def record(self) -> DeliveredFile:
        """For the lineage."""
        return DeliveredFile(source=self.source, digest=self.digest)


def bring(given: Mapping[str, str | None], folder: Path, fetch: Fetch | None) -> dict[str, Delivered]:
    """Bring every file that was given, by what it is; what is given as None is left out.

    Args:
        given: paths and `s3://` addresses.
        folder: for what is fetched; each into a folder of its own, so that equal names do not meet.
        fetch: None where nothing can be fetched.

    Raises:
        FileRefused: there is no such file.
        ChurnError: an `s3://` address, and nobody to fetch it.
    """
    return {what: _bring(address, folder / what, fetch) for what, address in given.items() if address is not None}


def _bring(address: str, folder: Path, fetch: Fetch | None) -> Delivered:
    if not address.startswith(S3):
        path = Path(address)
        if not path.exists():
            raise FileRefused(f"There is no file {path}.", hint="Check the path; it counts from where you stand.")
        return Delivered(path, str(path.absolute()))
    if fetch is None:
        raise ChurnError(
            f"{address} cannot be fetched: nothing here is connected to S3.",
            hint="Install churnlib[aws], or download the file and name its path.",
        )
    if not PurePosixPath(address.removeprefix(S3)).name or address.endswith("/"):
        raise ChurnError(f"{address} names no file.", hint="Name the object itself: s3://bucket/folder/model.ubj.")
    folder.mkdir(parents=True)
    return Delivered(fetch(address, folder), address)
