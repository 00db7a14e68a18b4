"""Local copies of deliveries on S3, each in a folder of its own, under the name that it was delivered with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from churnlib.adapters.durable import delete, file_errors, put_in_place
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_cache import remove_unused, use
from churnlib.adapters.s3_deliveries import Delivery


@dataclass(frozen=True)
class Place:
    """What a local copy's path says about the delivery; see `Delivery`."""

    base: str
    model: str
    stamp: str
    name: str

    @property
    def key(self) -> str:
        """Where the delivery lies, or lay."""
        return f"{self.base}/{self.model}/{self.name}"


class Staging:
    """Paths are `<root>/<base>/<model>/<stamp>/<name>`: another content or another writing has another path."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def path(self, delivery: Delivery) -> Path:
        """Where the copy is, or would be."""
        return self._root / delivery.base / delivery.model / delivery.stamp / delivery.name

    def place(self, path: Path) -> Place | None:
        """What the path says; None for one that is not of this folder."""
        place = path.parent.resolve() / path.name
        if not place.is_relative_to(self._root) or len(parts := place.relative_to(self._root).parts) < 4:
            return None
        return Place(parts[0], parts[1], parts[2], "/".join(parts[3:]))

    def fetch(self, bucket: Bucket, delivery: Delivery) -> Path | None:
        """A complete copy, fetched where there is none yet; None when the delivery has changed or gone.

        Raises:
            ServiceUnavailable, ChurnError: it cannot be fetched, or the disk is full.
        """
        path = self.path(delivery)
        with file_errors(f"{path.parent} cannot be written"):
            if not path.exists() and not self._fetch(bucket, delivery, path):
                return None
            use(self._root / delivery.base / delivery.model / delivery.stamp)
            remove_unused(self._root.glob("*/*/*/"))
        return path

    def forget(self, path: Path) -> None:
        """Delete the copy; nothing happens where there is none."""
        place = self.place(path)
        if place is not None:
            delete(self._root / place.base / place.model / place.stamp)

    def _fetch(self, bucket: Bucket, delivery: Delivery, path: Path) -> bool:
        temporary = self._root / delivery.base / delivery.model / delivery.stamp / f".{uuid4().hex}.tmp"
        wanted = {part: temporary / (delivery.below(part) or "file") for part in delivery.parts}
        for target in wanted.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not bucket.download(wanted):
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                put_in_place(temporary if delivery.is_folder else temporary / "file", path)
            except OSError:
                if not path.exists():  # else another run was faster
                    raise
        finally:
            delete(temporary)
        return True
