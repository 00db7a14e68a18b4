"""Deliveries on S3 found by name, and moved from folder to folder: copied first, deleted afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from churnlib.adapters.deliveries import ERROR
from churnlib.adapters.inbox import _names as numbered
from churnlib.adapters.inbox import _pretty as as_text
from churnlib.adapters.s3_bucket import Bucket, StoredObject
from churnlib.adapters.s3_deliveries import MOVED, Delivery, deliveries, is_delivery
from churnlib.adapters.s3_staging import Place, Staging
from churnlib.errors import FileRefused, ServiceUnavailable
from churnlib.intake.files import content_id as content_now

_CONTENT: Final = "churn-delivery"
"""Metadata of what was moved: what the whole delivery held, as `content_id` says it."""


class Moves:
    """A move goes on where an earlier one was killed, and loses nothing.

    A copied delivery says what it holds, so that it is recognised and completed; a folder that is being
    deleted says so in an object of its own, so that what is left of it is not taken for a delivery.
    """

    def __init__(self, bucket: Bucket, staging: Staging) -> None:
        self._bucket, self._staging = bucket, staging

    def find(self, base: str, model: str, name: str) -> Delivery | None:
        """The delivery of that name, complete or not."""
        delivery = self._named(base, model, name).get(name)
        return delivery if delivery is not None and is_delivery(delivery) else None

    def last(self, base: str, model: str, name: str) -> Delivery | None:
        """The newest of the name and its numbered followers."""
        last, taken = None, self._named(base, model, name)
        for candidate in numbered(Path(name)):
            if candidate.as_posix() not in taken:
                break
            last = taken[candidate.as_posix()]
        return last

    def move(
        self,
        place: Place,
        path: Path,
        base: str,
        *,
        content_id: str | None = None,
        error: Mapping[str, object] | None = None,
    ) -> Path:
        """Move what a local copy was made of, then delete the copy; returns the path of a copy made anew.

        Where it was delivered again under its name meanwhile, that one stays, and the local copy goes up.

        Args:
            place: of the local copy.
            path: the local copy.
            base: where to.
            content_id: what it holds; None to find out.
            error: to be put beside it.

        Raises:
            ServiceUnavailable: S3 cannot be reached, or there is neither the delivery nor a copy of it.
            ChurnError: S3 refuses for good.
        """
        source = self.find(place.base, place.model, place.name)
        if source is not None and source.stamp != place.stamp:
            source = None
        if not path.exists() and (source is None or self._staging.fetch(self._bucket, source) is None):
            return self._moved_before(place, base)
        content = content_id or _content(path, place)
        name, there = self._free(base, place, content)
        root = f"{base}/{place.model}/{name}"
        if error is not None:  # first, so that no file lies in failed/ without its reason
            self._bucket.write(root + ERROR, as_text(error).encode())
        self._fill(root, there, source, path, content)
        if source is not None:
            self._clear(source)
        self._staging.forget(path)
        moved = self._named(base, place.model, name).get(name)
        return path if moved is None else self._staging.path(moved)

    def finish(self, delivery: Delivery) -> None:
        """Delete what is left of a folder that says that it was moved."""
        said = self._bucket.read(f"{delivery.root}/{MOVED}")
        if said is not None:
            self._delete(delivery, json.loads(said))

    def _moved_before(self, place: Place, base: str) -> Path:
        moved = self.last(base, place.model, place.name)
        if moved is not None:
            return self._staging.path(moved)
        raise ServiceUnavailable(
            f"{self._bucket.address(place.key)} cannot be moved to {base}/: it has gone.",
            hint="Somebody else took it; look for it in processed/ and failed/.",
        )

    def _named(self, base: str, model: str, name: str) -> dict[str, Delivery]:
        """Whatever begins as the name does, up to its first dot."""
        folder, slash, last = name.rpartition("/")
        start = f"{base}/{model}/{folder}{slash}{last.partition('.')[0]}"
        found = deliveries(self._bucket.objects(start), base, model, folder + slash)
        return {delivery.name: delivery for delivery in found if delivery.contents}

    def _free(self, base: str, place: Place, content: str) -> tuple[str, Delivery | None]:
        """The first name that nothing has, or the same content; and what has it."""
        taken = self._named(base, place.model, place.name)
        names = (candidate.as_posix() for candidate in numbered(Path(place.name)))
        return next(
            (name, taken.get(name)) for name in names if name not in taken or self._holds(taken[name], content)
        )

    def _holds(self, delivery: Delivery, content: str) -> bool:
        facts = self._bucket.facts(delivery.contents[0].key)
        return facts is not None and facts.metadata.get(_CONTENT) == content

    def _fill(self, root: str, there: Delivery | None, source: Delivery | None, path: Path, content: str) -> None:
        """Copy within S3 what is not there yet; what has changed or gone there, from the local copy."""
        done = {each.key for each in there.objects} if there is not None else set()
        if source is not None:
            for stored in source.contents:
                key = _key(root, source.below(stored))
                if key in done or self._bucket.copy(stored, key, {_CONTENT: content}):
                    done.add(key)
        for below, file in _files(path):
            if _key(root, below) not in done:
                self._bucket.upload(file, _key(root, below), {_CONTENT: content})

    def _clear(self, source: Delivery) -> None:
        """Delete what was moved; of a folder, having said so in it."""
        if source.is_folder:
            said = [_said(source, each) for each in source.contents]
            self._bucket.write(f"{source.root}/{MOVED}", json.dumps(said).encode())
            now = tuple(self._bucket.objects(f"{source.root}/"))
            self._delete(replace(source, objects=now), said)
            return
        self._bucket.delete(source.root, etag=source.objects[0].etag)
        if source.marker is not None:  # lest it vouch for the next of that name
            self._bucket.delete(source.marker.key)

    def _delete(self, delivery: Delivery, said: Sequence[Sequence[str]]) -> None:
        moved = {tuple(each) for each in said}
        for stored in delivery.contents:
            if _said(delivery, stored) in moved:  # else it was delivered again meanwhile
                self._bucket.delete(stored.key, etag=stored.etag)
        for stored in delivery.objects:
            if stored.key.endswith("/"):
                self._bucket.delete(stored.key)
        self._bucket.delete(f"{delivery.root}/{MOVED}")


def _said(delivery: Delivery, stored: StoredObject) -> tuple[str, str, str]:
    return delivery.below(stored), stored.etag, stored.modified.isoformat()


def _key(root: str, below: str) -> str:
    return f"{root}/{below}" if below else root


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        yield from ((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    else:
        yield "", path


def _content(path: Path, place: Place) -> str:
    with suppress(FileRefused):  # a folder whose parts cannot be read
        return content_now(path)
    return place.stamp
