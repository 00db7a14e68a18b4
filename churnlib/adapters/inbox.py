"""The folders through which files come and go: incoming/, processed/, failed/."""

from __future__ import annotations

import filecmp
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePath

from churnlib.adapters.deliveries import DONE, ERROR, OUTCOMES, Settling, is_delivery, is_marked, marker_of
from churnlib.adapters.durable import delete, file_errors, move, write_text
from churnlib.adapters.plain_text import storable
from churnlib.errors import ChurnError, FileRefused
from churnlib.intake.files import content_id as content_now
from churnlib.variants import safe_name


class LocalInbox:
    """Fulfils `ports.Inbox` with `<data>/{incoming,processed,failed}/<model>/`.

    A delivery is a file or a folder of Parquet parts; files of outcomes lie in the folder `outcomes/`
    of the model and are named `outcomes/<name>`. Where a name is taken by other content, the later
    file becomes `<name>~2.csv`, `<name>~3.csv`, …; nothing is ever overwritten.
    """

    def __init__(
        self,
        data: Path,
        *,
        settle_seconds: float = 2.0,
        wait_for_marker: bool = False,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.time,  # noqa: TID251  an argument, whose default is the disk's clock
    ) -> None:
        """Open the inbox; its folders are made when they are needed.

        Args:
            data: holds the three folders.
            settle_seconds: a delivery that changed within so many seconds is looked at again before it counts
                as complete; listing then takes so long at most.
            wait_for_marker: a delivery is complete once `<name>.done` lies beside it (a folder: `_SUCCESS` in
                it), and not before.
            sleep: waits for so many seconds.
            clock: now, in seconds since 1970.
        """
        data = data.resolve()
        self._incoming, self._processed, self._failed = (
            data / name for name in ("incoming", "processed", "failed")
        )
        self._wait_for_marker = wait_for_marker
        self._settling = Settling(settle_seconds, sleep=sleep, clock=clock)

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait and are complete, oldest name first."""
        return self._deliveries(self._incoming / safe_name(model, what="model"))

    def pending_outcomes(self, model: str) -> Sequence[Path]:
        """Outcome files that wait and are complete, oldest name first."""
        return self._deliveries(self._incoming / safe_name(model, what="model") / OUTCOMES)

    def resolve(self, model: str, file: str) -> Path:
        """The path of a file of that model's inbox: as it waits, else the last one accepted of that name.

        Raises:
            ChurnError: the name leads out of the inbox, or there is no such file in it or in processed/.
        """
        safe_name(model, what="model")
        waiting = self._inside(self._incoming / model, file)
        if waiting.exists():
            return waiting
        if (accepted := _last(self._inside(self._processed / model, file))) is not None:
            return accepted
        is_outcome = (self._incoming / model / OUTCOMES / file).exists()
        raise ChurnError(
            f"There is no file {file!r} in {self._incoming / model}, nor in {self._processed / model}.",
            hint=f"Did you mean {OUTCOMES}/{file}?" if is_outcome else "Put it there, or correct its name.",
        )

    def name_of(self, model: str, path: Path) -> str:
        """The name of a waiting or accepted file by which `resolve` finds it."""
        return self._relative(safe_name(model, what="model"), path).as_posix()

    def owns(self, path: Path) -> bool:
        """Whether the file lies in the inbox (others are never moved)."""
        return any(_lies_in(path, folder) for folder in (self._incoming, self._processed, self._failed))

    def origin(self, model: str, path: Path) -> str:
        """Where the file lies, for the record: its whole path."""
        del model
        return storable(str(_place(path)))

    def accept(self, model: str, path: Path, *, content_id: str | None = None) -> Path:
        """Move to processed/; a file that was moved already, or is not the inbox's, is left where it is.

        Args:
            model: the inbox's.
            path: a waiting file, or where it was.
            content_id: what was read of it; a file that holds something else by now stays, and is news.

        Raises:
            ServiceUnavailable: the operating system refuses.
        """
        if not _lies_in(path, self._incoming):
            if _lies_in(path, self._processed):  # an earlier run may have been killed before it
                self._remove_marker(model, path)
            return path
        if content_id is not None and path.exists() and not _holds(path, content_id):
            return path
        return self._move(model, path, self._processed)

    def refuse(self, model: str, path: Path, error: Mapping[str, object]) -> Path:
        """Move to failed/ with `<name>.error.json` beside it; a file that is not the inbox's stays.

        Raises:
            ServiceUnavailable: the operating system refuses.
        """
        if not self.owns(path) or _lies_in(path, self._failed):
            return path
        return self._move(model, path, self._failed, error)

    def _move(self, model: str, path: Path, base: Path, error: Mapping[str, object] | None = None) -> Path:
        target = base / safe_name(model, what="model") / self._relative(model, path)
        with file_errors(f"{path} cannot be moved to {target.parent}"):
            if not path.exists() and (moved := _last(target)) is not None:
                self._remove_marker(model, path)
                return moved
            free = next(name for name in _names(target) if not name.exists() or _is_same(path, name))
            free.parent.mkdir(parents=True, exist_ok=True)
            if error is not None:  # first, so that no file lies in failed/ without its reason
                write_text(free.with_name(free.name + ERROR), _pretty(error))
            if free.exists():
                delete(path)
            else:
                _move_once(path, free)
            self._remove_marker(model, path)
        return free

    def _remove_marker(self, model: str, path: Path) -> None:
        """Take the marker away once its file has gone, so that it does not vouch for the next of that name."""
        marker = marker_of(self._incoming / safe_name(model, what="model") / self._relative(model, path))
        with file_errors(f"{marker} cannot be removed"):
            if not marker.with_name(marker.name.removesuffix(DONE)).exists():
                marker.unlink(missing_ok=True)

    def _relative(self, model: str, path: Path) -> PurePath:
        place = _place(path)
        for base in (self._incoming, self._processed):
            if place.is_relative_to(base / model):
                return place.relative_to(base / model)
        return PurePath(place.name)

    def _deliveries(self, folder: Path) -> list[Path]:
        with file_errors(f"{folder} cannot be read"):
            if not folder.is_dir():
                return []
            found = [path for path in sorted(folder.iterdir(), key=lambda each: each.name) if is_delivery(path)]
            if self._wait_for_marker:
                complete = [path for path in found if is_marked(path)]
            else:
                complete = self._settling.complete(folder, found)
            return [readable for path in complete if (readable := _readable(path)) is not None]

    def _inside(self, folder: Path, file: str) -> Path:
        name = PurePath(file)
        is_name = file not in ("", ".") and "\0" not in file and not name.is_absolute() and ".." not in name.parts
        if is_name and (folder / name).resolve().is_relative_to(folder.resolve()):
            return folder / name
        raise ChurnError(
            f"{file!r} leads out of the inbox {folder}.",
            hint="Give the name of a file that lies in it, without any folder above it.",
        )


def _place(path: Path) -> Path:
    """The path with its folder's links followed, but not the file's own."""
    return path.parent.resolve() / path.name


def _lies_in(path: Path, folder: Path) -> bool:
    return _place(path).is_relative_to(folder)


def _move_once(path: Path, target: Path) -> None:
    try:
        move(path, target)
    except FileNotFoundError:
        if not target.exists():  # else another run was faster with the same move
            raise


def _names(path: Path) -> Iterator[Path]:
    """The name itself, then `name~2.csv`, `name~3.csv` and so on, for ever."""
    yield path
    stem, dot, suffix = path.name.partition(".")
    yield from (path.with_name(f"{stem}~{number}{dot}{suffix}") for number in count(2))


def _last(path: Path) -> Path | None:
    """The newest of the name and its numbered followers."""
    last = None
    for name in _names(path):
        if not name.exists():
            return last
        last = name
    return last


def _is_same(one: Path, other: Path) -> bool:
    """Whether both have the same content; folders: the same names with the same contents."""
    if one.is_dir() != other.is_dir():
        return False
    if not one.is_dir():
        return filecmp.cmp(one, other, shallow=False)
    names = [{str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()} for top in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


def _holds(path: Path, content_id: str) -> bool:
    with file_errors(f"{path} cannot be read"), suppress(FileRefused, FileNotFoundError):
        return content_now(path) == content_id
    return not path.exists()  # it is a folder without any part by now, or has gone since it was looked at


def _readable(path: Path) -> Path | None:
    """Rename a file whose name is no UTF-8: such a name can be neither printed, sent nor stored.

    None where the file has gone since.
    """
    name = storable(path.name)
    if name == path.name:
        return path
    free = next(candidate for candidate in _names(path.with_name(name)) if not candidate.exists())
    with suppress(FileNotFoundError):
        return path.rename(free)
    return None


def _pretty(error: Mapping[str, object]) -> str:
    return storable(json.dumps(error, indent=2, ensure_ascii=False, default=str)) + "\n"
