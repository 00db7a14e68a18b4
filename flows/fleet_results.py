"""What commands print about many models of a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.records import Approval
from churnlib.usecases.drift import DriftResult
from churnlib.usecases.fleet import Fleet
from churnlib.usecases.fleet_training import FamilyRetrained, FamilyTrained
from churnlib.usecases.retraining import TrainResult
from churnlib.usecases.slices import Counted
from churnlib.usecases.unchanged import Unchanged
from flows.output import counted, next_step, print_json, print_table, say


def trained_result(model: str, done: FamilyTrained, *, as_json: bool) -> None:
    """The base model, the slices that were trained, and those that fall back to it, with their counts."""
    trained = {model: done.base, **done.slices.done}
    if as_json:
        return print_json(
            {
                "model": model,
                "models": [_trained_json(name, result) for name, result in trained.items()],
                "falling_back": [
                    {
                        "model": each.variant.registered_model(model),
                        "dimensions": dict(each.variant.dimensions),
                        "rows": each.rows,
                        "positives": each.positives,
                    }
                    for each in done.falling_back
                ],
                **_ends(done.slices.failed, done.requests),
            }
        )
    print_table("Trained", [_trained_row(name, result) for name, result in trained.items()])
    _say_falling_back(model, done.falling_back)
    _say_failed(done.slices.failed)
    _say_requests(done.requests)
    if not done.requests:
        next_step("score", model, "<FILE>")
    return None


def retrained_result(model: str, done: FamilyRetrained, *, as_json: bool) -> None:
    """The policy's answers; what was trained stands first."""
    rows = [
        {
            "model": name,
            "answer": result.decision.action,
            "version": None if result.trained is None else f"v{result.trained.version.version}",
            "now": None if result.trained is None else result.trained.alias or "held",
            "why": "; ".join(_reasons(result.trained) or result.decision.reasons),
        }
        for name, result in done.models.done.items()
    ]
    rows.sort(key=lambda row: row["answer"] != "retrain")
    if as_json:
        return print_json({"model": model, "models": rows, **_ends(done.models.failed, done.requests)})
    print_table("Asked", rows)
    _say_failed(done.models.failed)
    return _say_requests(done.requests)


def checked_result(model: str, done: Fleet[DriftResult], *, as_json: bool) -> None:
    """The verdict on each model of a delivered file, the worst first."""
    rows = [
        {
            "model": name,
            "version": f"v{result.batch.version}",
            "customers": result.measurement.rows,
            "verdict": result.verdict.verdict,
            "why": result.verdict.reason,
        }
        for name, result in done.done.items()
    ]
    rank = ("broken", "drifted", "watch", "stable")
    rows.sort(key=lambda row: rank.index(str(row["verdict"])))
    if as_json:
        return print_json({"model": model, "models": rows, **_ends(done.failed, ())})
    print_table(f"{counted(len(rows), 'model')} of {model} against their training rows", rows)
    _say_failed(done.failed)
    worst = next((str(row["model"]) for row in rows if row["model"] != model), model)
    return next_step("drift", worst, note="   (one model, column by column)")


def more_models(model: str, data: Path, slices: int) -> None:
    """After a base model alone was trained: there could be more."""
    if slices:
        say(f"{counted(slices, 'slice')} of the file could have a model of their own.")
        next_step("train", model, "--data", data, "--variants")


def _trained_row(model: str, result: TrainResult | Unchanged) -> dict[str, object]:
    if isinstance(result, Unchanged):
        return {
            "model": model,
            "version": f"v{result.version.version}",
            "rows": None,
            "AUC": result.version.metrics.get("test.auc"),
            "now": "unchanged",
            "why": "; ".join(result.decision.reasons),
        }
    return {
        "model": model,
        "version": f"v{result.version.version}",
        "rows": result.rows.frame.height,
        "AUC": result.metrics.auc,
        "now": result.alias or "held",
        "why": "; ".join(_reasons(result)),
    }


def _trained_json(model: str, result: TrainResult | Unchanged) -> dict[str, object]:
    row = _trained_row(model, result)
    version = result.version.version
    return {**{name: row[name] for name in ("model", "rows", "now", "why")}, "version": version, "auc": row["AUC"]}


def _reasons(result: TrainResult | None) -> Sequence[str]:
    return () if result is None or result.gate is None else result.gate.reasons


def _say_falling_back(model: str, few: Sequence[Counted]) -> None:
    if not few:
        return
    rows = [
        {
            "slice": each.variant.prefix().rstrip("/"),
            "rows": each.rows,
            "churned": each.positives,
        }
        for each in few
    ]
    print_table(f"Too few rows for a model of their own: {model} scores them", rows)


def _say_failed(failed: Mapping[str, ChurnError]) -> None:
    for name, error in failed.items():
        say(f"{name} failed: {error}")


def _say_requests(requests: Sequence[Approval]) -> None:
    if not requests:
        return
    say("")
    what = "1 challenger waits" if len(requests) == 1 else f"{len(requests)} challengers wait, as one request,"
    say(f"{what} for a person until {requests[0].expires_at:%Y-%m-%d %H:%M} UTC:")
    for each in requests:
        say(f"  {each.model} v{each.challenger} {each.summary}.")
    next_step("approve", requests[0].approval_id[:8], note="   (or: churn reject)")


def _ends(failed: Mapping[str, ChurnError], requests: Sequence[Approval]) -> dict[str, object]:
    return {
        "failed": {name: str(error) for name, error in failed.items()},
        "approvals": [each.approval_id for each in requests],
    }
