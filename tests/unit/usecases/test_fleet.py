"""Work for many models: bounded, in order, and one that fails stops no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from churnlib.errors import ReleaseCorrupt, ServiceUnavailable
from churnlib.ports import Silent
from churnlib.usecases.fleet import Fleet, apart, named, over
from tests.loops import Loop, run

MODELS = [f"shop-{number}" for number in range(12)]


def failing(**errors: Exception) -> Callable[[str], str]:
    def work(model: str) -> str:
        if model in errors:
            raise errors[model]
        return model.upper()

    return work


class Counted(Silent):
    def __init__(self) -> None:
        self.said: list[tuple[int, int, str]] = []

    def advance(self, done: int, total: int, unit: str) -> None:
        self.said.append((done, total, unit))


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_models(workers: int) -> None:
    counted = Counted()
    done = over(MODELS, failing(), workers=workers, progress=counted)
    assert list(done.done.items()) == [(model, model.upper()) for model in MODELS]
    assert (done.failed, done.text) == ({}, "")
    assert counted.said == [(number, 12, "models") for number in range(1, 13)]


@pytest.mark.parametrize("workers", [1, 3])
def test_one_that_fails_stops_no_other_and_is_named(workers: int) -> None:
    corrupt = ReleaseCorrupt("probe differs.", hint="Fetch it again.")
    work = failing(**{"shop-3": corrupt, "shop-7": ValueError("odd")})
    done = over(MODELS, work, workers=workers, progress=Silent())
    assert len(done.done) == 10
    assert list(done.failed) == ["shop-3", "shop-7"]
    assert done.failed["shop-3"] is corrupt
    assert done.text == (
        "shop-3: probe differs. Fetch it again.; shop-7: ValueError: odd This is a fault of ours."
    )
    done.check()


def test_no_more_than_so_many_are_worked_on_at_a_time() -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def work(_: str) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1

    over(MODELS, work, workers=3, progress=Silent())
    assert most == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_who_interrupts_is_not_taken_for_a_model_that_failed(workers: int) -> None:
    begun = []

    def work(model: str) -> None:
        begun.append(model)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        over(MODELS, work, workers=workers, progress=Silent())
    assert len(begun) < len(MODELS)


def test_the_error_of_a_lone_model_is_that_of_the_whole() -> None:
    corrupt = ReleaseCorrupt("probe differs.", hint="Fetch it again.")
    alone = over(["shop"], failing(shop=corrupt), workers=2, progress=Silent())
    with pytest.raises(ReleaseCorrupt, match="probe differs"):
        alone.check()
    with pytest.raises(ReleaseCorrupt, match="probe differs"):
        alone.only()
    assert over(["shop"], failing(), workers=2, progress=Silent()).only() == "SHOP"


def test_a_service_that_did_not_answer_is_said_so_that_it_is_tried_again() -> None:
    away = ServiceUnavailable("MLflow is away.", hint="Start it.")
    done = over(MODELS, failing(**{"shop-1": away}), workers=2, progress=Silent())
    assert done.is_unreachable
    with pytest.raises(ServiceUnavailable, match=r"1 of 12 models failed: shop-1: MLflow is away."):
        done.check()


def test_of_many_that_failed_the_first_are_named_and_the_others_counted() -> None:
    assert named(dict.fromkeys(MODELS, "gone")).endswith("shop-4: gone; and 7 more")
    assert named({}) == ""


def test_nothing_to_do_is_done() -> None:
    assert over([], failing(), workers=2, progress=Silent()) == Fleet({}, {})


def test_one_model_among_many_has_its_own_releases_and_tells_nobody(loop: Loop) -> None:
    services, quiet = apart(loop.services, run())
    assert services.release("telly", 1) is not None
    assert loop.services.releases == {}
    assert services.bus is None
    assert isinstance(quiet.progress, Silent)
