"""What the promotion ledger says of a model: every move with its evidence, and who was champion when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from pydantic import ValidationError

from churnlib.errors import ChurnError
from churnlib.governance.evidence import Evidence
from churnlib.governance.succession import Reign, reign_at, reigns
from churnlib.records import CHAMPION_KINDS, Approval, Transition
from churnlib.usecases.services import Services


@dataclass(frozen=True)
class Told:
    """One move of the ledger, as people want to read it.

    Attributes:
        source: by which door the word came: that of the answered request (slack, prefect_ui, cli, demo, hand),
            `training` where a training made the move, `hand` for a command.
        evidence: the comparison in a few words; empty where there was none.
    """

    entry: Transition
    source: str
    evidence: str

    @property
    def is_of_champion(self) -> bool:
        """Whether the champion alias moved."""
        return self.entry.kind in CHAMPION_KINDS


@dataclass(frozen=True)
class ChampionThen:
    """Who was champion at a moment.

    Attributes:
        at: the moment, UTC.
        told: the move that began the reign; None where nobody was champion yet.
        until: end of the reign; None while it lasts.
        first: the first champion on record; None where there never was one.
        test_auc: on the test rows of its training: the ledger's, where it was compared, else its MLflow run's.
    """

    model: str
    at: datetime
    told: Told | None
    until: datetime | None
    first: Reign | None
    test_auc: float | None


def history_of(services: Services, model: str) -> list[Told]:
    """Every move of the model's aliases and archive, the newest last."""
    with services.ledger.begin() as tx:
        entries, approvals = tx.transitions(model, every=True), tx.approvals(model)
    return [_told(entry, approvals) for entry in entries]


def champion_then(services: Services, model: str, at: datetime) -> ChampionThen:
    """Who was champion at that moment, from the ledger alone."""
    with services.ledger.begin() as tx:
        entries, approvals = tx.transitions(model), tx.approvals(model)
    reign, first = reign_at(entries, at), reigns(entries)[:1]
    if reign is None:
        return ChampionThen(model, at, None, None, first[0] if first else None, None)
    told = _told(reign.by, approvals)
    auc = _test_auc(services, reign.by, approvals)
    return ChampionThen(model, at, told, reign.until, first[0], auc)


def moment_of(text: str | None, now: datetime) -> datetime:
    """The moment that a person means: now, an ISO time (UTC where it says no zone), or the end of an ISO date.

    Raises:
        ChurnError: it is neither, or lies in the future.
    """
    if text is None:
        return now
    try:
        day = date.fromisoformat(text)
        meant = min(now, datetime.combine(day, time.max, UTC)) if day <= now.date() else None
    except ValueError:
        meant = _time(text)
    if meant is None or meant > now:
        raise ChurnError(f"--at {text} is in the future (now is {now:%Y-%m-%d %H:%M} UTC).", hint="Leave it out.")
    return meant


def _time(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise ChurnError(
            f"--at {text!r} is no time.", hint="Write it like 2026-03-01 or 2026-03-01T12:00 (UTC)."
        ) from error
    return given.replace(tzinfo=given.tzinfo or UTC)


def _told(entry: Transition, approvals: Sequence[Approval]) -> Told:
    asked = {approval.approval_id: approval for approval in approvals}
    answered = asked.get(entry.approval_id or "")
    if answered is not None:
        return Told(entry, answered.source or "hand", _headline(answered))
    if entry.kind in {"initial", "challenger"}:
        return Told(entry, "training", _headline(_request(entry, asked)) if entry.kind == "challenger" else "")
    return Told(entry, "hand", "")


def _request(entry: Transition, asked: Mapping[str, Approval]) -> Approval | None:
    """The request that a challenger was registered for; it was opened with its alias."""
    about = [each for each in asked.values() if each.challenger == entry.to_version]
    return about[-1] if about else None


def _headline(approval: Approval | None) -> str:
    """How the AUC changed, with the interval of the difference."""
    evidence = None if approval is None else _evidence(approval)
    if approval is None or evidence is None:
        return "" if approval is None else approval.summary
    new, old, gap = evidence.challenger_metrics.auc, evidence.champion_metrics, evidence.difference
    if old is None or gap is None:
        return f"AUC {new:.3f}"
    return f"AUC {old.auc:.3f} -> {new:.3f}, {gap.low:+.3f} to {gap.high:+.3f}"


def _evidence(approval: Approval) -> Evidence | None:
    try:
        return Evidence.model_validate_json(approval.evidence)
    except ValidationError:  # written by another version of the code
        return None


def _test_auc(services: Services, entry: Transition, approvals: Sequence[Approval]) -> float | None:
    about = [approval for approval in approvals if approval.challenger == entry.to_version]
    measured = [evidence for approval in about if (evidence := _evidence(approval)) is not None]
    if measured:
        return measured[-1].challenger_metrics.auc
    try:
        version = services.registry.version(entry.model, entry.to_version)
    except ChurnError:  # the answer stands without it
        return None
    return None if version is None else version.metrics.get("test.auc")
