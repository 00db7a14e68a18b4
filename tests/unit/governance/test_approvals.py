"""A request is bound to its evidence, is answered once by a name, and goes stale."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlib.errors import DecisionRefused
from churnlib.governance.approvals import check_still_valid, may_settle, request, validate_answer
from churnlib.governance.evidence import Evidence, summary
from churnlib.modelling.intervals import Interval
from churnlib.modelling.metrics import Metrics
from churnlib.records import Approval, ApprovalStatus
from churnlib.spec import ApprovalPolicy

NOW = datetime(2026, 1, 20, 8, 30, tzinfo=UTC)
POLICY = ApprovalPolicy(valid_hours=24)


def _evidence(champion: int | None = 1) -> Evidence:
    metrics = Metrics(
        auc=0.8,
        pr_auc=0.3,
        log_loss=0.2,
        brier=0.05,
        calibration_slope=1.0,
        calibration_error=0.01,
        lift_top_decile=4.0,
        recall_top_decile=0.4,
        c_index=0.8,
        rows=2_000,
        positives=100,
    )
    return Evidence(
        model="box",
        champion=champion,
        challenger=2,
        rows=2_000,
        positives=100,
        first_as_of=date(2026, 1, 12),
        last_as_of=date(2026, 1, 12),
        cutoff=date(2026, 1, 5),
        champion_metrics=None if champion is None else metrics,
        challenger_metrics=metrics,
        challenger_auc=Interval(estimate=0.8, low=0.78, high=0.82),
        difference=None if champion is None else Interval(estimate=0.1, low=0.08, high=0.12),
        confidence=0.95,
        slices=(),
        call_list=None,
    )


def _request(key: str = "churn.drift.detected:box:b1", champion: int | None = 1, challenger: int = 2) -> Approval:
    return request(
        _evidence(),
        model="box",
        challenger=challenger,
        challenger_run_id="run-2",
        champion=champion,
        key=key,
        flow_run_id=None,
        now=NOW,
        policy=POLICY,
    )


def _with(**changes: object) -> Approval:
    return _request().model_copy(update=changes)


def test_the_same_key_makes_the_same_request() -> None:
    assert _request().approval_id == _request().approval_id
    assert _request().approval_id != _request("another").approval_id


def test_a_request_carries_its_evidence_and_its_end() -> None:
    made = _request()
    assert Evidence.model_validate_json(made.evidence).digest == _evidence().digest
    assert made.summary == summary(_evidence())
    assert made.status is ApprovalStatus.PENDING
    assert (made.created_at, made.expires_at) == (NOW, NOW + timedelta(hours=24))


@pytest.mark.parametrize("versions", [{"champion": 3}, {"champion": None}, {"challenger": 4}])
def test_evidence_about_other_versions_is_refused(versions: dict[str, int | None]) -> None:
    with pytest.raises(DecisionRefused, match="The evidence is about box v2 against v1"):
        _request(**versions)  # type: ignore[arg-type]


def test_a_pending_request_may_be_settled_until_it_expires() -> None:
    may_settle(_request(), NOW + timedelta(hours=24) - timedelta(seconds=1))


def test_at_its_end_a_request_is_expired_even_if_nobody_closed_it() -> None:
    with pytest.raises(DecisionRefused, match="expired at 2026-01-21 08:30 UTC"):
        may_settle(_request(), NOW + timedelta(hours=24))


@pytest.mark.parametrize("status", [ApprovalStatus.APPROVED, ApprovalStatus.REJECTED])
def test_a_settled_request_says_who_decided_and_when(status: ApprovalStatus) -> None:
    settled = _with(status=status, decided_by="Ada", decided_at=NOW)
    with pytest.raises(DecisionRefused, match=f"was {status.value} by Ada at 2026-01-20 08:30 UTC already"):
        may_settle(settled, NOW)


def test_a_decision_stays_a_decision_after_the_request_would_have_expired() -> None:
    settled = _with(status=ApprovalStatus.APPROVED, decided_by="Ada", decided_at=NOW)
    with pytest.raises(DecisionRefused, match="approved by Ada"):
        may_settle(settled, NOW + timedelta(days=9))


@pytest.mark.parametrize(
    ("status", "said"), [(ApprovalStatus.EXPIRED, "expired"), (ApprovalStatus.SUPERSEDED, "superseded")]
)
def test_a_closed_request_cannot_be_settled(status: ApprovalStatus, said: str) -> None:
    with pytest.raises(DecisionRefused, match=said):
        may_settle(_with(status=status), NOW)


def test_evidence_holds_while_nothing_moved() -> None:
    assert check_still_valid(_request(), champion_now=1, challenger_run_id_now="run-2") is None


def test_a_first_champion_holds_while_there_is_none() -> None:
    first = _with(champion=None)
    assert check_still_valid(first, champion_now=None, challenger_run_id_now="run-2") is None


@pytest.mark.parametrize(
    ("champion_now", "run_id", "said"),
    [
        (3, "run-2", "the champion moved: it was v1, now it is v3"),
        (None, "run-2", "the champion moved: it was v1, now it is no champion"),
        (1, None, "version 2 is gone"),
        (1, "run-9", "version 2 is another one now: run run-9, not run-2"),
    ],
)
def test_stale_evidence_says_why(champion_now: int | None, run_id: str | None, said: str) -> None:
    assert check_still_valid(_request(), champion_now=champion_now, challenger_run_id_now=run_id) == said


@pytest.mark.parametrize("who", ["Ada", "Zoë Müller-Öztürk", "slack:U02 (ada)", "x" * 80, "نیم‌فاصله"])
def test_a_name_that_people_have_is_accepted(who: str) -> None:
    validate_answer(who, None)


@pytest.mark.parametrize("who", ["", "  ", "x" * 81, "Ada\n", "Ada\x00", "Ada\u202eadA"])
def test_a_name_that_misleads_is_refused(who: str) -> None:
    with pytest.raises(DecisionRefused):
        validate_answer(who, None)


@pytest.mark.parametrize("reason", [None, "", "x" * 500, "two\nlines", "fine 👩\u200d💻"])
def test_a_plain_reason_is_accepted(reason: str | None) -> None:
    validate_answer("Ada", reason)


@pytest.mark.parametrize("reason", ["x" * 501, "bell\x07", "escape\x1b[31m"])
def test_a_reason_too_long_or_with_controls_is_refused(reason: str) -> None:
    with pytest.raises(DecisionRefused):
        validate_answer("Ada", reason)


@given(who=st.text())
def test_every_name_is_accepted_or_refused_and_never_crashes(who: str) -> None:
    try:
        validate_answer(who, None)
    except DecisionRefused:
        return
    assert 0 < len(who) <= 80
    assert who.strip()
    assert "\n" not in who
