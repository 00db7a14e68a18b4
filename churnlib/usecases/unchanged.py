"""Whether a training would learn once more from exactly what a judged version has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churnlib.errors import ChurnError
from churnlib.ports import CHAMPION, ModelVersion
from churnlib.records import Approval, ApprovalStatus, Decision
from churnlib.spec import Spec
from churnlib.usecases.labelled import LabelledRows, rows_from_history
from churnlib.usecases.services import Run, Services
from churnlib.usecases.situation import COMPARED_TAG, GATE_TAG, HELD
from churnlib.usecases.training import fingerprints

_KEY_TAG = "churn.key"


@dataclass(frozen=True)
class Twin:
    """The version that a training would make again.

    Attributes:
        fate: what became of it, in words.
    """

    version: ModelVersion
    fate: str

    @property
    def text(self) -> str:
        """Why not to train."""
        return f"nothing changed since version {self.version.version}, which {self.fate}: not trained"


class Unchanged(ChurnError):
    """A training by hand would have made a version again that is there and was judged.

    Attributes:
        decision: not to train, as it stands on record.
        version: that is there.
    """

    def __init__(self, decision: Decision, version: ModelVersion) -> None:
        super().__init__(
            f"{decision.model} was not trained: {'; '.join(decision.reasons)}.",
            hint="Train on other data or by another spec, or repeat with --force.",
        )
        self.decision = decision
        self.version = version


def judged_twin(services: Services, spec: Spec, rows: LabelledRows, *, key: str) -> Twin | None:
    """The newest version of the same spec, rows and code that stands or fell against the present champion.

    One that was compared with another champion, or whose request nobody answered in time, does not count: a new
    comparison may end otherwise. Nor does one that a killed training left without a judgement. The rows count by
    their content (a file's bytes, or the batches and labels of the history), not by the day of the training.

    Args:
        services: the ports.
        spec: as it would be trained.
        rows: to learn from.
        key: of this training; what it registered itself, before it was killed, is no reason to stop.
    """
    champion = services.registry.by_alias(spec.name, CHAMPION)
    if champion is None:
        return None
    made_of = fingerprints(spec, rows.digest)
    with services.ledger.begin() as tx:
        approvals = tx.approvals(spec.name)
    for version in services.registry.versions(spec.name):
        if made_of.items() <= version.tags.items() and version.tags.get(_KEY_TAG) != key:
            fate = _fate(version, champion.version, approvals, services.clock())
            if fate is not None:
                return Twin(version, fate)
    return None


def refuse_unchanged(services: Services, run: Run, spec: Spec, rows: LabelledRows, *, key: str) -> None:
    """Put on record that a training by hand has nothing to learn.

    Raises:
        Unchanged: there is such a version.
    """
    twin = judged_twin(services, spec, rows, key=key)
    if twin is None:
        return
    now = services.clock()
    decision = Decision(
        key=key,
        model=spec.name,
        action="wait",
        trigger="hand",
        as_of=now.date(),
        reasons=(twin.text,),
        run_id=run.run_id,
        created_at=now,
    )
    with services.ledger.begin() as tx:
        tx.save_decision(decision)
    raise Unchanged(decision, twin.version)


def history_or_none(services: Services, spec: Spec) -> LabelledRows | None:
    """The rows of the history; None where they cannot be had, which the training itself says better."""
    try:
        return rows_from_history(services, spec)
    except ChurnError:
        return None


def _fate(version: ModelVersion, champion: int, approvals: Sequence[Approval], now: datetime) -> str | None:
    if version.version == champion:
        return "is champion"
    asked = [each for each in approvals if (each.challenger_run_id, each.champion) == (version.run_id, champion)]
    if asked:
        return _answered(asked[-1], now)
    compared = version.tags.get(COMPARED_TAG, str(champion))  # not kept by earlier releases of this project
    return "the gates held" if version.tags.get(GATE_TAG) == HELD and compared == str(champion) else None


def _answered(asked: Approval, now: datetime) -> str | None:
    if asked.status is ApprovalStatus.PENDING:
        return "waits for approval" if asked.expires_at > now else None
    if asked.status is ApprovalStatus.REJECTED:
        return f"was rejected by {asked.decided_by}"
    is_acted_on = asked.status is ApprovalStatus.APPROVED and (asked.outcome or "").startswith("promoted")
    return "was champion, and was left" if is_acted_on else None
