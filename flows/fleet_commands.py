"""The commands that work on all models of a family; thin: the use cases do the work."""

from __future__ import annotations

from pathlib import Path

from churnlib.variants import safe_name
from flows import fleet_results
from flows.commands import working


def train(name: str, data: Path, who: str | None, *, force: bool, as_json: bool) -> None:
    """Train the base model and a model for each slice with enough rows."""
    from churnlib.usecases.fleet_training import train_family

    model = safe_name(name, what="model")
    with working(who) as (wired, run):
        done = train_family(wired, run, model=model, path=data, force=force)
    fleet_results.trained_result(model, done, as_json=as_json)


def retrain(name: str, reason: str, *, force: bool, as_json: bool) -> None:
    """Ask about the base model and every slice, and train those that the policy lets."""
    from churnlib.usecases.fleet_training import Call, retrain_family

    model = safe_name(name, what="model")
    with working() as (wired, run):
        wired.spec(model)
        names = wired.family_models(wired.family(model))
        calls = [Call(each, reason, f"hand:{each}:{run.run_id}") for each in names]
        done = retrain_family(wired, run, calls, trigger="hand", force=force)
    fleet_results.retrained_result(model, done, as_json=as_json)
