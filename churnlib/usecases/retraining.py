"""Decide whether to train a challenger; if so train it, judge it, and ask a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.events import CHALLENGER_HELD, CHALLENGER_REGISTERED, CHAMPION_CHANGED, make_event
from churnlib.governance.approvals import request
from churnlib.governance.evidence import Evidence, summary
from churnlib.governance.gates import GateResult
from churnlib.modelling.metrics import Metrics
from churnlib.monitoring.policy import Trigger, decide
from churnlib.ports import CHALLENGER, CHAMPION, LedgerTransaction, ModelVersion
from churnlib.records import Approval, Decision, Transition
from churnlib.spec import Spec
from churnlib.usecases.labelled import LabelledRows, rows_from_file, rows_from_history
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.situation import GATE_TAG, HELD, situation_of
from churnlib.usecases.training import compare_with_champion, fit_and_register

LEASE_SECONDS = 3 * 3600.0


@dataclass(frozen=True)
class TrainResult:
    """What came of a training.

    Attributes:
        alias: champion, challenger, or None for a version that did not pass the gates.
        approval: the request to a person, where the gates were passed.
    """

    version: ModelVersion
    alias: str | None
    metrics: Metrics
    rows: LabelledRows
    evidence: Evidence | None
    gate: GateResult | None
    approval: Approval | None


@dataclass(frozen=True)
class RetrainResult:
    """The policy's answer, and what was trained where it said yes."""

    decision: Decision
    trained: TrainResult | None


def train_from_file(services: Services, run: Run, *, model: str, path: Path) -> TrainResult:
    """Train on a labelled file by hand. The first version becomes champion; later ones have to win.

    Raises:
        FileRefused: the file cannot be used.
        ChurnError: too little to learn from, or a training of this model is under way.
    """
    spec = services.spec(model)
    rows = rows_from_file(services, spec, path)
    return _train(services, run, spec, rows, key=f"train:{model}:{run.run_id}", trigger="hand")


