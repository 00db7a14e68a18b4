"""A guarded command never outlives the one who started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import interrupts
from flows.processes import is_alive, stop_family

GRANDCHILD = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)


def guarded(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "flows.processes", *command], stdin=subprocess.PIPE)


def family(process: subprocess.Popen[bytes], size: int) -> list[psutil.Process]:
    """The guard's descendants, once there are so many."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = psutil.Process(process.pid).children(recursive=True)
        if len(found) >= size:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the command did not start {size} processes")


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not alive


def test_closing_the_guards_input_stops_the_command_and_what_it_started() -> None:
    guard = guarded(sys.executable, "-c", GRANDCHILD)
    started = family(guard, 2)
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(timeout=20) == 0
    assert gone(started)


def test_a_killed_parent_takes_the_command_with_it() -> None:
    starter = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-m', 'flows.processes', 'sleep', '60'], stdin=subprocess.PIPE);"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter])
    started = family(parent, 2)
    parent.send_signal(signal.SIGKILL)
    parent.wait(timeout=20)
    assert gone(started)


def test_a_command_that_ends_by_itself_ends_its_guard_with_its_exit_code() -> None:
    guard = guarded(sys.executable, "-c", "raise SystemExit(3)")
    assert guard.wait(timeout=20) == 3
    assert guard.stdin is not None
    guard.stdin.close()


def test_a_process_that_ignores_the_polite_request_is_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    stop_family([psutil.Process(child.pid)])
    assert not psutil.pid_exists(child.pid)
    child.wait(timeout=5)
    child.stdout.close()


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_old_one() -> None:
    me = psutil.Process()
    assert is_alive(me.pid, me.create_time())
    assert not is_alive(me.pid, me.create_time() - 100)


def test_a_request_to_stop_is_known_after_a_library_swallowed_its_exception(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from flows import interrupts\n"
        "interrupts.install()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "assert interrupts.is_stopping()\n"
        "try:\n"
        "    interrupts.check()\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7


def test_nobody_has_asked_this_process_to_stop() -> None:
    interrupts.check()
    assert not interrupts.is_stopping()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guard_that_is_told_to_stop_stops_its_command(number: signal.Signals) -> None:
    guard = guarded(sys.executable, "-c", "import time; time.sleep(60)")
    started = family(guard, 1)
    guard.send_signal(number)
    guard.wait(timeout=20)
    assert guard.stdin is not None
    guard.stdin.close()
    assert gone(started)
