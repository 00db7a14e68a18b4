"""One file from any bucket, by its address."""

from __future__ import annotations

from pathlib import Path

from churnlib.adapters.s3_bucket import Bucket
from churnlib.errors import ChurnError


def fetch(address: str, folder: Path, *, endpoint_url: str | None = None) -> Path:
    """Bring the object at `s3://bucket/…/name` into the folder, under its own name, complete or not at all.

    Args:
        address: of one object.
        folder: has to be there.
        endpoint_url: of an S3 that is not AWS's own.

    Raises:
        ServiceUnavailable: S3 cannot be reached, or the disk is full.
        ChurnError: no such object, no right to read it, or no address of one.
    """
    place, _, name = address.rpartition("/")
    bucket = Bucket(place, endpoint_url=endpoint_url)
    found = next((each for each in bucket.objects(name) if each.key == name), None)
    if found is None:
        raise ChurnError(f"There is no object {address}.", hint="Check the address; capitals count.")
    if not bucket.download({found: folder / name}):
        raise ChurnError(f"{address} changed while it was fetched.", hint="Try again once it is complete.")
    return folder / name
