"""What in a folder is a delivery, and which deliveries nobody writes to any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from churnlib.intake.looks import Look, look_at

OUTCOMES = "outcomes"
DONE = ".done"
"""`<name>.done` beside a file says that it is complete."""
SUCCESS = "_SUCCESS"
"""In a folder of parts says that it is complete."""
ERROR = ".error.json"

_UNFINISHED = (".tmp", ".part", ".crdownload")
_HIDDEN = (".", "~$")  # Excel's lock beside an open workbook
_BESIDE = ("readme.md", SUCCESS.lower())
_PARTS = ".parquet"


def is_delivery_name(name: str) -> bool:
    """Whether a file of that name is meant to be taken in, be its form known or not."""
    name = name.lower()
    return not (name.startswith(_HIDDEN) or name.endswith((ERROR, DONE, *_UNFINISHED)) or name in _BESIDE)


def is_delivery(path: Path) -> bool:
    """Whether a file or a folder in an inbox is meant to be taken in, complete or not."""
    if not is_delivery_name(path.name) or _leads_out(path):
        return False
    if path.is_dir():
        return path.name != OUTCOMES and _has_parts(path)
    return path.is_file()


def is_marked(path: Path) -> bool:
    """Whether the sender said that the delivery is complete."""
    return (path / SUCCESS if path.is_dir() else marker_of(path)).is_file()


def marker_of(path: Path) -> Path:
    """Where a sender says that a file is complete."""
    return path.with_name(path.name + DONE)


def _leads_out(path: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(path.parent.resolve())
    except RuntimeError:  # a link that leads to itself
        return True


def _has_parts(folder: Path) -> bool:
    """Whether the folder has Parquet parts, and none that has not got its final name."""
    names: list[str] = []
    with suppress(FileNotFoundError):  # it goes while it is looked at
        names += [path.name.lower() for path in folder.rglob("*")]
    is_written = any(name.endswith(_UNFINISHED) or name == "_temporary" for name in names)
    return not is_written and any(name.endswith(_PARTS) and not name.startswith(("_", ".")) for name in names)


class Settling:
    """Tells deliveries that are complete from those that are still being written, by size and time alone.

    What changed within the last `seconds` is looked at again once they are over, and is complete if it
    looks the same. The wait is one for all, and never longer than `seconds`.
    """

    def __init__(self, seconds: float, *, sleep: Callable[[float], object], clock: Callable[[], float]) -> None:
        """Make one.

        Args:
            seconds: 0 takes everything as complete.
            sleep: waits for so many seconds.
            clock: now, in seconds since 1970.
        """
        self._seconds, self._sleep, self._clock = seconds, sleep, clock
        self._stayed: dict[Path, dict[Path, Look]] = {}

    def complete(self, folder: Path, deliveries: Iterable[Path]) -> list[Path]:
        """Those of the folder's deliveries that are complete, in their order; the others wait for another time."""
        first = {path: look for path in deliveries if (look := look_at(path)) is not None}
        # a time in the future never grows old; what was once seen to stay is not waited for again
        stayed = {path: look for path, look in self._stayed.get(folder, {}).items() if first.get(path) == look}
        rests = {path: self._rest(look) for path, look in first.items() if path not in stayed}
        young = {path for path, rest in rests.items() if rest > 0}
        if young:
            self._sleep(max(rests.values()))
        stayed |= {path: first[path] for path in young if look_at(path) == first[path]}
        self._stayed[folder] = stayed
        return [path for path in first if path not in young or path in stayed]

    def _rest(self, look: Look) -> float:
        """What is left of the wait; all of it for a time in the future, which says nothing."""
        age = max(self._clock() - look.changed_at, 0.0)
        return max(self._seconds - age, 0.0)
