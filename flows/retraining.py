"""Ask the policy whether to train a challenger, and train it where the answer is yes."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from churnlib.errors import ChurnError
from churnlib.governance.evidence import markdown
from churnlib.usecases.retraining import RetrainResult, retrain
from churnlib.usecases.services import Services
from flows.running import acted_on, open_services, retried, show_text, this_run

Trigger = Literal["drift", "performance", "schedule", "hand"]


@retried
def decide_and_train(services: Services, model: str, trigger: Trigger, reason: str, key: str) -> RetrainResult:
    """Decide, record the decision, and train, compare and propose where it says so."""
    return retrain(services, this_run(), model=model, trigger=trigger, reason=reason, key=key)


@flow(name="churn-retraining", flow_run_name="retrain {model} ({trigger})")
def retraining(
    model: str | None = None, trigger: Trigger = "hand", reason: str = "", key: str | None = None
) -> State[Any]:
    """Decide whether retraining is justified now; if so train a challenger and compare it with the champion.

    Both versions score the same later customers. A challenger that wins by more than noise is put before a
    person (event churn.challenger.registered); the others are kept with the reason. Every answer of the
    policy, "no" included, is recorded.

    Args:
        model: Name of the model, as in models/<name>.toml. Empty: every model.
        trigger: Why this run was started. By hand skips the waiting times, never the comparison.
        reason: The trigger in words, for the record.
        key: Key of the event that started this run; one key is decided and trained once.
    """
    services, run = open_services(), this_run()
    if handled := acted_on(services, key):
        return Completed(message=handled)
    said, failed = [], []
    for name in [model] if model else services.model_names():
        try:
            result = decide_and_train(services, name, trigger, reason, key or f"{trigger}:{name}:{run.run_id}")
        except ChurnError as error:
            failed.append(f"{name}: {error}")
            continue
        said.append(f"{name}: {_said(result)}")
        if result.trained is not None and result.trained.evidence is not None:
            show_text(f"comparison {name}", markdown(result.trained.evidence))
    if failed:
        return Failed(message=" | ".join([*failed, *said]))
    return Completed(message=" | ".join(said) or "no model", data=said)


def _said(result: RetrainResult) -> str:
    if result.trained is None:
        return "; ".join(result.decision.reasons)
    version, gate = result.trained.version.version, result.trained.gate
    if gate is None:
        return f"v{version} is the first champion"
    return f"v{version} {'awaits approval' if gate.passed else 'was held'}: {'; '.join(gate.reasons)}"
