"""A suspended run that waits for several requests is woken once, when none of them is open any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from churnlib.records import Approval, ApprovalStatus
from churnlib.usecases.services import Services
from flows import approvals as service
from flows.approval_results import answer_result, open_approvals
from tests.loops import Loop, make_loop, week

MODELS = ("shop", "shop-eu", "shop-us")


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return make_loop(tmp_path, now=week(0))


def request(loop: Loop, model: str, *, flow: str | None = "flow", bundle: str | None = "b1") -> Approval:
    made = Approval(
        approval_id=f"ask-{model}",
        model=model,
        challenger=2,
        challenger_run_id="run",
        champion=1,
        evidence="{}",
        summary="ranks better",
        flow_run_id=flow,
        created_at=loop.clock(),
        expires_at=loop.clock() + timedelta(hours=1),
        bundle=bundle,
    )
    with loop.services.ledger.begin() as tx:
        tx.open_approval(made)
    return made


def settle(services: Services, *models: str, status: ApprovalStatus = ApprovalStatus.APPROVED) -> None:
    with services.ledger.begin() as tx:
        for model in models:
            tx.settle(f"ask-{model}", status, who="ann", source="cli", reason=None, now=services.clock())


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flow runs that were told."""
    told: list[str] = []

    def resume(approval: Approval) -> bool:
        told.append(str(approval.flow_run_id))
        return True

    monkeypatch.setattr(service, "_resume", resume)
    return told


def test_the_run_of_a_bundle_is_woken_once_when_all_is_decided(loop: Loop, resumed: list[str]) -> None:
    for model in MODELS:
        request(loop, model)
    settle(loop.services, "shop-eu", status=ApprovalStatus.SUPERSEDED)
    assert service.wake_decided(loop.services) == []
    settle(loop.services, "shop", "shop-us")
    assert [each.model for each in service.wake_decided(loop.services)] == list(MODELS)
    assert service.wake_decided(loop.services) == []
    assert resumed == ["flow"]


def test_single_requests_are_woken_each_by_its_own_run(loop: Loop, resumed: list[str]) -> None:
    request(loop, "shop", flow="one", bundle=None)
    request(loop, "bank", flow="two", bundle=None)
    request(loop, "nobody-waits", flow=None, bundle=None)
    settle(loop.services, "shop", "nobody-waits")
    assert [each.model for each in service.wake_decided(loop.services)] == ["shop"]
    settle(loop.services, "bank")
    service.wake_decided(loop.services)
    assert resumed == ["one", "two"]


def test_a_run_that_could_not_be_told_is_told_the_next_time(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    request(loop, "shop")
    settle(loop.services, "shop")
    monkeypatch.setattr(service, "_resume", lambda _: False)
    assert service.wake_decided(loop.services) == []
    monkeypatch.setattr(service, "_resume", lambda _: True)
    assert [each.model for each in service.wake_decided(loop.services)] == ["shop"]


def test_open_requests_of_a_bundle_show_that_they_belong_together(
    loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [request(loop, model) for model in MODELS]
    open_approvals([*made, request(loop, "bank", bundle=None)], as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("bundle 1") == 3
    assert "(all of its bundle; or: churn reject)" in shown


def test_an_answer_tells_what_came_of_each(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    done = [
        request(loop, model).model_copy(
            update={"status": ApprovalStatus.APPROVED, "decided_by": "ann", "outcome": outcome}
        )
        for model, outcome in zip(MODELS, ("promoted v2", "not promoted: stale", None), strict=True)
    ]
    answer_result(done, as_json=False)
    shown = capsys.readouterr().out
    assert "shop v2: approved by ann; promoted v2." in shown
    assert "shop-eu v2: approved by ann; not promoted: stale." in shown
    assert "the run that waits for it acts within seconds" in shown
