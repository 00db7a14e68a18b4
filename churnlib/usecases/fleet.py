"""The same work for many models, a few at a time: one that fails stops no other, and is named at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports import Progress, Silent
from churnlib.usecases.services import Run, Services

T = TypeVar("T")

_NAMED = 5
"""So many models are named one by one; the others are counted."""


@dataclass(frozen=True)
class Fleet(Generic[T]):
    """What came of it.

    Attributes:
        done: results by registered model, in the order in which they were asked for.
        failed: why not, by registered model, in the same order.
    """

    done: dict[str, T]
    failed: dict[str, ChurnError]

    @property
    def is_unreachable(self) -> bool:
        """Whether some failed because a service did not answer: trying again may mend that."""
        return any(isinstance(error, ServiceUnavailable) for error in self.failed.values())

    @property
    def text(self) -> str:
        """Which failed, and why; empty where none did."""
        return named({model: str(error) for model, error in self.failed.items()})

    def only(self) -> T:
        """The result where there was one model; raises its error."""
        for error in self.failed.values():
            raise error
        (result,) = self.done.values()
        return result

    def check(self) -> None:
        """Make the error of a lone model, or of a service that did not answer, that of the whole.

        Raises:
            ServiceUnavailable: a service did not answer for some; the others are done.
            ChurnError: there was but one model, and it failed.
        """
        if self.failed and not self.done and len(self.failed) == 1:
            self.only()
        if self.is_unreachable:
            raise ServiceUnavailable(
                f"{len(self.failed)} of {len(self.failed) + len(self.done)} models failed: {self.text}",
                hint="The others are done; run it again.",
            )


def over(
    models: Sequence[str], work: Callable[[str], T], *, workers: int, progress: Progress, unit: str = "models"
) -> Fleet[T]:
    """Do the work for every model, at most so many at a time.

    Args:
        models: registered models.
        work: for one of them; called from several threads.
        workers: threads; with one the work is done in this thread.
        progress: told how many models are done.
        unit: what they are called there.
    """
    done: dict[str, T] = {}
    failed: dict[str, ChurnError] = {}
    for count, (model, result) in enumerate(_results(models, work, workers), start=1):
        try:
            done[model] = result()
        except ChurnError as error:
            failed[model] = error
        except Exception as error:  # noqa: BLE001  one model's fault, whatever it is, is not the others'
            failed[model] = ChurnError(f"{type(error).__name__}: {error}", hint="This is a fault of ours.")
        if len(models) > 1:
            progress.advance(count, len(models), unit)
    return Fleet(
        {model: done[model] for model in models if model in done},
        {model: failed[model] for model in models if model in failed},
    )


def apart(services: Services, run: Run) -> tuple[Services, Run]:
    """Services and run for one model among many.

    Its releases are its own, so that those of a whole fleet are never in memory together; its events wait in the
    outbox until all are done; it says nothing of its own.
    """
    return replace(services, releases={}, bus=None), replace(run, progress=Silent())


def named(reasons: dict[str, str]) -> str:
    """A sentence about the first few models, and how many more there are."""
    shown = [f"{model}: {reason}" for model, reason in list(reasons.items())[:_NAMED]]
    more = len(reasons) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _results(
    models: Sequence[str], work: Callable[[str], T], workers: int
) -> Iterator[tuple[str, Callable[[], T]]]:
    if workers == 1 or len(models) == 1:
        for model in models:
            yield model, lambda model=model: work(model)  # type: ignore[misc]
        return
    with _pool(workers) as pool:
        futures: dict[Future[T], str] = {pool.submit(work, model): model for model in models}
        for future in as_completed(futures):
            yield futures[future], future.result


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; where somebody interrupts, what has not begun is left."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fleet")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
