"""Files that come and go on S3, and in local folders: always there, and alone while S3 cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.errors import ChurnError, ServiceUnavailable


class FallbackInbox:
    """Fulfils `ports.Inbox` with the S3 inbox first, then the local one; `origin` says which one a file is in.

    Attributes:
        outage: why S3 could not be asked for files when it was last tried; None when it could.
    """

    def __init__(self, primary: S3Inbox, local: LocalInbox) -> None:
        self.outage: str | None = None
        self._primary, self._local = primary, local

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait: those on S3, oldest name first, then the local ones.

        Only the local ones while S3 cannot be reached; see `outage`.

        Raises:
            ChurnError: S3 refuses for good.
        """
        return [*self._reached(self._primary.pending, model), *self._local.pending(model)]

    def pending_outcomes(self, model: str) -> Sequence[Path]:
        """Outcome files that wait; as `pending`."""
        return [*self._reached(self._primary.pending_outcomes, model), *self._local.pending_outcomes(model)]

    def resolve(self, model: str, file: str) -> Path:
        """The path of a file of that model's inbox: on S3 if it is there, else a local one.

        Raises:
            ServiceUnavailable: S3 cannot be reached, and there is no such local file.
            ChurnError: the name leads out of the inbox, or there is no such file in it or in processed/.
        """
        try:
            return self._primary.resolve(model, file)
        except ChurnError as missing:
            try:
                return self._local.resolve(model, file)
            except ChurnError:
                raise missing from None

    def name_of(self, model: str, path: Path) -> str:
        """The name of a waiting or accepted file by which `resolve` finds it."""
        return self._of(path).name_of(model, path)

    def owns(self, path: Path) -> bool:
        """Whether the file is in one of the two (others are never moved)."""
        return self._of(path).owns(path)

    def origin(self, model: str, path: Path) -> str:
        """Address of a waiting file, for the record: `s3://…`, or its path."""
        return self._of(path).origin(model, path)

    def accept(self, model: str, path: Path, *, content_id: str | None = None) -> Path:
        """Move to processed/, where it came from; a file that was moved already is left where it is.

        So is one on S3 while that cannot be reached: it still waits then, and is known by its content.
        """
        return self._moved(path, lambda: self._of(path).accept(model, path, content_id=content_id))

    def refuse(self, model: str, path: Path, error: Mapping[str, object]) -> Path:
        """Move to failed/, where it came from, with `<name>.error.json` beside it; or as `accept`."""
        return self._moved(path, lambda: self._of(path).refuse(model, path, error))

    def _reached(self, ask: Callable[[str], Sequence[Path]], model: str) -> Sequence[Path]:
        self.outage = None
        try:
            return ask(model)
        except ServiceUnavailable as error:
            self.outage = error.message
            return ()

    def _moved(self, path: Path, move: Callable[[], Path]) -> Path:
        try:
            return move()
        except ServiceUnavailable:
            if not (self._primary.owns(path) and path.exists()):
                raise
            return path

    def _of(self, path: Path) -> S3Inbox | LocalInbox:
        return self._primary if self._primary.owns(path) else self._local
