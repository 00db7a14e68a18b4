"""The promotion ledger alone answers who was champion when, by whose word, on what evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from churnlib.errors import ChurnError
from churnlib.governance.approvals import request
from churnlib.governance.comparison import compare
from churnlib.ports import CHALLENGER
from churnlib.spec import LABEL, ApprovalPolicy
from churnlib.usecases.by_hand import archive, rollback
from churnlib.usecases.history import champion_then, history_of, moment_of
from churnlib.usecases.lifecycle import challenge, crown
from churnlib.usecases.promotion import conclude, settle
from tests import builders
from tests.loops import MODEL, Loop, run, small_spec

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def told(loop: Loop, release: Path) -> Loop:
    """Version 1 on the first day, 2 by an approval ten days later, back to 1 after five more; 3 archived."""
    first = loop.registry.version(MODEL, 1)
    assert first is not None
    crown(loop.services, run(), first, why="first version of this model")
    loop.clock.move(days=10)
    second = loop.registry.version(MODEL, loop.register(release, key="key-2", alias=None))
    assert second is not None
    rows = builders.labelled(600, seed=3)
    churned = rows[LABEL].to_numpy()
    noise = np.random.default_rng(1).random(rows.height)
    evidence = compare(
        churned=churned,
        champion_probability=noise,
        challenger_probability=np.clip(0.4 * churned + 0.6 * noise, 0, 1),
        rows=rows,
        spec=small_spec(),
        champion=1,
        challenger=2,
        cutoff=None,
    )
    asked = request(
        evidence,
        model=MODEL,
        challenger=2,
        challenger_run_id=second.run_id,
        champion=1,
        key="key-2",
        flow_run_id=None,
        now=loop.clock(),
        policy=ApprovalPolicy(),
    )
    challenge(loop.services, run(), second, why=asked.summary, closing=lambda tx: open_it(tx.open_approval(asked)))
    settle(loop.services, asked.approval_id, approve=True, who="ann", source="slack", reason="clear win")
    conclude(loop.services, run(), asked.approval_id)
    loop.clock.move(days=5)
    rollback(loop.services, run(who="bob"), model=MODEL, reason="complaints")
    loop.register(release, key="key-3", alias=None)
    archive(loop.services, run(who="bob"), model=MODEL, version=3, reason="column withdrawn")
    return loop


def open_it(is_new: bool) -> None:
    assert is_new


def test_every_move_is_told_with_its_door_and_its_evidence(told: Loop) -> None:
    found = history_of(told.services, MODEL)
    assert [(each.entry.kind, each.source, each.is_of_champion) for each in found] == [
        ("initial", "training", True),
        ("challenger", "training", False),
        ("promotion", "slack", True),
        ("rollback", "hand", True),
        ("archive", "hand", False),
    ]
    promoted = found[2]
    assert promoted.evidence.startswith("AUC 0.")
    assert " -> " in promoted.evidence
    assert found[1].evidence == promoted.evidence
    assert [found[0].evidence, found[3].evidence, found[4].evidence] == ["", "", ""]


def test_evidence_of_another_time_is_told_by_its_summary(loop: Loop, release: Path) -> None:
    from tests.unit.usecases.test_promotion import answer, ask, concluded

    ask(loop, release)
    answer(loop, approve=True)
    concluded(loop)
    [entry] = history_of(loop.services, MODEL)
    assert (entry.source, entry.evidence) == ("cli", "better by 0.05")


@pytest.mark.parametrize(
    ("days", "version", "who", "reigned"),
    [
        (0, 1, "tester", (0, 10)),
        (9.9, 1, "tester", (0, 10)),
        (10, 2, "ann", (10, 15)),
        (14.9, 2, "ann", (10, 15)),
        (15, 1, "bob", (15, None)),
        (400, 1, "bob", (15, None)),
    ],
)
def test_who_was_champion_at_a_moment(
    told: Loop, days: float, version: int, who: str, reigned: tuple[int, int | None]
) -> None:
    start = told.transitions()[0].at
    then = champion_then(told.services, MODEL, start + timedelta(days=days))
    assert then.told is not None
    assert (then.told.entry.to_version, then.told.entry.who) == (version, who)
    assert then.told.entry.at == start + timedelta(days=reigned[0])
    assert then.until == (None if reigned[1] is None else start + timedelta(days=reigned[1]))


def test_the_alias_is_not_asked_and_the_registry_may_be_down(told: Loop) -> None:
    told.registry.set_alias(MODEL, "champion", 3)
    told.registry.is_down = True
    then = champion_then(told.services, MODEL, told.clock() - timedelta(days=1))
    assert then.told is not None
    assert then.told.entry.to_version == 2
    assert then.test_auc is not None, "the evidence in the ledger says it"
    assert champion_then(told.services, MODEL, told.clock()).test_auc is None


def test_before_the_first_there_was_none_and_the_first_is_named(told: Loop, empty: Loop) -> None:
    start = told.transitions()[0].at
    then = champion_then(told.services, MODEL, start - timedelta(seconds=1))
    assert (then.told, then.until, then.test_auc) == (None, None, None)
    assert then.first is not None
    assert (then.first.version, then.first.since) == (1, start)
    assert champion_then(empty.services, MODEL, start).first is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, NOW),
        ("2026-03-01", datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-03-10", NOW),
        ("2026-03-01T12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00:30", datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)),
        ("2026-03-01T12:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_date_means_its_end_and_a_time_is_utc(text: str | None, meant: datetime) -> None:
    assert moment_of(text, NOW) == meant


@pytest.mark.parametrize(
    ("text", "says"),
    [("2026-03-11", "in the future"), ("2026-03-10T12:01", "in the future"), ("yesterday", "is no time")],
)
def test_what_is_no_past_moment_is_refused(text: str, says: str) -> None:
    with pytest.raises(ChurnError, match=says):
        moment_of(text, NOW)


def test_a_withdrawn_challenger_is_told_with_the_reason(loop: Loop, release: Path) -> None:
    from tests.unit.usecases.test_promotion import answer, ask, concluded

    ask(loop, release)
    assert loop.registry.by_alias(MODEL, CHALLENGER) is not None
    answer(loop, approve=False, who="bob", reason="not before the holidays")
    concluded(loop)
    [entry] = history_of(loop.services, MODEL)
    assert (entry.entry.kind, entry.entry.to_version, entry.entry.who) == ("withdrawal", 2, "bob")
    assert (entry.entry.why, entry.source) == ("not before the holidays", "cli")
    assert loop.registry.by_alias(MODEL, CHALLENGER) is None
