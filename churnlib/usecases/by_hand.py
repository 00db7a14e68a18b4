"""What a person does to the versions of a model without a comparison: roll back and archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from churnlib.errors import ChurnError, DecisionRefused, NoChampion
from churnlib.governance.approvals import validate_answer
from churnlib.governance.succession import is_archived, predecessors, recorded_champion
from churnlib.ports import CHALLENGER, CHAMPION
from churnlib.records import Transition, TransitionKind
from churnlib.usecases.aliases import ARCHIVED_TAG, verify
from churnlib.usecases.lifecycle import move, moving
from churnlib.usecases.services import Run, Services, dispatch


@dataclass(frozen=True)
class Moved:
    """What came of a command.

    Attributes:
        entry: the move as it stands on record.
        is_judged: the gates let the version pass, against some champion; None where that is not the question.
        is_finished: an earlier command had been cut off, and this one only finished it.
    """

    entry: Transition
    is_judged: bool | None = None
    is_finished: bool = False


def rollback(services: Services, run: Run, *, model: str, reason: str, to: int | None = None) -> Moved:
    """Return to the champion before the present one, as the record has it, or to an earlier one.

    The release is verified first. Batches that are being scored keep the version that they began with. Where an
    earlier rollback was cut off, it is finished, and none is made on top of it.

    Args:
        services: the ports.
        run: its `who` is the person whose word this is.
        model: registered model name.
        reason: why, for the record.
        to: one of the earlier champions; by default the last of them.

    Raises:
        DecisionRefused: there is no such predecessor, or the alias was moved by hand and nobody settled that.
        ReleaseCorrupt: the version is gone or does not verify; the alias stays.
        NoChampion: the record knows none.
    """
    check_word(run, reason)
    with moving(services, run, model) as unfinished:
        if unfinished is not None and unfinished.kind == "rollback":
            moved = Moved(unfinished, is_finished=True)
        else:
            moves = moves_of(services, model)
            present = settled_champion(services, model, moves)
            if present is None:
                raise NoChampion(
                    f"{model} has had no champion yet.", hint=f"Train one: churn train {model} --data FILE."
                )
            target = _target(model, moves, present, to)
            verify(services, model, target, otherwise=_further(model, moves, present, target))
            moved = Moved(by_word(services, run, model, "rollback", present, target, reason))
    dispatch(services)
    return moved


def archive(services: Services, run: Run, *, model: str, version: int, reason: str, undo: bool = False) -> Moved:
    """Take a version out of play by the tag `churn.archived`, or back in; nothing of it is deleted.

    Raises:
        DecisionRefused: it has an alias that scores, or there is nothing to undo.
        ChurnError: there is no such version.
    """
    check_word(run, reason)
    with moving(services, run, model):
        found = services.registry.version(model, version)
        if found is None:
            raise ChurnError(
                f"{model} has no version {version}.", hint=f"churn search {model} lists its versions."
            )
        scoring = [alias for alias in found.aliases if alias in {CHAMPION, CHALLENGER}]
        if scoring and not undo:
            raise DecisionRefused(
                f"v{version} is {scoring[0]} of {model}, and scores.",
                hint="Let another version take its place first.",
            )
        if undo and not (was_archived(services, model, version) or found.tags.get(ARCHIVED_TAG)):
            raise DecisionRefused(f"v{version} of {model} is not archived.", hint=f"See churn search {model}.")
        kind: TransitionKind = "restoration" if undo else "archive"
        moved = Moved(by_word(services, run, model, kind, None, version, reason))
    dispatch(services)
    return moved


def moved_by_hand(model: str, alias: str, found: int, recorded: int | None) -> str:
    """The sentence about an alias that somebody set past the record."""
    said = "no record says why" if recorded is None else f"the record says v{recorded}"
    return f"The alias {alias} of {model} was set by hand: MLflow says v{found}, {said}."


def check_word(run: Run, reason: str) -> None:
    """Refuse a nameless person, and a move without a reason; raises DecisionRefused."""
    validate_answer(run.who, reason)
    if not reason.strip():
        raise DecisionRefused("A move needs a reason: none was given.", hint="Say why: --reason '…'.")


def moves_of(services: Services, model: str) -> list[Transition]:
    """Every move of the champion alias, by `seq`."""
    with services.ledger.begin() as tx:
        return tx.transitions(model)


def was_archived(services: Services, model: str, version: int) -> bool:
    """Whether the record says that the version is out of play."""
    with services.ledger.begin() as tx:
        return is_archived(tx.transitions(model, every=True), version)


def settled_champion(services: Services, model: str, moves: Sequence[Transition]) -> int | None:
    """The champion that record and registry agree on; the record's where the registry has none.

    Raises:
        DecisionRefused: the alias was moved by hand, and nobody settled that.
    """
    recorded, found = recorded_champion(moves), services.registry.by_alias(model, CHAMPION)
    if found is not None and found.version != recorded:
        raise DecisionRefused(
            moved_by_hand(model, CHAMPION, found.version, recorded),
            hint=f"Settle that first: churn alias {model} --adopt --reason '…', or --revert.",
        )
    return recorded


def by_word(
    services: Services, run: Run, model: str, kind: TransitionKind, left: int | None, version: int, why: str
) -> Transition:
    """Move by the word of the run's person; the caller holds `moving`."""
    return move(
        services,
        Transition(
            model=model,
            kind=kind,
            from_version=left,
            to_version=version,
            who=run.who,
            why=why,
            at=services.clock(),
        ),
    )


def _target(model: str, moves: Sequence[Transition], present: int, to: int | None) -> int:
    before = predecessors(moves)
    if not before:
        raise DecisionRefused(
            f"{model} had no champion before v{present} that it could return to.",
            hint=f"Make any version champion: churn promote {model} VERSION (churn search {model} lists them).",
        )
    if to is None:
        return before[-1]
    if to not in before:
        listed = ", ".join(f"v{version}" for version in reversed(before))
        raise DecisionRefused(
            f"{model} cannot be rolled back to v{to}: the champions before v{present} are {listed}.",
            hint=f"To make it champion all the same: churn promote {model} {to}.",
        )
    return to


def _further(model: str, moves: Sequence[Transition], present: int, target: int) -> str:
    """The way out where the target does not verify."""
    others = [version for version in predecessors(moves) if version != target]
    command = f"churn rollback {model} --to {others[-1]}" if others else f"churn search {model}"
    return f"v{present} stays champion. Try another: {command}."
