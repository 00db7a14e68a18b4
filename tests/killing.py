"""A process that dies after a chosen call to the outside, and does nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from churnlib.ports import LedgerTransaction
from churnlib.usecases.services import Services


class Killed(BaseException):
    """What a killed process would never see."""


class Process:
    """Counts calls of every port; the one with this number is the last that has an effect.

    Inside a ledger's transaction nothing counts but its end, because until then it has no effect.
    """

    def __init__(self, last_call: int) -> None:
        self.calls = 0
        self.is_dead = False
        self._last_call = last_call

    def lend(self, services: Services) -> Services:
        """The same services, as long as the process lives; the release cache is a new one."""
        tables = ("snapshots", "outcomes", "predictions", "shadows", "quarantine")
        ports = ("registry", *tables, "inbox", "bus", "reporter")
        wrapped: dict[str, Any] = {name: _Port(getattr(services, name), self) for name in ports}
        return replace(services, ledger=_Ledger(services.ledger, self), releases={}, **wrapped)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do it, unless dead; die after the last one."""
        self.check()
        result = function(*args, **kwargs)
        self.count()
        return result

    def check(self) -> None:
        """The dead do nothing."""
        if self.is_dead:
            raise Killed

    def count(self) -> None:
        """One more call was made."""
        self.calls += 1
        if self.calls == self._last_call:
            self.is_dead = True
            raise Killed


class _Port:
    def __init__(self, port: Any, process: Process) -> None:
        self._port, self._process = port, process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._port, name)
        return lambda *args, **kwargs: self._process.call(function, *args, **kwargs)


class _Ledger:
    def __init__(self, ledger: Any, process: Process) -> None:
        self._ledger, self._process = ledger, process

    @contextmanager
    def begin(self) -> Iterator[LedgerTransaction]:
        self._process.check()
        with self._ledger.begin() as tx:
            yield tx
        self._process.count()


def kill_everywhere(
    work: Callable[[Process], object], again: Callable[[], object], *, first: int = 1, most: int = 200
) -> int:
    """Kill the work after its first call, its second and so on, each time followed by `again`.

    Args:
        work: starts from nothing with the process's services each time.
        again: the repetition in a new process, and the checks of how that ended.
        first: the first call it is killed after, where those before it only read and the work is long.
        most: no work makes more calls than this.

    Returns:
        How often it was killed.
    """
    for last_call in range(first, most):
        process = Process(last_call)
        try:
            work(process)
        except Killed:
            again()
            continue
        again()
        return last_call - 1
    raise AssertionError(f"still not through after {most} calls")
