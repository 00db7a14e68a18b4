"""The folders through which files come and go, on S3: incoming/, processed/, failed/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from churnlib.adapters.deliveries import DONE, OUTCOMES
from churnlib.adapters.plain_text import storable
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_deliveries import Delivery, deliveries, is_delivery, is_nameable
from churnlib.adapters.s3_moves import Moves
from churnlib.adapters.s3_staging import Staging
from churnlib.errors import ChurnError
from churnlib.variants import safe_name

INCOMING, PROCESSED, FAILED = "incoming", "processed", "failed"


class S3Inbox:
    """Fulfils `ports.Inbox` with `s3://bucket/prefix/{incoming,processed,failed}/<model>/`.

    Paths are those of local copies, which are kept until the delivery is moved; names are as in `LocalInbox`.
    A move copies first and deletes afterwards, and goes on where an earlier one was killed: a copied delivery
    says what it holds, and a folder that is half deleted says so and is no delivery.
    """

    def __init__(
        self, bucket: Bucket, cache: Path, *, settle_seconds: float = 2.0, wait_for_marker: bool = False
    ) -> None:
        """Remember where it is; nothing is asked.

        Args:
            bucket: holds the three folders.
            cache: folder of its own for local copies; may be lost at any time.
            settle_seconds: a folder of parts is complete once its newest object is so old, by S3's clock.
            wait_for_marker: a delivery is complete once `<name>.done` lies beside it (a folder: `_SUCCESS` in
                it), and not before.
        """
        self._bucket, self._staging = bucket, Staging(cache)
        self._moves = Moves(bucket, self._staging)
        self._settle_seconds, self._wait_for_marker = settle_seconds, wait_for_marker

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait and are complete, oldest name first, fetched.

        Raises:
            ServiceUnavailable: S3 cannot be reached, or the disk is full.
            ChurnError: S3 refuses for good.
        """
        return self._waiting(safe_name(model, what="model"), "")

    def pending_outcomes(self, model: str) -> Sequence[Path]:
        """Outcome files that wait; as `pending`."""
        return self._waiting(safe_name(model, what="model"), f"{OUTCOMES}/")

    def resolve(self, model: str, file: str) -> Path:
        """A local copy of a file of that model's inbox: as it waits, else the last one accepted of that name.

        Raises:
            ChurnError: the name leads out of the inbox, or there is no such file in it or in processed/.
        """
        incoming = self._bucket.address(f"{INCOMING}/{safe_name(model, what='model')}")
        if not is_nameable(file):
            raise ChurnError(
                f"{file!r} leads out of the inbox {incoming}.",
                hint="Give the name of a file that lies in it, without any folder above it.",
            )
        for look, base in ((self._moves.find, INCOMING), (self._moves.last, PROCESSED)):
            found = look(base, model, file)
            path = None if found is None else self._staging.fetch(self._bucket, found)
            if path is not None:
                return path
        is_outcome = self._moves.find(INCOMING, model, f"{OUTCOMES}/{file}") is not None
        raise ChurnError(
            f"There is no file {file!r} in {incoming}, nor in {self._bucket.address(f'{PROCESSED}/{model}')}.",
            hint=f"Did you mean {OUTCOMES}/{file}?" if is_outcome else "Put it there, or correct its name.",
        )

    def name_of(self, model: str, path: Path) -> str:
        """The name of a waiting or accepted file by which `resolve` finds it."""
        safe_name(model, what="model")
        place = self._staging.place(path)
        return path.name if place is None else place.name

    def owns(self, path: Path) -> bool:
        """Whether it is the local copy of a delivery in this inbox (others are never moved)."""
        return self._staging.place(path) is not None

    def origin(self, model: str, path: Path) -> str:
        """The delivery's address, `s3://…`; of a file that is not the inbox's, its path."""
        place = self._staging.place(path)
        if place is None:
            return storable(str(path))
        return self._bucket.address(place.key)

    def accept(self, model: str, path: Path, *, content_id: str | None = None) -> Path:
        """Move to processed/; a file that was moved already, or is not the inbox's, is left where it is.

        What was delivered under the same name meanwhile stays, and is news.

        Args:
            model: the inbox's.
            path: as it was given out.
            content_id: what was read of it.

        Raises:
            ServiceUnavailable: S3 cannot be reached, or the file is nowhere.
            ChurnError: S3 refuses for good.
        """
        safe_name(model, what="model")
        place = self._staging.place(path)
        if place is None or place.base == FAILED:
            return path
        if place.base == INCOMING:
            return self._moves.move(place, path, PROCESSED, content_id=content_id)
        if self._moves.find(INCOMING, model, place.name) is None:  # an earlier run may have been killed before it
            self._bucket.delete(f"{INCOMING}/{model}/{place.name}{DONE}")
        self._staging.forget(path)
        return path

    def refuse(self, model: str, path: Path, error: Mapping[str, object]) -> Path:
        """Move to failed/ with `<name>.error.json` beside it; a file that is not the inbox's stays.

        Raises:
            ServiceUnavailable: S3 cannot be reached, or the file is nowhere.
            ChurnError: S3 refuses for good.
        """
        safe_name(model, what="model")
        place = self._staging.place(path)
        if place is None or place.base == FAILED:
            return path
        return self._moves.move(place, path, FAILED, error=error)

    def _waiting(self, model: str, folder: str) -> list[Path]:
        found = deliveries(self._bucket.objects(f"{INCOMING}/{model}/{folder}"), INCOMING, model, folder)
        for delivery in found:
            if delivery.is_being_deleted:
                self._moves.finish(delivery)
        ready = (delivery for delivery in found if is_delivery(delivery) and self._is_complete(delivery))
        fetched = [self._staging.fetch(self._bucket, delivery) for delivery in ready]
        return [path for path in fetched if path is not None]

    def _is_complete(self, delivery: Delivery) -> bool:
        """A file appears whole, a folder by and by."""
        if self._wait_for_marker:
            return delivery.is_marked
        return not delivery.is_folder or delivery.age_seconds >= self._settle_seconds
