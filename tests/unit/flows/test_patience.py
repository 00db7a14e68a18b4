"""What is down is tried again after longer and longer waits, and the log says it once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from churnlib.errors import ServiceUnavailable
from flows.patience import Patience


@dataclass
class Seconds:
    """A clock that stands until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_waits_double_up_to_a_minute_and_are_jittered() -> None:
    clock, draws = Seconds(), iter([1.0] * 8 + [0.0])
    patience = Patience("it", clock=clock, jitter=lambda: next(draws))

    def fail() -> None:
        raise ServiceUnavailable("down.", hint="Wait.")

    rests = []
    for _ in range(9):
        assert not patience.attempt(fail)
        rests.append(patience.rest)
        clock.now += 60
    assert rests == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 30])


def test_nothing_is_tried_before_its_time_and_all_is_forgotten_once_it_works() -> None:
    clock, tries = Seconds(), list[float]()
    patience = Patience("it", clock=clock, jitter=lambda: 0.0)

    def fail() -> None:
        tries.append(clock.now)
        raise OSError("down")

    assert patience.rest is None
    for _ in range(3):
        assert not patience.attempt(fail)
    assert tries == [100.0]
    clock.now += 0.5
    assert patience.attempt(lambda: None)
    assert patience.rest is None
    patience.attempt(fail)
    assert patience.rest == pytest.approx(0.5), "as after the first failure"


def test_another_reason_is_another_line(caplog: pytest.LogCaptureFixture) -> None:
    clock = Seconds()
    patience = Patience("it", clock=clock, jitter=lambda: 0.0)
    for reason in ("one", "one", "two\nlines", "two\nlines"):

        def fail(reason: str = reason) -> None:
            raise ValueError(reason)

        patience.attempt(fail)
        clock.now += 60
    assert caplog.messages == [
        "it: ValueError: one It is tried again.",
        "it: ValueError: two lines It is tried again.",
    ]


def test_what_is_not_forgiven_is_raised_at_once() -> None:
    def fail() -> None:
        raise KeyError("a wrong setting")

    patience = Patience("it", clock=Seconds(), jitter=lambda: 0.0)
    with pytest.raises(KeyError):
        patience.attempt(fail, forgiven=ServiceUnavailable)
    assert patience.rest is None


def test_that_it_works_again_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="churn")
    clock = Seconds()
    patience = Patience("it", clock=clock, jitter=lambda: 0.0)

    def fail() -> None:
        raise ServiceUnavailable("It is down.", hint="Wait.")

    for act in (lambda: None, fail, lambda: None, lambda: None):
        patience.attempt(act)
        clock.now += 60
    assert caplog.messages == ["it: It is down. Wait. It is tried again.", "it: works again"]