def retrain(services: Services, run: Run, *, model: str, trigger: Trigger, reason: str, key: str) -> RetrainResult:
    """Ask the policy, record its answer, act on it. Under one key it is decided and trained once.

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
        return _answer(services, run, spec, trigger, reason, key, decided)
    finally:
        with services.ledger.begin() as tx:
            tx.release(key, owner=run.run_id)  # nothing happens where it is done


def _answer(
    services: Services, run: Run, spec: Spec, trigger: Trigger, reason: str, key: str, decided: Decision | None
) -> RetrainResult:
    decision = decided or _decide(services, run, spec, trigger, reason, key)
    if decision.action == "wait":
        with services.ledger.begin() as tx:
            tx.finish(key, result="; ".join(decision.reasons), now=services.clock())
        return RetrainResult(decision, None)
    rows = rows_from_history(services, spec)
    trained = _train(services, run, spec, rows, key=key, trigger=trigger)
    return RetrainResult(decision, trained)


def _decide(services: Services, run: Run, spec: Spec, trigger: Trigger, reason: str, key: str) -> Decision:
    situation = situation_of(services, spec, trigger, reason)
    answer = decide(
        situation,
        spec.retraining,
        min_rows=spec.training.min_rows,
        min_positives=spec.training.min_positives,
    )
    decision = Decision(
        key=key,
        model=spec.name,
        action=answer.action,
        trigger=trigger,
        as_of=situation.as_of,
        reasons=answer.reasons,
        run_id=run.run_id,
        created_at=services.clock(),
    )
    with services.ledger.begin() as tx:
        tx.save_decision(decision)
    return decision


def _train(services: Services, run: Run, spec: Spec, rows: LabelledRows, *, key: str, trigger: str) -> TrainResult:
    work = f"training:{spec.name}"
    with services.ledger.begin() as tx:
        claim = tx.claim(work, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"{spec.name} is being trained already, by {claim.owner}.",
            hint="Wait for it to end; a training that was killed frees its place after three hours.",
        )
    try:
        return _train_claimed(services, run, spec, rows, key=key, trigger=trigger)
    finally:
        with services.ledger.begin() as tx:
            tx.release(work, owner=run.run_id)


def _train_claimed(
    services: Services, run: Run, spec: Spec, rows: LabelledRows, *, key: str, trigger: str
) -> TrainResult:
    champion = services.registry.by_alias(spec.name, CHAMPION)
    trained, version = fit_and_register(services, run, spec, rows, key=key, trigger=trigger)
    if champion is None or champion.version == version.version:
        _crown(services, run, version, key)
        dispatch(services)
        return TrainResult(version, CHAMPION, trained.test, rows, None, None, None)
    run.progress.step(f"comparing version {version.version} with the champion {champion.version}")
    evidence, gate = compare_with_champion(services, spec, trained, version.version, champion.version)
    approval = _propose(services, spec, version, champion, evidence, gate, key)
    dispatch(services)
    alias = CHALLENGER if gate.passed else None
    return TrainResult(version, alias, trained.test, rows, evidence, gate, approval)


def _crown(services: Services, run: Run, version: ModelVersion, key: str) -> None:
    """The first version of a model has nobody to beat: it becomes champion, on record."""
    services.registry.set_alias(version.model, CHAMPION, version.version)
    event = make_event(
        CHAMPION_CHANGED,
        model=version.model,
        subject=f"initial:{version.version}",
        occurred_at=services.clock(),
        version=version.version,
        from_version=None,
        kind="initial",
    )
    with services.ledger.begin() as tx:
        known = {entry.to_version for entry in tx.transitions(version.model) if entry.kind == "initial"}
        if version.version not in known:
            tx.append_transition(
                Transition(
                    model=version.model,
                    kind="initial",
                    from_version=None,
                    to_version=version.version,
                    who=run.who,
                    why="first version of this model",
                    at=services.clock(),
                )
            )
        tx.publish(event)
        tx.finish(key, result=f"champion v{version.version}", now=services.clock())


def _propose(
    services: Services,
    spec: Spec,
    version: ModelVersion,
    champion: ModelVersion,
    evidence: Evidence,
    gate: GateResult,
    key: str,
) -> Approval | None:
    """Put a challenger that passed before a person; keep the others, with the reason."""
    now = services.clock()
    services.registry.tag(
        spec.name,
        version.version,
        {
            GATE_TAG: "passed" if gate.passed else HELD,
            "churn.gate_reasons": "; ".join(gate.reasons)[:500],
        },
    )
    if not gate.passed:
        with services.ledger.begin() as tx:
            _publish_held(tx, spec, version, gate, services)
            tx.finish(key, result=f"held: {'; '.join(gate.reasons)}", now=now)
        return None
    approval = request(
        evidence,
        model=spec.name,
        challenger=version.version,
        challenger_run_id=version.run_id,
        champion=champion.version,
        key=key,
        flow_run_id=None,
        now=now,
        policy=spec.approval,
    )
    services.registry.set_alias(spec.name, CHALLENGER, version.version)
    event = make_event(
        CHALLENGER_REGISTERED,
        model=spec.name,
        subject=str(version.version),
        occurred_at=now,
        version=version.version,
        as_of=evidence.last_as_of.isoformat(),
        approval_id=approval.approval_id,
    )
    with services.ledger.begin() as tx:
        tx.open_approval(approval)
        tx.publish(event)
        tx.finish(key, result=f"challenger v{version.version}: {summary(evidence)}", now=now)
    return approval


def _publish_held(
    tx: LedgerTransaction, spec: Spec, version: ModelVersion, gate: GateResult, services: Services
) -> None:
    tx.publish(
        make_event(
            CHALLENGER_HELD,
            model=spec.name,
            subject=str(version.version),
            occurred_at=services.clock(),
            version=version.version,
            reason="; ".join(gate.reasons),
        )
    )
