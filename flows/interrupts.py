"""Ctrl-C and a polite kill, told apart from every other end, even from inside a C library's callback."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_STOP = threading.Event()


def install() -> None:
    """Make SIGINT, SIGTERM and SIGHUP end the program by KeyboardInterrupt, from the main thread.

    An exception that is raised while a library calls back into Python may be swallowed or come out as
    another one; `is_stopping` and `check` then still know that somebody asked to stop.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)


def is_stopping() -> bool:
    """Whether somebody asked to stop."""
    return _STOP.is_set()


def check() -> None:
    """Stop here when somebody asked to; raises KeyboardInterrupt."""
    if _STOP.is_set():
        raise KeyboardInterrupt


def _stop(_signal: int, _frame: FrameType | None) -> None:
    _STOP.set()
    raise KeyboardInterrupt
