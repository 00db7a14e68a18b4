"""Aliases that somebody moved past the record, in MLflow's pages: noticed, reported once, adopted or reverted.

While such a move is not settled, scoring goes on with what the registry says: whoever moved the champion by hand
may have had to, in a hurry, and a week without scores is worse than scores of a version that every batch names.
The same holds for training, which compares with the champion that scores. Only the commands that move aliases
wait until somebody has said which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from churnlib.errors import DecisionRefused
from churnlib.events import ALIAS_EDITED, Event, make_event
from churnlib.governance.succession import predecessors, recorded_challenger, recorded_champion
from churnlib.ports import CHALLENGER, CHAMPION, FORMER_CHAMPION, LedgerTransaction
from churnlib.records import Transition, TransitionKind
from churnlib.usecases.aliases import former_champion, point_former, verify
from churnlib.usecases.by_hand import by_word, check_word, moved_by_hand
from churnlib.usecases.lifecycle import AliasBusy, is_unfinished, moving
from churnlib.usecases.services import Run, Services, dispatch

_ALIASES = (CHAMPION, CHALLENGER, FORMER_CHAMPION)
_ALL = 10_000
_LATER = timedelta(days=1)
_WATCH = "alias-watch"


@dataclass(frozen=True)
class AliasEdit:
    """An alias that stands elsewhere than the record says.

    Attributes:
        recorded: version by the record; None where the record has none.
        found: version in the registry; None where nothing has the alias.
        is_gone: the recorded version was deleted.
        is_new: it was not reported before.
    """

    model: str
    alias: str
    recorded: int | None
    found: int | None
    is_gone: bool = False
    is_new: bool = False

    @property
    def text(self) -> str:
        """What happened, in one sentence."""
        if self.is_gone and self.found is None:
            return f"The {self.alias} of {self.model}, v{self.recorded}, was deleted from the registry by hand."
        if self.found is None:
            return f"The alias {self.alias} of {self.model} was deleted by hand: the record says v{self.recorded}."
        return moved_by_hand(self.model, self.alias, self.found, self.recorded)

    @property
    def hint(self) -> str:
        """What to do about it."""
        command = f"churn alias {self.model}"
        if self.alias == CHAMPION and self.is_gone:
            return (
                f"Return to the champion before it: churn rollback {self.model} --reason '…'; or make another "
                f"version champion: churn promote {self.model} VERSION --reason '…'."
            )
        if self.alias == CHAMPION and self.found is None:
            return f"Nothing can be scored until it is back: {command} --revert."
        if self.alias == CHAMPION and self.recorded is None:
            return f"v{self.found} scores. Put it on record: {command} --adopt --reason '…'."
        scores = f"v{self.found} scores until it is settled. " if self.alias == CHAMPION else ""
        return f"{scores}Keep it: {command} --adopt --reason '…'; undo it: {command} --revert."


def watch_aliases(services: Services, run: Run) -> list[AliasEdit]:
    """Compare every model's aliases with the record; moves that a killed run left half-way are finished.

    Each edit is reported once, by `churn.alias.edited`; settled, undone by hand or edited again, it is closed.
    Models whose aliases are being moved at this moment are left for the next time.
    """
    entries: dict[str, list[Transition]] = {model: [] for model in services.model_names()}
    with services.ledger.begin() as tx:
        for entry in tx.transitions(every=True):
            entries.setdefault(entry.model, []).append(entry)
        noted = {event.model for event in _open(tx, services.clock())}
        noted |= {model for model, mine in entries.items() if is_unfinished(tx, mine)}
    standing = {alias: services.registry.all_with(alias) for alias in _ALIASES}
    found: list[AliasEdit] = []
    for model, mine in sorted(entries.items()):
        expected = dict(zip(_ALIASES, _recorded(mine), strict=True))
        is_odd = any(standing[alias].get(model) != version for alias, version in expected.items())
        if model in noted or is_odd:  # a closer look, while which nobody moves anything
            with suppress(AliasBusy):
                found += look(services, run, model)
    dispatch(services)
    return found


def look(services: Services, run: Run, model: str) -> list[AliasEdit]:
    """The model's aliases that stand elsewhere than the record says, reported from now on.

    Raises:
        AliasBusy: they are being moved at this moment.
    """
    with moving(services, run, model):
        return _report(services, model, _edits(services, model, _entries(services, model)))


def settle_aliases(services: Services, run: Run, *, model: str, adopt: bool, reason: str) -> list[AliasEdit]:
    """Take what was done by hand onto the record, or back; returns what was settled.

    Args:
        services: the ports.
        run: its `who` is the person whose word this is.
        model: registered model name.
        adopt: True keeps what MLflow says, False returns to what the record says.
        reason: why, for the record.

    Raises:
        DecisionRefused: nothing was edited, or what should stand is not there.
        ReleaseCorrupt: the version that should stand does not verify; its alias stays where it is.
    """
    check_word(run, reason)
    with moving(services, run, model):
        edits = _report(services, model, _edits(services, model, _entries(services, model)))
        if not edits:
            raise DecisionRefused(
                f"The aliases of {model} stand as the record says.", hint="There is nothing to do."
            )
        for edit in edits:
            _settle(services, run, edit, adopt=adopt, reason=reason)
        with services.ledger.begin() as tx:
            now, word = services.clock(), "adopted" if adopt else "reverted"
            for event in _open(tx, now):
                if event.model == model:
                    tx.finish(event.key, result=f"{word} by {run.who}: {reason}", now=now)
    dispatch(services)
    return edits


def _entries(services: Services, model: str) -> list[Transition]:
    with services.ledger.begin() as tx:
        return tx.transitions(model, every=True)


def _recorded(entries: Sequence[Transition]) -> tuple[int | None, int | None, int | None]:
    """Versions by `_ALIASES`; the last may be gone, and its alias with it."""
    before = predecessors(entries)[-1:]
    return recorded_champion(entries), recorded_challenger(entries), before[0] if before else None


def _edits(services: Services, model: str, entries: Sequence[Transition]) -> list[AliasEdit]:
    """The aliases that stand elsewhere than the entries say."""
    champion, challenger, _ = _recorded(entries)
    expected = (champion, challenger, former_champion(services, model, entries))
    edits = []
    for alias, recorded in zip(_ALIASES, expected, strict=True):
        version = services.registry.by_alias(model, alias)
        found = None if version is None else version.version
        if found != recorded and not (alias == CHALLENGER and _is_older(services, model, found, entries)):
            is_gone = recorded is not None and services.registry.version(model, recorded) is None
            edits.append(AliasEdit(model, alias, recorded, found, is_gone))
    return edits


def _is_older(services: Services, model: str, found: int | None, entries: Sequence[Transition]) -> bool:
    """Whether the challenger is of a time when challengers were not put on record, but asked about."""
    if any(entry.kind in {"challenger", "withdrawal"} and entry.to_version == found for entry in entries):
        return False
    with services.ledger.begin() as tx:
        return any(approval.challenger == found for approval in tx.approvals(model))


def _report(services: Services, model: str, edits: Sequence[AliasEdit]) -> list[AliasEdit]:
    """Publish what was not reported, close what is no more."""
    now, seen = services.clock(), {(edit.alias, edit.recorded, edit.found) for edit in edits}
    with services.ledger.begin() as tx:
        known = {_subject(event): event for event in _open(tx, now) if event.model == model}
        for subject, event in known.items():
            if subject not in seen:
                tx.finish(event.key, result="it stands so no more", now=now)
        new = [edit for edit in edits if (edit.alias, edit.recorded, edit.found) not in known]
        for edit in new:
            tx.publish(
                make_event(
                    ALIAS_EDITED,
                    model=model,
                    subject=f"{edit.alias}:{edit.recorded}:{edit.found}:{now.isoformat()}",
                    occurred_at=now,
                    alias=edit.alias,
                    version=edit.found,
                    recorded_version=edit.recorded,
                )
            )
    return [replace(edit, is_new=edit in new) for edit in edits]


def _open(tx: LedgerTransaction, now: datetime) -> list[Event]:
    """Edits that were reported and that nobody has settled: events whose key is not finished."""
    sent = tx.lost(ALIAS_EDITED.name, sent_before=now + _LATER, now=now)
    waiting = [event for event in tx.unsent(limit=_ALL) if event.type.name == ALIAS_EDITED.name]
    # a claim that is over at once: the ledger says of a key only to those who ask for it whether it is done
    unsettled = (
        each for each in waiting if tx.claim(each.key, owner=_WATCH, now=now, lease_seconds=0).state != "done"
    )
    return [*sent, *unsettled]


def _subject(event: Event) -> tuple[object, object, object]:
    return event.payload["alias"], event.payload["recorded_version"], event.payload["version"]


def _settle(services: Services, run: Run, edit: AliasEdit, *, adopt: bool, reason: str) -> None:
    if edit.alias == CHAMPION:
        _settle_champion(services, run, edit, adopt=adopt, reason=reason)
    elif edit.alias == CHALLENGER:
        _settle_challenger(services, run, edit, adopt=adopt, reason=reason)
    else:  # it only follows from the record
        with services.ledger.begin() as tx:
            moves = tx.transitions(edit.model)
        point_former(services, edit.model, moves)


def _settle_champion(services: Services, run: Run, edit: AliasEdit, *, adopt: bool, reason: str) -> None:
    target = edit.found if adopt else edit.recorded
    if target is None:
        lacking = "MLflow has no champion to adopt" if adopt else "the record has no champion to return to"
        raise DecisionRefused(f"{edit.model}: {lacking}.", hint=edit.hint)
    verify(services, edit.model, target, otherwise=edit.hint)
    kind: TransitionKind = "adoption" if adopt else "reversal"
    left = edit.recorded if adopt else edit.found
    by_word(services, run, edit.model, kind, left, target, reason)


def _settle_challenger(services: Services, run: Run, edit: AliasEdit, *, adopt: bool, reason: str) -> None:
    """Both ways end in an entry: the version that has the alias now, or the one that has it no more."""
    target = edit.found if adopt else edit.recorded
    other = edit.recorded if adopt else edit.found
    if target is not None:
        verify(services, edit.model, target, otherwise=edit.hint)
        by_word(services, run, edit.model, "challenger", other, target, reason)
    elif other is not None:
        by_word(services, run, edit.model, "withdrawal", other, other, reason)
