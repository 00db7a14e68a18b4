"""The fleet at a glance, and who was champion when."""

from __future__ import annotations

from churnlib.ports import CHALLENGER, CHAMPION, LedgerTransaction
from churnlib.records import ApprovalStatus, ReportKind
from churnlib.settings import Settings
from churnlib.usecases.services import Services
from churnlib.variants import safe_name
from flows.commands import open_services
from flows.output import print_json, print_table


def models(*, as_json: bool) -> None:
    """One row a model."""
    services = open_services(Settings())
    rows = [_row(services, model) for model in services.model_names()]
    if as_json:
        return print_json({"models": rows})
    return print_table("Models", [{**row, "metrics": _auc(row)} for row in rows])


def history(name: str, *, as_json: bool) -> None:
    """One row a move of the champion alias, the newest last."""
    services = open_services(Settings())
    model = safe_name(name, what="model")
    services.spec(model)
    with services.ledger.begin() as tx:
        entries = tx.transitions(model)
    if as_json:
        return print_json({"model": model, "transitions": [entry.model_dump(mode="json") for entry in entries]})
    rows = [
        {
            "at": f"{entry.at:%Y-%m-%d %H:%M} UTC",
            "what": entry.kind,
            "from": "" if entry.from_version is None else f"v{entry.from_version}",
            "to": f"v{entry.to_version}",
            "who": entry.who,
            "why": entry.why,
        }
        for entry in entries
    ]
    return print_table(f"Champions of {model}", rows)


def _row(services: Services, model: str) -> dict[str, object]:
    champion = services.registry.by_alias(model, CHAMPION)
    challenger = services.registry.by_alias(model, CHALLENGER)
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.batches(model) if batch.scored_at is not None]
        waiting = tx.approvals(model, status=ApprovalStatus.PENDING)
        live_auc = _last_auc(tx, model)
        drift = tx.reports(model, ReportKind.DRIFT)
    return {
        "model": model,
        "champion": None if champion is None else champion.version,
        "since": None if champion is None else champion.created_at.date().isoformat(),
        "challenger": None if challenger is None else challenger.version,
        "last_batch": str(batches[-1].as_of) if batches else None,
        "rows": batches[-1].accepted if batches else None,
        "metrics": {
            "test_auc": None if champion is None else champion.metrics.get("test.auc"),
            "live_auc": live_auc,
        },
        "drift": drift[-1].verdict if drift else None,
        "approval": waiting[-1].approval_id if waiting else None,
    }


def _last_auc(tx: LedgerTransaction, model: str) -> float | None:
    measured = [report.values.get("auc") for report in tx.reports(model, ReportKind.PERFORMANCE)]
    known = [value for value in measured if value is not None]
    return known[-1] if known else None


def _auc(row: dict[str, object]) -> str:
    metrics = row["metrics"]
    assert isinstance(metrics, dict)
    shown = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in metrics.items() if value is not None]
    return ", ".join(shown)
