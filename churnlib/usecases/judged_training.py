"""One training under its claim: fit, register, compare, and ask a person or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from churnlib.errors import ChurnError
from churnlib.governance.evidence import Evidence
from churnlib.governance.gates import GateResult
from churnlib.modelling.metrics import Metrics
from churnlib.modelling.training import Trained
from churnlib.ports import CHALLENGER, CHAMPION, ModelVersion
from churnlib.records import Approval
from churnlib.spec import Spec
from churnlib.usecases.first_of_slice import first_of_slice
from churnlib.usecases.labelled import LabelledRows, Matured
from churnlib.usecases.lifecycle import champion_or_first, crown
from churnlib.usecases.proposing import Proposal, ask, hold, weigh
from churnlib.usecases.services import Run, Services, dispatch
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
class Together:
    """What a training has in common with others of the same run.

    Attributes:
        proposals: where challengers that passed are put, instead of asking a person about each.
        matured: what each model could learn from, by model, where somebody has looked already.
        threads: for each training; 0 takes all cores.
    """

    proposals: list[Proposal] = field(default_factory=list)
    matured: Mapping[str, Matured] = field(default_factory=dict)
    threads: int = 0


def train_and_judge(
    services: Services,
    run: Run,
    spec: Spec,
    rows: LabelledRows,
    *,
    key: str,
    trigger: str,
    together: Together | None,
) -> TrainResult:
    """Train a version and hold it against the champion. Under one key there is one version.

    The first version of a model becomes its champion; the first of a slice's only where the base model does not
    rank the slice's customers better.

    Args:
        services: the ports.
        run: who is at work.
        spec: of a base model or of a slice.
        rows: to learn from.
        key: of the event or command behind it; done with the training, or with the request to a person.
        trigger: why, for the version's tags.
        together: of a run over several models; None asks a person about this one at once.

    Raises:
        ChurnError: too little to learn from, or a training of this model is under way.
    """
    work = f"training:{spec.name}"
    with services.ledger.begin() as tx:
        claim = tx.claim(work, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise ChurnError(
            f"{spec.name} is being trained already, by {claim.owner}.",
            hint="Wait for it to end; a training that was killed frees its place after three hours.",
        )
    threads = 0 if together is None else together.threads
    try:
        champion = champion_or_first(services, run, spec.name)
        trained, version = fit_and_register(services, run, spec, rows, key=key, trigger=trigger, threads=threads)
        if champion is None or champion.version == version.version:
            return _first(services, run, rows, trained, version, key)
        return _challenge(services, run, rows, trained, version, champion, key, together)
    finally:
        with services.ledger.begin() as tx:
            tx.release(work, owner=run.run_id)


def _first(
    services: Services, run: Run, rows: LabelledRows, trained: Trained, version: ModelVersion, key: str
) -> TrainResult:
    """Crown the first version of a model; of a slice's, unless the base model is better."""
    if trained.spec.variant.dimensions and version.aliases == ():
        gate = first_of_slice(services, trained, version.version)
        if not gate.passed:
            hold(services, version, gate, key, compared_with=None)
            dispatch(services)
            return TrainResult(version, None, trained.test, rows, None, gate, None)
    done = f"champion v{version.version}"
    crown(
        services,
        run,
        version,
        why="first version of this model",
        closing=lambda tx: tx.finish(key, result=done, now=services.clock()),
    )
    dispatch(services)
    return TrainResult(version, CHAMPION, trained.test, rows, None, None, None)


def _challenge(
    services: Services,
    run: Run,
    rows: LabelledRows,
    trained: Trained,
    version: ModelVersion,
    champion: ModelVersion,
    key: str,
    together: Together | None,
) -> TrainResult:
    run.progress.step(f"comparing version {version.version} with the champion {champion.version}")
    evidence, gate = compare_with_champion(services, trained.spec, trained, version.version, champion.version)
    proposal = weigh(services, trained.spec, version, champion, evidence, gate, key)
    approval = None if proposal is None else proposal.approval
    if proposal is not None and together is not None:
        together.proposals.append(proposal)
    elif proposal is not None:
        (approval,) = ask(services, run, [proposal])
    dispatch(services)
    alias = CHALLENGER if gate.passed else None
    return TrainResult(version, alias, trained.test, rows, evidence, gate, approval)
