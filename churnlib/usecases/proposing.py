"""Put challengers that passed the gates before a person, or keep them with the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid5

from churnlib.events import CHALLENGER_HELD, CHALLENGER_REGISTERED, NAMESPACE, Event, make_event
from churnlib.governance.approvals import request
from churnlib.governance.evidence import Evidence
from churnlib.governance.gates import GateResult
from churnlib.ports import LedgerTransaction, ModelVersion
from churnlib.records import Approval
from churnlib.spec import Spec
from churnlib.usecases.lifecycle import AliasBusy, challenge
from churnlib.usecases.services import Run, Services
from churnlib.usecases.situation import COMPARED_TAG, GATE_TAG, HELD, PASSED


@dataclass(frozen=True)
class Proposal:
    """A challenger that passed, and the request to a person that is not opened yet.

    Attributes:
        key: of the event or command behind it.
    """

    version: ModelVersion
    approval: Approval
    evidence: Evidence
    key: str


def propose(
    services: Services,
    run: Run,
    spec: Spec,
    version: ModelVersion,
    champion: ModelVersion,
    evidence: Evidence,
    gate: GateResult,
    key: str,
) -> Approval | None:
    """Put a challenger that passed before a person; keep the others, with the reason."""
    proposal = weigh(services, spec, version, champion, evidence, gate, key)
    return None if proposal is None else ask(services, run, [proposal])[0]


def weigh(
    services: Services,
    spec: Spec,
    version: ModelVersion,
    champion: ModelVersion,
    evidence: Evidence,
    gate: GateResult,
    key: str,
) -> Proposal | None:
    """Note what the gates said. One that passed becomes a proposal; the others are done with."""
    if not gate.passed:
        hold(services, version, gate, key, compared_with=champion.version)
        return None
    _tag(services, version, gate, champion.version)
    approval = request(
        evidence,
        model=spec.name,
        challenger=version.version,
        challenger_run_id=version.run_id,
        champion=champion.version,
        key=key,
        flow_run_id=None,
        now=services.clock(),
        policy=spec.approval,
    )
    return Proposal(version, approval, evidence, key)


def hold(
    services: Services, version: ModelVersion, gate: GateResult, key: str, *, compared_with: int | None
) -> None:
    """Keep a version that did not pass, with the reason, and close its key.

    Args:
        services: the ports.
        version: that is kept.
        gate: why.
        key: of the event or command behind it.
        compared_with: the champion; None where it has none.
    """
    _tag(services, version, gate, compared_with)
    reasons, now = "; ".join(gate.reasons), services.clock()
    event = make_event(
        CHALLENGER_HELD,
        model=version.model,
        subject=str(version.version),
        occurred_at=now,
        version=version.version,
        reason=reasons,
    )
    with services.ledger.begin() as tx:
        tx.publish(event)
        tx.finish(key, result=f"held: {reasons}", now=now)


def ask(services: Services, run: Run, proposals: Sequence[Proposal]) -> list[Approval]:
    """Open the requests; several are a bundle, which one answer decides.

    A bundle is complete from the moment on that anybody can answer it: nobody approves what joined later. It is
    announced by the event of its first request. Of several, those whose aliases somebody moves at this moment are
    left out, and can be proposed again.

    Raises:
        AliasBusy: nothing is left.
    """
    standing = list(_challengers(services, run, proposals))
    bundle = None if len(standing) == 1 else _bundle_of(standing)
    opened = [_opened(each.approval, bundle, services.clock()) for each in standing]
    with services.ledger.begin() as tx:
        for each, approval in zip(standing, opened, strict=True):
            tx.open_approval(approval)
            result = f"challenger v{each.version.version}: {approval.summary}"
            tx.finish(each.key, result=result, now=services.clock())
        tx.publish(_asking(services, standing[0]))
    return opened


def _challengers(services: Services, run: Run, proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    busy, count = None, 0
    for each in proposals:
        try:
            challenge(services, run, each.version, why=each.approval.summary, closing=_nothing)
        except AliasBusy as error:
            busy = error
        else:
            count += 1
            yield each
    if busy is not None and not count:
        raise busy


def _opened(approval: Approval, bundle: str | None, now: datetime) -> Approval:
    """The time to answer begins when the question is put, for all of a bundle at once."""
    valid = approval.expires_at - approval.created_at
    return approval.model_copy(update={"bundle": bundle, "created_at": now, "expires_at": now + valid})


def _bundle_of(proposals: Sequence[Proposal]) -> str:
    keys = "|".join(sorted(each.key for each in proposals))
    return str(uuid5(NAMESPACE, f"bundle:{keys}"))


def _asking(services: Services, first: Proposal) -> Event:
    return make_event(
        CHALLENGER_REGISTERED,
        model=first.version.model,
        subject=str(first.version.version),
        occurred_at=services.clock(),
        version=first.version.version,
        as_of=first.evidence.last_as_of.isoformat(),
        approval_id=first.approval.approval_id,
    )


def _tag(services: Services, version: ModelVersion, gate: GateResult, compared_with: int | None) -> None:
    tags = {GATE_TAG: PASSED if gate.passed else HELD, "churn.gate_reasons": "; ".join(gate.reasons)[:500]}
    if compared_with is not None:
        tags[COMPARED_TAG] = str(compared_with)
    services.registry.tag(version.model, version.version, tags)


def _nothing(tx: LedgerTransaction) -> None:
    del tx
