"""Ask the policy whether to train challengers, and train them where the answer is yes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from churnlib.errors import ChurnError
from churnlib.governance.bundle import question
from churnlib.governance.evidence import markdown
from churnlib.usecases.fleet_training import Call, FamilyRetrained, calls_beside, retrain_family
from churnlib.usecases.retraining import RetrainResult
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_text, this_run

Trigger = Literal["drift", "performance", "schedule", "hand"]


@retried
def decide_and_train(services: Services, calls: Sequence[Call], trigger: Trigger) -> FamilyRetrained:
    """Decide for each model of a family, record it, and train, compare and propose where it says so."""
    done = retrain_family(services, this_run(), calls, trigger=trigger)
    done.models.check()
    return done


@flow(name="churn-retraining", flow_run_name="retrain {model} ({trigger})")
def retraining(
    model: str | None = None,
    trigger: Trigger = "hand",
    reason: str = "",
    key: str | None = None,
    variants: bool = False,
) -> State[Any]:
    """Decide whether retraining is justified now; if so train a challenger and compare it with the champion.

    Both versions score the same later customers. A challenger that wins by more than noise is put before a
    person (event churn.challenger.registered); the others are kept with the reason. Every answer of the
    policy, "no" included, is recorded. Slices that are retrained together are put before a person as one request.

    Args:
        model: Name of the model, as in models/<name>.toml, or of a slice's. Empty: every model and slice.
        trigger: Why this run was started. By hand skips the waiting times, never the comparison.
        reason: The trigger in words, for the record.
        key: Key of the event that started this run; one key is decided and trained once.
        variants: Also every slice of the model's customers.
    """
    services = open_services()
    if handled := acted_on(services, key):
        return Completed(message=handled)
    said, failed = [], []
    for calls in _calls(services, model, trigger, reason, key, variants=variants):
        try:
            done = decide_and_train(services, calls, trigger)
        except ChurnError as error:
            failed.append(f"{calls[0].model}: {error}")
            continue
        said += [f"{name}: {_said(result)}" for name, result in done.models.done.items()]
        failed += [f"{name}: {error}" for name, error in done.models.failed.items()]
        _show(done)
    if failed:
        return Failed(message=" | ".join([*failed, *said]))
    return Completed(message=" | ".join(said) or "no model", data=said)


def _calls(
    services: Services, model: str | None, trigger: Trigger, reason: str, key: str | None, *, variants: bool
) -> list[list[Call]]:
    """What is to be decided, by family."""
    run = this_run()
    if model is not None and key is not None:
        return [calls_beside(services, run, model=model, reason=reason, key=key)]
    if model is not None and not variants:
        families = [[model]]
    else:
        families = [services.family_models(name) for name in ([model] if model else services.model_names())]
    return [[Call(name, reason, f"{trigger}:{name}:{run.run_id}") for name in names] for names in families]


def _show(done: FamilyRetrained) -> None:
    """Leave the evidence on the run's page: that of a bundle in one piece."""
    if len(done.requests) > 1:
        show_text(f"bundle {done.requests[0].model}", question(done.requests))
        return
    for name, result in done.models.done.items():
        if result.trained is not None and result.trained.evidence is not None:
            show_text(f"comparison {name}", markdown(result.trained.evidence))


def _said(result: RetrainResult) -> str:
    if result.trained is None:
        return "; ".join(result.decision.reasons)
    version, gate = result.trained.version.version, result.trained.gate
    if gate is None:
        return f"v{version} is the first champion"
    return f"v{version} {'awaits approval' if gate.passed else 'was held'}: {'; '.join(gate.reasons)}"
