"""What lies in an inbox on S3: objects grouped into deliveries, and which of those are complete."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from churnlib.adapters.deliveries import DONE, OUTCOMES, SUCCESS, is_delivery_name
from churnlib.adapters.s3_bucket import StoredObject

MOVED: Final = "_MOVED"
"""In a folder of parts says that what it lists has been copied and is being deleted."""

_TEMPORARY: Final = "_temporary"  # of Hadoop's and Spark's writers, until they are through
_LONGEST_NAME_BYTES: Final = 200


@dataclass(frozen=True)
class Delivery:
    """A file, or a folder of Parquet parts.

    Attributes:
        base: incoming, processed or failed.
        name: below the model's folder, with slashes, as in `outcomes/week 1.csv`.
        objects: all there are, by key.
        marker: the object that says that the file is complete; None when there is none.
    """

    base: str
    model: str
    name: str
    objects: tuple[StoredObject, ...]
    marker: StoredObject | None = None

    @property
    def root(self) -> str:
        """Key of the file; of a folder, without the slash."""
        return f"{self.base}/{self.model}/{self.name}"

    @property
    def is_folder(self) -> bool:
        """Whether there are objects below the name."""
        return self.objects[0].key != self.root

    def below(self, stored: StoredObject) -> str:
        """The part's name below the folder; empty for a file."""
        return stored.key.removeprefix(self.root).removeprefix("/")

    @property
    def contents(self) -> tuple[StoredObject, ...]:
        """What was delivered: without folders that a console made, and without our own mark."""
        return tuple(each for each in self.objects if not each.key.endswith("/") and self.below(each) != MOVED)

    @property
    def parts(self) -> tuple[StoredObject, ...]:
        """What will be read: the file, or the folder's Parquet parts."""
        return tuple(each for each in self.contents if not self.is_folder or _is_part(self.below(each)))

    @property
    def is_being_deleted(self) -> bool:
        """Whether a move got as far as that, and has to be finished."""
        return self.is_folder and any(self.below(each) == MOVED for each in self.objects)

    @cached_property
    def stamp(self) -> str:
        """Changes whenever a part is written again, were it with the same content; 40 hex digits."""
        said = [[self.below(each), each.etag, each.modified.isoformat()] for each in self.parts]
        return sha256(json.dumps([self.name, said]).encode()).hexdigest()[:40]

    @property
    def is_marked(self) -> bool:
        """Whether the sender said that it is complete."""
        if self.is_folder:
            return any(self.below(each) == SUCCESS for each in self.objects)
        return self.marker is not None

    @property
    def age_seconds(self) -> float:
        """Since its newest object was written, by S3's clock."""
        return min(each.age_seconds for each in self.objects)


def deliveries(objects: Iterable[StoredObject], base: str, model: str, folder: str = "") -> list[Delivery]:
    """Group objects by the file or folder that they belong to, in the order of the names.

    Args:
        objects: whose keys begin with `<base>/<model>/<folder>`.
        base: incoming, processed or failed.
        model: whose inbox it is.
        folder: below the model's, with a slash at its end.
    """
    start = f"{base}/{model}/{folder}"
    groups: dict[str, list[StoredObject]] = {}
    for stored in objects:
        first, slash, _ = stored.key.removeprefix(start).partition("/")
        groups.setdefault(first + slash, []).append(stored)
    found = []
    for name in sorted(groups):
        marker = None if name.endswith("/") else next(iter(groups.get(name + DONE, ())), None)
        found.append(Delivery(base, model, folder + name.rstrip("/"), tuple(groups[name]), marker))
    return found


def is_delivery(delivery: Delivery) -> bool:
    """Whether it is meant to be taken in, complete or not."""
    name = PurePosixPath(delivery.name).name
    if not (is_delivery_name(name) and is_nameable(delivery.name)) or delivery.is_being_deleted:
        return False
    if not delivery.is_folder:
        return True
    names = [delivery.below(each) for each in delivery.contents]
    if delivery.name == OUTCOMES or any(map(_is_unfinished, names)):
        return False
    return bool(delivery.parts) and all(map(is_nameable, names))


def is_nameable(name: str) -> bool:
    """Whether a file on a disk can have that name, in a folder that it cannot leave."""
    parts = name.split("/")
    sizes = (len(part.encode(errors="replace")) for part in parts)
    return {"", ".", ".."}.isdisjoint(parts) and "\0" not in name and max(sizes) <= _LONGEST_NAME_BYTES


def _is_part(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return last.endswith(".parquet") and not last.startswith(("_", "."))


def _is_unfinished(name: str) -> bool:
    """Whether its writer will give it another name in the end."""
    suffix = PurePosixPath(name).suffix
    return _TEMPORARY in name.split("/") or not is_delivery_name(f"part{suffix}")
