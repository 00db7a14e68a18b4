"""The folders through which files come and go: incoming/, processed/, failed/."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path, PurePath

from churnlib.adapters.durable import delete, file_errors, move, write_text
from churnlib.adapters.plain_text import storable
from churnlib.errors import ChurnError
from churnlib.intake.files import SUFFIXES
from churnlib.variants import safe_name

OUTCOMES = "outcomes"
_UNFINISHED = (".tmp", ".part", ".crdownload")
_ERROR = ".error.json"


class LocalInbox:
    """Fulfils `ports.Inbox` with `<data>/{incoming,processed,failed}/<model>/`.

    A delivery is a file of a known format or a folder of Parquet parts; files of outcomes lie in the
    folder `outcomes/` of the model and are named `outcomes/<name>`. Where a name is taken by other
    content, the later file becomes `<name>~2.csv`, `<name>~3.csv`, …; nothing is ever overwritten.
    """

    def __init__(self, data: Path) -> None:
        data = data.resolve()
        self._incoming, self._processed, self._failed = (
            data / name for name in ("incoming", "processed", "failed")
        )

    def pending(self, model: str) -> Sequence[Path]:
        """Batch files that wait, oldest name first."""
        return _deliveries(self._incoming / safe_name(model, what="model"))

    def pending_outcomes(self, model: str) -> Sequence[Path]:
        """Outcome files that wait, oldest name first."""
        return _deliveries(self._incoming / safe_name(model, what="model") / OUTCOMES)

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

    def accept(self, model: str, path: Path) -> Path:
        """Move to processed/; a file that was moved already, or is not the inbox's, is left where it is.

        Raises:
            ServiceUnavailable: the operating system refuses.
        """
        return self._move(model, path, self._processed) if _lies_in(path, self._incoming) else path

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
                return moved
            free = next(name for name in _names(target) if not name.exists() or _is_same(path, name))
            free.parent.mkdir(parents=True, exist_ok=True)
            if error is not None:  # first, so that no file lies in failed/ without its reason
                write_text(free.with_name(free.name + _ERROR), _pretty(error))
            if free.exists():
                delete(path)
            else:
                _move_once(path, free)
        return free

    def _relative(self, model: str, path: Path) -> PurePath:
        place = _place(path)
        for base in (self._incoming, self._processed):
            if place.is_relative_to(base / model):
                return place.relative_to(base / model)
        return PurePath(place.name)

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


def _deliveries(folder: Path) -> list[Path]:
    with file_errors(f"{folder} cannot be read"):
        if not folder.is_dir():
            return []
        found = [_readable(path) for path in folder.iterdir() if _is_delivery(path, folder)]
    return sorted(found, key=lambda path: path.name)


def _is_delivery(path: Path, folder: Path) -> bool:
    name = path.name.lower()
    if name.startswith(".") or name.endswith((_ERROR, *_UNFINISHED)):
        return False
    if not path.resolve().is_relative_to(folder.resolve()):  # a link that leads out of the inbox
        return False
    if path.is_dir():
        return path.name != OUTCOMES and _is_complete(path)
    return name.endswith(SUFFIXES)


def _is_complete(folder: Path) -> bool:
    """Whether the folder has Parquet parts and nobody writes into it any more."""
    names = [path.name.lower() for path in folder.iterdir()]
    is_written = any(name.endswith(_UNFINISHED) or name == "_temporary" for name in names)
    return not is_written and any(name.endswith(".parquet") for name in names)


def _readable(path: Path) -> Path:
    """Rename a file whose name is no UTF-8: such a name can be neither printed, sent nor stored."""
    name = storable(path.name)
    if name == path.name:
        return path
    free = next(candidate for candidate in _names(path.with_name(name)) if not candidate.exists())
    return path.rename(free)


def _pretty(error: Mapping[str, object]) -> str:
    return storable(json.dumps(error, indent=2, ensure_ascii=False, default=str)) + "\n"
