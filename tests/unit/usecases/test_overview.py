"""The fleet at a glance: one line a model, what needs a person first, few requests for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from churnlib.errors import ChurnError
from churnlib.ports import CHAMPION, ModelVersion
from churnlib.records import Approval, KnownVariant, Transition
from churnlib.usecases.drift import check_family
from churnlib.usecases.overview import Line, champion_since, overview
from tests.families import EU, TINY, US, live, score
from tests.loops import MODEL, Loop, run, small_spec, week, write_spec

NEXT = 6


def lines_of(loop: Loop, family: str | None = None) -> dict[str, Line]:
    return {line.model: line for line in overview(loop.services, family=family)}


def open_request(loop: Loop, model: str, *, hours: float = 24) -> Approval:
    asked = Approval(
        approval_id=f"ask-{model}",
        model=model,
        challenger=2,
        challenger_run_id="run",
        champion=1,
        evidence="{}",
        summary="better",
        flow_run_id=None,
        created_at=loop.clock(),
        expires_at=loop.clock() + timedelta(hours=hours),
    )
    with loop.services.ledger.begin() as tx:
        tx.open_approval(asked)
    return asked


def test_a_family_shows_its_base_model_with_its_slices_below(family: Loop) -> None:
    live(family, 1, first=NEXT)
    done = score(family, NEXT + 1)
    check_family(family.services, run(), model=MODEL, batch_id=done.batch.batch_id)
    lines = overview(family.services)
    assert [line.model for line in lines] == [MODEL, EU, US, TINY]
    us = lines[2]
    assert (us.family, us.variant, us.champion, us.falls_back) == (MODEL, "geography-us", 1, False)
    assert (us.last_batch, us.rows, us.drift, us.performance) == (week(NEXT + 1), 239, "stable", "healthy")
    assert us.live_auc is not None
    assert us.live_auc == family.registry.points(US, 1, "live.auc")[20_136]
    assert (lines[0].rows, lines[0].variant) == (25, "")
    assert (lines[3].champion, lines[3].falls_back, lines[3].last_batch) == (None, True, None)


def test_what_was_said_about_another_version_than_the_champion_is_history(family: Loop) -> None:
    live(family, 1, first=NEXT)
    assert lines_of(family)[US].performance == "healthy"
    newer = family.register(family.registry.fetch(US, 1), key="newer", model=US)
    line = lines_of(family)[US]
    assert (line.champion, line.performance, line.live_auc, line.last_batch) == (newer, None, None, week(NEXT))
    family.registry.set_alias(US, CHAMPION, 1)
    assert lines_of(family)[US].performance == "healthy"


def test_age_counts_from_the_promotion_on_record(family: Loop) -> None:
    with family.services.ledger.begin() as tx:
        (first,) = tx.transitions(US)
    assert lines_of(family)[US].since == first.at


def test_what_needs_attention_stands_first(family: Loop) -> None:
    open_request(family, US)
    assert [line.model for line in overview(family.services)] == [MODEL, US, EU, TINY]
    family.registry.set_alias(EU, CHAMPION, family.register(family.registry.fetch(EU, 1), key="x", model=EU))
    lines = overview(family.services)
    assert [line.model for line in lines] == [MODEL, EU, US, TINY]
    assert [line.attention[1] for line in lines[1:3]] == ["alias moved by hand", "approval"]


def test_a_request_that_has_run_out_waits_for_nobody(family: Loop) -> None:
    open_request(family, US, hours=1)
    assert lines_of(family)[US].approval is not None
    family.clock.move(hours=1)
    assert lines_of(family)[US].approval is None


def test_families_with_something_to_do_come_before_the_others(family: Loop) -> None:
    write_spec(family.services.specs, small_spec(name="aardvark"))
    family.register(family.registry.fetch(MODEL, 1), model="aardvark")
    with family.services.ledger.begin() as tx:
        for model in ("aardvark", MODEL):
            tx.append_transition(first_of(model))
    assert next(line.family for line in overview(family.services)) == "aardvark"
    open_request(family, US)
    assert next(line.family for line in overview(family.services)) == MODEL


def first_of(model: str) -> Transition:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return Transition(model=model, kind="initial", from_version=None, to_version=1, who="ann", why="first", at=at)


def test_one_family_can_be_asked_for_by_the_name_of_any_of_its_models(family: Loop) -> None:
    write_spec(family.services.specs, small_spec(name="aardvark"))
    assert set(lines_of(family, MODEL)) == set(lines_of(family, US)) == {MODEL, US, EU, TINY}
    assert set(lines_of(family, "aardvark")) == {"aardvark"}
    with pytest.raises(ChurnError, match=r"no family 'zebra'. There are: aardvark, telly"):
        overview(family.services, family="zebra")


def test_a_slice_with_a_spec_of_its_own_is_no_slice(family: Loop) -> None:
    write_spec(family.services.specs, small_spec(name=US))
    lines = lines_of(family)
    assert (lines[US].family, lines[US].variant) == (US, "")
    assert list(lines).count(US) == 1


def test_without_a_model_there_is_nothing_to_see(empty: Loop) -> None:
    assert overview(empty.services)[0].attention == (1, "no champion")
    (empty.services.specs / f"{MODEL}.toml").unlink()
    assert overview(empty.services) == []


class Asked:
    """Counts what is asked of the registry."""

    def __init__(self, registry: Any) -> None:
        self.counted: Counter[str] = Counter()
        self._registry = registry

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.counted[name] += 1
        found: Callable[..., Any] = getattr(self._registry, name)
        return found


def test_two_thousand_models_take_as_many_requests_as_one(family: Loop) -> None:
    with family.services.ledger.begin() as tx:
        tx.save_variants(
            [
                KnownVariant(
                    model=f"{MODEL}-r{number}",
                    family=MODEL,
                    dimensions={"geography": f"r{number}"},
                    first_as_of=week(0),
                )
                for number in range(2000)
            ]
        )
    registry = Asked(family.registry)
    lines = overview(replace(family.services, registry=registry))
    assert len(lines) == 2004
    assert dict(registry.counted) == {"standing": 1, "all_with": 1}


def test_a_champion_counts_from_its_promotion_and_not_from_its_training() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    version = ModelVersion("telco", 2, "run", now - timedelta(days=9))
    promoted = first_of("telco").model_copy(update={"kind": "promotion", "from_version": 1, "to_version": 2})
    assert champion_since(version, [promoted]) == promoted.at
    elsewhere = promoted.model_copy(update={"to_version": 3})
    assert champion_since(version, [elsewhere]) == version.created_at
