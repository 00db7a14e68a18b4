"""Something that may be down is tried again, and the log says so once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from churnlib.errors import ChurnError

LOG = logging.getLogger("churn.watcher")

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Patience:
    """Tries something that may be down: after waits that double, with jitter; one line when it goes and comes."""

    def __init__(self, what: str, *, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        """Name it.

        Args:
            what: is tried, for the log.
            clock: seconds that only grow.
            jitter: from 0 to 1; the wait is half to all of what it would be.
        """
        self._what, self._clock, self._jitter = what, clock, jitter
        self._failures, self._until, self._said = 0, 0.0, ""

    @property
    def rest(self) -> float | None:
        """Seconds until it may be tried again; None while all is well."""
        return max(self._until - self._clock(), 0.0) if self._failures else None

    def attempt(self, act: Callable[[], object], *, forgiven: type[Exception] = Exception) -> bool:
        """Try it, unless it is too early; returns whether it was done. Other than forgiven errors are raised."""
        if self.rest:
            return False
        try:
            act()
        except forgiven as error:
            self._wait(error)
            return False
        if self._failures:
            LOG.info("%s: works again", self._what)
        self._failures, self._said = 0, ""
        return True

    def _wait(self, error: Exception) -> None:
        longest = min(_FIRST_WAIT * 2 ** min(self._failures, 10), _LONGEST_WAIT)
        self._failures += 1
        self._until = self._clock() + longest * (0.5 + 0.5 * self._jitter())
        said = str(error) if isinstance(error, ChurnError) else f"{type(error).__name__}: {error}"
        if said != self._said:
            LOG.warning("%s: %s It is tried again.", self._what, " ".join(said.split()))
        self._said = said
