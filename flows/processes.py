"""Run a command so that it cannot outlive us: `python -m flows.processes COMMAND…` guards one command.

A guard holds its standard input; when that closes, for whatever reason, a killed parent included, it stops
the command with everything that the command started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import psutil

STOP_SECONDS = 5.0


def stop_family(processes: Sequence[psutil.Process]) -> None:
    """Terminate the processes with all their descendants, by pid; kill what does not go."""
    family: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            family += [process, *process.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def is_alive(pid: int, born: float) -> bool:
    """Whether the process that was started at that time still runs (a pid may be used again)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def guard(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input closes; returns its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # ignored ones would be inherited, and a worker never stop
        signal.signal(number, signal.SIG_DFL)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  our own commands
    family = psutil.Process(child.pid)
    stopping, stopped = threading.Event(), threading.Event()

    def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
        stopping.set()
        stop_family([family])
        stopped.set()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if stopping.is_set():
        stopped.wait(3 * STOP_SECONDS)
        return 0
    return code


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
