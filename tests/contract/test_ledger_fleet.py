"""What a ledger knows of many models at once, over SQLite and over a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.ledger_engine import open_engine
from churnlib.ports import Ledger, LedgerTransaction
from churnlib.records import Approval, ApprovalStatus, Batch, BatchStatus, KnownVariant, Report, ReportKind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SHOP, US, EU = "shop", "shop-us", "shop-eu"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    database: str = request.getfixturevalue("postgres").new_database()
    return database


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with SqlLedger.open(url) as opened:
        with opened.begin() as tx:
            tx.save_variants([variant(US, "US"), variant(EU, "EU")])
        yield opened


def variant(model: str, region: str, family: str = SHOP) -> KnownVariant:
    return KnownVariant(model=model, family=family, dimensions={"geography": region}, first_as_of=week(0))


def week(number: int) -> date:
    return date(2026, 3, 2) + timedelta(weeks=number)


def batch(model: str, number: int, *, status: BatchStatus = BatchStatus.SCORED, name: str = "b") -> Batch:
    at = NOON + timedelta(weeks=number)
    return Batch(
        model=model, batch_id=f"{name}{number}", source="w.csv", as_of=week(number), status=status, received_at=at
    )


def report(
    model: str,
    number: int,
    *,
    kind: ReportKind = ReportKind.DRIFT,
    verdict: str = "stable",
    version: int = 1,
    minutes: int = 0,
    name: str = "b",
) -> Report:
    return Report(
        model=model,
        kind=kind,
        batch_id=f"{name}{number}",
        version=version,
        as_of=week(number),
        verdict=verdict,
        reason="quiet",
        values={"auc": 0.8},
        body='{"long": "text"}',
        created_at=NOON + timedelta(minutes=minutes),
    )


def save(tx: LedgerTransaction, *facts: Batch | Report) -> None:
    for fact in facts:
        if isinstance(fact, Batch):
            tx.save_batch(fact)
        else:
            tx.save_report(fact)


def approval(approval_id: str, model: str, bundle: str | None) -> Approval:
    return Approval(
        approval_id=approval_id,
        model=model,
        challenger=2,
        challenger_run_id="run",
        champion=1,
        evidence="{}",
        summary="better",
        flow_run_id=None,
        created_at=NOON,
        expires_at=NOON,
        bundle=bundle,
    )


def test_batches_of_a_family_are_those_of_its_base_model_and_its_slices(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        save(tx, batch(SHOP, 1), batch(US, 1), batch(SHOP, 0), batch("shop-of-horrors", 0), batch("bank", 1))
        assert [(each.model, each.batch_id) for each in tx.family_batches(SHOP)] == [
            (SHOP, "b0"),
            (SHOP, "b1"),
            (US, "b1"),
        ]
        assert {each.model for each in tx.family_batches(SHOP, batch_id="b1")} == {SHOP, US}
        assert [each.model for each in tx.family_batches(US)] == [US]
        assert tx.family_batches("nobody") == []


def test_the_newest_batch_that_counts_is_known_of_every_model(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.newest_batches() == {}
        save(
            tx,
            batch(SHOP, 1),
            batch(SHOP, 0),
            batch(US, 0),
            batch(US, 1, status=BatchStatus.SUPERSEDED),
            batch(EU, 2, status=BatchStatus.ARRIVED),
        )
        newest = tx.newest_batches()
        assert {model: each.batch_id for model, each in newest.items()} == {SHOP: "b1", US: "b0"}
        save(tx, batch(SHOP, 1, name="c").model_copy(update={"received_at": NOON + timedelta(weeks=9)}))
        assert tx.newest_batches()[SHOP].batch_id == "c1"


def test_the_newest_report_of_each_version_on_a_counting_batch_comes_without_its_body(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert tx.newest_reports(ReportKind.DRIFT) == []
        save(tx, batch(SHOP, 0), batch(SHOP, 1), batch(US, 0), batch(US, 1, status=BatchStatus.SUPERSEDED))
        save(
            tx,
            report(SHOP, 0),
            report(SHOP, 0, verdict="watch", version=2),
            report(SHOP, 1, verdict="drifted", minutes=5),
            report(US, 0, verdict="watch"),
            report(US, 1, verdict="drifted"),
        )
        newest = tx.newest_reports(ReportKind.DRIFT)
        said = [(each.model, each.version, each.as_of, each.verdict) for each in newest]
        assert said == [(SHOP, 2, week(0), "watch"), (SHOP, 1, week(1), "drifted"), (US, 1, week(0), "watch")]
        assert {(each.body, each.values["auc"]) for each in newest} == {("{}", 0.8)}
        assert tx.newest_reports(ReportKind.PERFORMANCE) == []


def test_a_corrected_delivery_brings_the_newer_report(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        save(tx, batch(SHOP, 0), batch(SHOP, 0, name="c"))
        save(tx, report(SHOP, 0, verdict="watch", name="c", minutes=9), report(SHOP, 0))
        assert [each.verdict for each in tx.newest_reports(ReportKind.DRIFT)] == ["watch"]


def test_a_measurement_that_said_nothing_does_not_hide_the_one_before(ledger: Ledger) -> None:
    kind = ReportKind.PERFORMANCE
    with ledger.begin() as tx:
        save(tx, batch(SHOP, 0), batch(SHOP, 1))
        save(tx, report(SHOP, 0, kind=kind, verdict="low"), report(SHOP, 1, kind=kind, verdict="unknown"))
        assert [each.verdict for each in tx.newest_reports(kind)] == ["low"]


def test_requests_of_a_bundle_are_found_by_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for each in (approval("a", SHOP, "one"), approval("b", US, "one"), approval("c", EU, None)):
            tx.open_approval(each)
        assert [each.approval_id for each in tx.approvals(bundle="one")] == ["a", "b"]
        assert tx.approvals(bundle="two") == []
        kept = tx.approval("a")
        assert kept is not None
        assert kept.bundle == "one"
        tx.settle("a", ApprovalStatus.APPROVED, who="ann", source="cli", reason=None, now=NOON)
        open_ones = tx.approvals(bundle="one", status=ApprovalStatus.PENDING)
        assert [each.approval_id for each in open_ones] == ["b"]


def test_a_request_stays_in_its_bundle(ledger: Ledger, url: str) -> None:
    with ledger.begin() as tx:
        tx.open_approval(approval("a", SHOP, "one"))
    engine = open_engine(url, lock_seconds=5)
    with pytest.raises(IntegrityError, match="cannot be changed"), engine.begin() as connection:
        connection.execute(text("UPDATE approvals SET bundle = 'another'"))
    engine.dispose()


def test_a_slice_is_known_from_when_it_was_first_seen(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.save_variants([variant(US, "USA"), variant("bank-us", "US", family="bank")])
        assert tx.variant(US) == variant(US, "US")
        assert tx.variant(SHOP) is None
        assert [each.model for each in tx.variants()] == ["bank-us", EU, US]
        assert [each.model for each in tx.variants(SHOP)] == [EU, US]
