"""Decide whether to train a challenger; if so train it, judge it, and ask a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.monitoring.policy import Situation, Trigger, decide
from churnlib.records import Decision
from churnlib.spec import Spec
from churnlib.usecases.judged_training import LEASE_SECONDS, Together, TrainResult, train_and_judge
from churnlib.usecases.labelled import LabelledRows, rows_from_file, rows_from_history
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.situation import situation_of
from churnlib.usecases.unchanged import history_or_none, judged_twin, refuse_unchanged

__all__ = ["LEASE_SECONDS", "RetrainResult", "Together", "TrainResult", "retrain", "train_from_file", "train_on"]


@dataclass(frozen=True)
class RetrainResult:
    """The policy's answer, and what was trained where it said yes."""

    decision: Decision
    trained: TrainResult | None


def train_from_file(services: Services, run: Run, *, model: str, path: Path, force: bool = False) -> TrainResult:
    """Train on a labelled file by hand. The first version becomes champion; later ones have to win.

    Args:
        services: the ports.
        run: who is at work.
        model: registered model name.
        path: the labelled file.
        force: train even where nothing changed since a version that was judged already.

    Raises:
        FileRefused: the file cannot be used.
        Unchanged: that version learned from the same file by the same spec.
        ChurnError: too little to learn from, or a training of this model is under way.
    """
    spec = services.spec(model)
    return train_on(services, run, spec, rows_from_file(services, spec, path), force=force)


def train_on(
    services: Services,
    run: Run,
    spec: Spec,
    rows: LabelledRows,
    *,
    force: bool = False,
    together: Together | None = None,
) -> TrainResult:
    """The same on rows that were read already; raises as `train_from_file` does."""
    key = f"train:{spec.name}:{run.run_id}"
    if not force:
        refuse_unchanged(services, run, spec, rows, key=key)
    return train_and_judge(services, run, spec, rows, key=key, trigger="hand", together=together)


def retrain(
    services: Services,
    run: Run,
    *,
    model: str,
    trigger: Trigger,
    reason: str,
    key: str,
    force: bool = False,
    together: Together | None = None,
) -> RetrainResult:
    """Ask the policy, record its answer, act on it. Under one key it is decided and trained once.

    Where the policy would train, but on exactly what a judged version learned from, the answer is to wait.

    Args:
        services: the ports.
        run: who is at work.
        model: registered model name.
        trigger: why this is asked.
        reason: the trigger in words.
        key: of the event or command behind it.
        force: train even where nothing changed; the policy still is asked.
        together: of a run over several models: who passes is left there, and its key open until a person is asked.

    Raises:
        ChurnError: too little to learn from, or a training of this model is under way.
    """
    spec = services.spec(model)
    with services.ledger.begin() as tx:
        decided = next((decision for decision in tx.decisions(model) if decision.key == key), None)
        claim = tx.claim(key, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if decided is not None and claim.state == "done":
        dispatch(services)
        return RetrainResult(decided, None)
    if claim.state != "mine":
        raise ChurnError(f"{claim.owner} is at work on {key}.", hint="Wait for it to end.")
    try:
        rows = None
        if decided is None:
            matured = None if together is None else together.matured.get(model)
            situation = situation_of(services, spec, trigger, reason, matured=matured)
            decided, rows = _decide(services, run, spec, situation, key, force=force)
        return _answer(services, run, spec, decided, rows, together)
    finally:
        with services.ledger.begin() as tx:
            tx.release(key, owner=run.run_id)  # nothing happens where it is done


def _answer(
    services: Services,
    run: Run,
    spec: Spec,
    decision: Decision,
    rows: LabelledRows | None,
    together: Together | None,
) -> RetrainResult:
    if decision.action == "wait":
        with services.ledger.begin() as tx:
            tx.finish(decision.key, result="; ".join(decision.reasons), now=services.clock())
        return RetrainResult(decision, None)
    rows = rows or rows_from_history(services, spec)
    trained = train_and_judge(
        services, run, spec, rows, key=decision.key, trigger=decision.trigger, together=together
    )
    return RetrainResult(decision, trained)


def _decide(
    services: Services, run: Run, spec: Spec, situation: Situation, key: str, *, force: bool
) -> tuple[Decision, LabelledRows | None]:
    """The answer, on record, and the rows to learn from where they were looked at."""
    answer = decide(
        situation,
        spec.retraining,
        min_rows=spec.training.min_rows,
        min_positives=spec.training.min_positives,
    )
    rows = history_or_none(services, spec) if answer.action == "retrain" and not force else None
    twin = None if rows is None else judged_twin(services, spec, rows, key=key)
    decision = Decision(
        key=key,
        model=spec.name,
        action="wait" if twin else answer.action,
        trigger=situation.trigger,
        as_of=situation.as_of,
        reasons=(twin.text,) if twin else answer.reasons,
        run_id=run.run_id,
        created_at=services.clock(),
    )
    with services.ledger.begin() as tx:
        tx.save_decision(decision)
    return decision, rows
