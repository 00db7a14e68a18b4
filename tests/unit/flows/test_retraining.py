"""Which models a retraining run is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnlib.events import DRIFT_DETECTED, make_event
from churnlib.records import KnownVariant
from flows import retraining
from tests.loops import MODEL, Loop, make_loop, run, small_spec, week, write_spec

EU, US = f"{MODEL}-eu", f"{MODEL}-us"


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = make_loop(tmp_path, now=week(0))
    write_spec(made.services.specs, small_spec(name="bank"))
    with made.services.ledger.begin() as tx:
        tx.save_variants(
            [
                KnownVariant(model=model, family=MODEL, dimensions={"plan": model}, first_as_of=week(0))
                for model in (EU, US)
            ]
        )
    monkeypatch.setattr(retraining, "this_run", lambda: run("run-9"))
    return made


def asked(
    loop: Loop, model: str | None, *, key: str | None = None, variants: bool = False
) -> list[list[tuple[str, str]]]:
    calls = retraining._calls(loop.services, model, "schedule", "due", key, variants=variants)
    return [[(call.model, call.key) for call in family] for family in calls]


def test_the_schedule_is_about_every_model_and_slice_by_family(loop: Loop) -> None:
    assert asked(loop, None) == [
        [("bank", "schedule:bank:run-9")],
        [(name, f"schedule:{name}:run-9") for name in (MODEL, EU, US)],
    ]


def test_a_model_that_was_named_is_meant_alone_unless_its_slices_are_asked_for(loop: Loop) -> None:
    assert asked(loop, MODEL) == [[(MODEL, f"schedule:{MODEL}:run-9")]]
    assert asked(loop, US) == [[(US, f"schedule:{US}:run-9")]]
    assert [name for name, _ in asked(loop, MODEL, variants=True)[0]] == [MODEL, EU, US]


def test_alarms_of_one_file_come_together(loop: Loop) -> None:
    keys = {}
    with loop.services.ledger.begin() as tx:
        for model in (EU, US):
            alarm = make_event(
                DRIFT_DETECTED,
                model=model,
                subject="batch-1",
                occurred_at=loop.clock(),
                batch_id="batch-1",
                as_of=str(week(0)),
                triage="inputs_moved",
                reason=f"{model} moved",
            )
            tx.publish(alarm)
            keys[model] = alarm.key
    assert asked(loop, US, key=keys[US]) == [[(US, keys[US]), (EU, keys[EU])]]
    with loop.services.ledger.begin() as tx:
        tx.finish(keys[EU], result="held", now=loop.clock())
    assert asked(loop, US, key=keys[US]) == [[(US, keys[US])]]
    assert asked(loop, US, key="by-hand") == [[(US, "by-hand")]]
