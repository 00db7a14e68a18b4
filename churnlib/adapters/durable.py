"""Files that are there completely or not at all, also after a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from churnlib.errors import ServiceUnavailable


@contextmanager
def file_errors(what: str) -> Iterator[None]:
    """Raise the operating system's refusals as ServiceUnavailable: "<what>: Permission denied"."""
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(
            f"{what}: {error.strerror or error}.",
            hint="Check this user's rights there and the free space of the disk, then repeat.",
        ) from error


def temporary_beside(path: Path) -> Path:
    """A free name in the same folder, hidden, so that nobody takes it for a finished file."""
    return path.with_name(f".{path.name[:150]}.{uuid4().hex}.tmp")


def write_text(path: Path, text: str) -> None:
    """Write the file; a reader sees the old text or the new one."""
    temporary = temporary_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name, replacing what has it."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Move a file or folder to a free name, also to another file system; its folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(source, target)
    _sync(target.parent)
    _sync(source.parent)


def _move_across(source: Path, target: Path) -> None:
    temporary = temporary_beside(target)
    try:
        if source.is_dir():
            shutil.copytree(source, temporary)
        else:
            shutil.copy2(source, temporary)
        for path in [*temporary.rglob("*"), temporary]:
            _sync(path)
        temporary.rename(target)
    finally:
        delete(temporary)
    delete(source)


def delete(path: Path) -> None:
    """Delete a file or a folder with all in it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the disk has the file's content, or the folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
