"""What a recorded move means in the registry: aliases and tags. Only `lifecycle` calls it to move anything."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.errors import ReleaseCorrupt
from churnlib.governance.succession import predecessors
from churnlib.modelling.release import load_release
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION, ModelVersion
from churnlib.records import CHAMPION_KINDS, Transition
from churnlib.usecases.services import Services

ARCHIVED_TAG, ROLLED_BACK_TAG = "churn.archived", "churn.rolled_back"
"""Tags of a version that is out of play, empty once it is back, and of one that was rolled back from."""

_MAX_TAG = 500


def apply(services: Services, entry: Transition) -> None:
    """Make the registry say what the entry says; repeating it changes nothing."""
    registry, model, version = services.registry, entry.model, entry.to_version
    if entry.kind in CHAMPION_KINDS:
        _apply_to_champion(services, entry)
    elif entry.kind == "challenger":
        registry.set_alias(model, CHALLENGER, version)
    elif entry.kind == "withdrawal":
        registry.delete_alias(model, CHALLENGER)
    elif entry.kind == "archive":
        registry.tag(model, version, {ARCHIVED_TAG: _signed(entry)})
    else:
        registry.tag(model, version, {ARCHIVED_TAG: ""})


def former_champion(services: Services, model: str, moves: Sequence[Transition]) -> int | None:
    """The version that a rollback would return to, if it is still there: what `former-champion` stands at."""
    before = predecessors(moves)[-1:]
    return before[0] if before and services.registry.version(model, before[0]) is not None else None


def point_former(services: Services, model: str, moves: Sequence[Transition]) -> None:
    """Set `former-champion` to what the record says."""
    version = former_champion(services, model, moves)
    if version is None:
        services.registry.delete_alias(model, FORMER_CHAMPION)
    else:
        services.registry.set_alias(model, FORMER_CHAMPION, version)


def verify(services: Services, model: str, version: int, *, otherwise: str) -> ModelVersion:
    """Load the version's release and let it score its probe, whatever was loaded before.

    Args:
        services: the ports.
        model: registered model name.
        version: that somebody wants to rely on.
        otherwise: the way out where it does not verify.

    Raises:
        ReleaseCorrupt: it was deleted, or its release does not verify.
    """
    found = services.registry.version(model, version)
    if found is None:
        raise ReleaseCorrupt(f"Version {version} of {model} was deleted from the registry.", hint=otherwise)
    try:
        services.releases[model, version] = load_release(services.registry.fetch(model, version))
    except ReleaseCorrupt as error:
        raise ReleaseCorrupt(f"Version {version} of {model}: {error.message}", hint=otherwise) from error
    return found


def _apply_to_champion(services: Services, entry: Transition) -> None:
    registry, model = services.registry, entry.model
    with services.ledger.begin() as tx:
        moves = tx.transitions(model)
    if moves[-1].seq != entry.seq:  # this run overslept its lease, and another one moved on
        return
    registry.set_alias(model, CHAMPION, entry.to_version)
    point_former(services, model, moves)
    challenger = registry.by_alias(model, CHALLENGER)
    if challenger is not None and challenger.version == entry.to_version:
        registry.delete_alias(model, CHALLENGER)
    left = entry.from_version
    if entry.kind == "rollback" and left is not None and registry.version(model, left) is not None:
        registry.tag(model, left, {ROLLED_BACK_TAG: _signed(entry)})


def _signed(entry: Transition) -> str:
    return f"{entry.at:%Y-%m-%d %H:%M} UTC by {entry.who}: {entry.why}"[:_MAX_TAG]
