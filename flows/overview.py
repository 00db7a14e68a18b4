"""The fleet at a glance, and who was champion when."""

from __future__ import annotations

from datetime import datetime

from churnlib.ports import CHALLENGER, CHAMPION, ModelVersion
from churnlib.records import Approval, ApprovalStatus, BatchStatus, ReportKind, Transition
from churnlib.settings import Settings
from churnlib.usecases.services import Services
from churnlib.variants import safe_name
from flows.commands import open_services
from flows.output import next_step, print_json, print_table, progress, say


def models(*, as_json: bool) -> None:
    """One row a model."""
    services = open_services(Settings())
    with progress() as shown:
        shown.step("looking at the models")
        rows = [_row(services, model) for model in services.model_names()]
    if as_json:
        return print_json({"models": rows})
    if not rows:
        say("There are no models yet.")
        return next_step("init", "<FILE>", "--id", "<COLUMN>", "--label", "<COLUMN>")
    print_table("", [for_people(row, services.clock()) for row in rows])
    for row in rows:
        if row["champion"] is None:
            next_step("train", str(row["model"]), "--data", "<FILE>")
        if row["approval"] is not None:
            next_step("approve", str(row["approval"])[:8], note=f"   ({row['model']} v{row['challenger']} waits)")
    return None


def history(name: str, *, as_json: bool) -> None:
    """One row a move of the champion alias, the newest last."""
    services = open_services(Settings())
    model = safe_name(name, what="model")
    services.spec(model)
    with services.ledger.begin() as tx:
        entries = tx.transitions(model)
    if as_json:
        return print_json({"model": model, "transitions": [entry.model_dump(mode="json") for entry in entries]})
    if not entries:
        say(f"{model} has had no champion yet.")
        return next_step("train", model, "--data", "<FILE>")
    return print_table(
        f"Champions of {model}, the present one last",
        [
            {
                "since (UTC)": f"{entry.at:%Y-%m-%d %H:%M}",
                "champion": f"v{entry.to_version}",
                "after": "" if entry.from_version is None else f"v{entry.from_version}",
                "by": entry.kind,
                "who": entry.who,
                "why": entry.why,
            }
            for entry in entries
        ],
    )


def _row(services: Services, model: str) -> dict[str, object]:
    """The model as JSON has it; `since` is when its champion became that."""
    champion = services.registry.by_alias(model, CHAMPION)
    challenger = services.registry.by_alias(model, CHALLENGER)
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.batches(model) if batch.status is BatchStatus.SCORED]
        waiting: list[Approval] = tx.approvals(model, status=ApprovalStatus.PENDING)
        moves = tx.transitions(model)
    drift = services.live_reports(model, ReportKind.DRIFT, version=None)
    since = None if champion is None else champion_since(champion, moves)
    return {
        "model": model,
        "champion": None if champion is None else champion.version,
        "since": None if since is None else since.isoformat(timespec="seconds"),
        "challenger": None if challenger is None else challenger.version,
        "last_batch": str(batches[-1].as_of) if batches else None,
        "rows": batches[-1].accepted if batches else None,
        "metrics": {
            "test_auc": None if champion is None else champion.metrics.get("test.auc"),
            "live_auc": _last_auc(services, model),
        },
        "drift": drift[-1].verdict if drift else None,
        "approval": waiting[-1].approval_id if waiting else None,
    }


def champion_since(champion: ModelVersion, moves: list[Transition]) -> datetime:
    """When the version became champion; a move that only MLflow knows of counts from its registration."""
    if moves and moves[-1].to_version == champion.version:
        return moves[-1].at
    return champion.created_at


def _last_auc(services: Services, model: str) -> float | None:
    reports = services.live_reports(model, ReportKind.PERFORMANCE, version=None)
    known = [value for report in reports if (value := report.values.get("auc")) is not None]
    return known[-1] if known else None


def for_people(row: dict[str, object], now: datetime) -> dict[str, object]:
    """The row as a table has it; an open approval is told below the table."""
    metrics, since = row["metrics"], row["since"]
    assert isinstance(metrics, dict)
    age = 0 if since is None else (now - datetime.fromisoformat(str(since))).days
    return {
        "model": row["model"],
        "champion": "none yet" if row["champion"] is None else f"v{row['champion']}, {age} d",
        "AUC test": metrics["test_auc"],
        "AUC live": metrics["live_auc"],
        "last batch": row["last_batch"],
        "customers": row["rows"],
        "drift": row["drift"],
    }
