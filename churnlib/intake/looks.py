"""How a delivery looks from outside: what can be told without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Look:
    """Sizes and times of a file, or of all files below a folder.

    Two equal looks mean that nothing was written in between.

    Attributes:
        files: name below the delivery (empty for a file itself), size in bytes, time of change in nanoseconds.
    """

    files: tuple[tuple[str, int, int], ...]

    @property
    def changed_at(self) -> float:
        """When the newest of the files was changed, in seconds since 1970 by the disk's clock; 0 without files."""
        return max((changed for _, _, changed in self.files), default=0) / 1e9


def look_at(path: Path) -> Look | None:
    """Look at a file or at a folder with all below it; None where it is gone, or goes while it is looked at."""
    try:
        if not path.is_dir():
            return Look((_facts("", path),))
        below = sorted(part for part in path.rglob("*") if part.is_file())
        return Look(tuple(_facts(part.relative_to(path).as_posix(), part) for part in below))
    except FileNotFoundError:
        return None


def _facts(name: str, file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return name, found.st_size, found.st_mtime_ns
