"""The one place that moves aliases: on record first, then in the registry, then announced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from churnlib.errors import ChurnError, NoChampion
from churnlib.events import CHAMPION_CHANGED, event_key, make_event
from churnlib.governance.succession import is_archived, recorded_challenger, recorded_champion, succession
from churnlib.ports import CHALLENGER, CHAMPION, LedgerTransaction, ModelVersion
from churnlib.records import CHAMPION_KINDS, Transition
from churnlib.usecases.aliases import apply
from churnlib.usecases.services import Run, Services

LEASE_SECONDS = 120.0

Noting = Callable[[LedgerTransaction], None]
"""What else is written in the same transaction."""


class AliasBusy(ChurnError):
    """Somebody else moves this model's aliases at this moment."""


@contextmanager
def moving(services: Services, run: Run, model: str) -> Iterator[Transition | None]:
    """Hold the model's aliases; gives the move that a killed run left half-way and that is finished now.

    Raises:
        AliasBusy: another run holds them.
    """
    work = f"alias:{model}"
    with services.ledger.begin() as tx:
        claim = tx.claim(work, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
    if claim.state != "mine":
        raise AliasBusy(f"The champion of {model} is being moved by {claim.owner}.", hint="Try again in a minute.")
    try:
        yield _finish_pending(services, model)
    finally:
        with services.ledger.begin() as tx:
            tx.release(work, owner=run.run_id)


def _nothing(tx: LedgerTransaction) -> None:
    del tx


def move(services: Services, wanted: Transition, *, closing: Noting = _nothing) -> Transition:
    """Record a move, make it in the registry, announce it; returns it as it stands on record.

    The record is the commit point. Killed before it, nothing has happened; killed after it, whoever holds the
    aliases next finishes the move, the watchdog at the latest. A move that is on record already (of the same
    approval, or by the same word to where the record says that things are) is only made whole.

    Args:
        services: the ports.
        wanted: the move; the caller holds `moving` for its model, and has verified the release.
        closing: written once the aliases stand, together with the event.
    """
    with services.ledger.begin() as tx:
        recorded = _recorded(tx, wanted) or _append(tx, wanted)
    apply(services, recorded)
    with services.ledger.begin() as tx:
        _announce(tx, services, recorded)
        closing(tx)
    return recorded


def crown(services: Services, run: Run, version: ModelVersion, *, why: str, closing: Noting = _nothing) -> None:
    """Make a version of a model that has no champion its first; one that is champion already stays so."""
    with moving(services, run, version.model):
        move(
            services,
            Transition(
                model=version.model,
                kind="initial",
                from_version=None,
                to_version=version.version,
                who=run.who,
                why=why,
                at=services.clock(),
            ),
            closing=closing,
        )


def challenge(services: Services, run: Run, version: ModelVersion, *, why: str, closing: Noting) -> None:
    """Make a version the challenger, in the place of the one that is it."""
    with moving(services, run, version.model):
        former = services.registry.by_alias(version.model, CHALLENGER)
        move(
            services,
            Transition(
                model=version.model,
                kind="challenger",
                from_version=former.version if former else None,
                to_version=version.version,
                who=run.who,
                why=why,
                at=services.clock(),
            ),
            closing=closing,
        )


def champion_or_first(services: Services, run: Run, model: str) -> ModelVersion | None:
    """The champion that a new version has to beat; None where the new one is the first.

    Raises:
        NoChampion: nothing has the alias although the model had champions that are still there: a new version
            would take their place without having beaten any.
    """
    with services.ledger.begin() as tx:
        moves = tx.transitions(model)
        is_cut_off = is_unfinished(tx, moves)
    if is_cut_off:
        with moving(services, run, model):
            pass  # holding the aliases finishes it
    champion = services.registry.by_alias(model, CHAMPION)
    line = succession(moves)
    if champion is None and any(services.registry.version(model, version) for version in line):
        raise NoChampion(
            f"Nothing of {model} has the alias champion any more; the record says v{line[-1]}.",
            hint=f"Put it back: churn alias {model} --revert; or go to the one before: churn rollback {model}.",
        )
    return champion


def withdraw(
    services: Services, *, model: str, version: int, who: str, why: str, approval_id: str | None = None
) -> None:
    """Take the challenger alias from the version, if it has it; the caller holds `moving`."""
    challenger = services.registry.by_alias(model, CHALLENGER)
    if challenger is None or challenger.version != version:
        return
    move(
        services,
        Transition(
            model=model,
            kind="withdrawal",
            from_version=version,
            to_version=version,
            who=who,
            why=why,
            approval_id=approval_id,
            at=services.clock(),
        ),
    )


def is_unfinished(tx: LedgerTransaction, entries: Sequence[Transition]) -> bool:
    """Whether the newest move of the champion is on record, and nobody has seen it through (yet)."""
    return _unannounced(tx, entries) is not None


def _unannounced(tx: LedgerTransaction, entries: Sequence[Transition]) -> Transition | None:
    newest = [entry for entry in entries if entry.kind in CHAMPION_KINDS][-1:]
    return newest[0] if newest and not _is_announced(tx, newest[0]) else None


def _recorded(tx: LedgerTransaction, wanted: Transition) -> Transition | None:
    """The entry of this very move, where an earlier try wrote it."""
    entries = tx.transitions(wanted.model, every=True)
    same = [entry for entry in entries if (entry.kind, entry.to_version) == (wanted.kind, wanted.to_version)]
    if wanted.approval_id is not None:
        return next((entry for entry in same if entry.approval_id == wanted.approval_id), None)
    if wanted.kind == "initial" and recorded_champion(entries) == wanted.to_version:
        return [entry for entry in entries if entry.kind in CHAMPION_KINDS][-1]
    stands = {
        "challenger": recorded_challenger(entries) == wanted.to_version,
        "archive": is_archived(entries, wanted.to_version),
    }
    again = [entry for entry in same if (entry.who, entry.why) == (wanted.who, wanted.why)]
    return again[-1] if again and stands.get(wanted.kind, False) else None


def _append(tx: LedgerTransaction, wanted: Transition) -> Transition:
    tx.append_transition(wanted)
    return tx.transitions(wanted.model, every=True)[-1]


def _announce(tx: LedgerTransaction, services: Services, entry: Transition) -> None:
    """Publish the event of a champion's move; that it is there says that the aliases stand."""
    if entry.kind not in CHAMPION_KINDS or _is_announced(tx, entry):
        return
    tx.publish(
        make_event(
            CHAMPION_CHANGED,
            model=entry.model,
            subject=f"{entry.kind}:{entry.seq}",
            occurred_at=services.clock(),
            version=entry.to_version,
            from_version=entry.from_version,
            kind=entry.kind,
        )
    )


def _is_announced(tx: LedgerTransaction, entry: Transition) -> bool:
    subjects = [f"{entry.kind}:{entry.seq}"]
    if entry.kind == "initial":  # as ledgers of before have it, and below
        subjects.append(f"initial:{entry.to_version}")
    elif entry.kind == "promotion" and entry.approval_id is not None:
        subjects.append(entry.approval_id)
    keys = (event_key(CHAMPION_CHANGED, model=entry.model, subject=subject) for subject in subjects)
    return any(tx.event(key) is not None for key in keys)


def _finish_pending(services: Services, model: str) -> Transition | None:
    """Make whole the newest move of the champion, where a killed run left it half-way.

    Where somebody moved the alias elsewhere by hand since, their move stays, and is reported as one.
    """
    with services.ledger.begin() as tx:
        entry = _unannounced(tx, tx.transitions(model))
    if entry is None:
        return None
    found = services.registry.by_alias(model, CHAMPION)
    is_untouched = found is None or found.version in {entry.from_version, entry.to_version}
    if is_untouched and services.registry.version(model, entry.to_version) is not None:
        apply(services, entry)
    with services.ledger.begin() as tx:
        _announce(tx, services, entry)
    return entry
