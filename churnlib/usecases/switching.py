"""One switch: a person makes a version champion, with no fresh comparison."""

from __future__ import annotations

from churnlib.errors import DecisionRefused
from churnlib.governance.approvals import check_still_valid
from churnlib.ports import ModelVersion
from churnlib.records import Approval, ApprovalStatus, Transition
from churnlib.usecases.aliases import verify
from churnlib.usecases.by_hand import Moved, by_word, check_word, moves_of, settled_champion, was_archived
from churnlib.usecases.lifecycle import moving
from churnlib.usecases.promotion import conclude, settle
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.situation import GATE_TAG, PASSED

HAND = "hand"
"""The door by which such an answer came."""


def promote(services: Services, run: Run, *, model: str, version: int, reason: str, sure: bool) -> Moved:
    """Make a version champion by a person's word.

    An open request about it, whose evidence holds, is answered by this, and is the move's evidence. Otherwise
    the move is recorded without any: nothing was compared with the champion that it replaces.

    Args:
        services: the ports.
        run: its `who` is the person whose word this is.
        model: registered model name.
        version: any registered one that is not archived.
        reason: why, for the record.
        sure: go on although the gates never let this version pass.

    Raises:
        DecisionRefused: it is champion already, archived, not judged (without `sure`), or the alias was moved
            by hand and nobody settled that.
        ReleaseCorrupt: the version is gone or does not verify; the alias stays.
    """
    check_word(run, reason)
    with moving(services, run, model) as unfinished:
        present = settled_champion(services, model, moves_of(services, model))
        if present == version:
            return _champion_already(unfinished, model, version)
        found = verify(services, model, version, otherwise=_stays(present))
        if was_archived(services, model, version):
            raise DecisionRefused(
                f"v{version} of {model} is archived.",
                hint=f"Take it out first: churn archive {model} {version} --undo --reason '…'.",
            )
        asked = _request(services, found, present)
        is_judged = asked is not None or _passed(services, found)
        if not is_judged and not sure:
            raise DecisionRefused(
                f"v{version} of {model} never passed the gates: nobody knows whether it is better than "
                f"{'none' if present is None else f'v{present}'}.",
                hint="Repeat with --yes to promote it all the same, or let a new one be compared: churn retrain.",
            )
        entry = None if asked else by_word(services, run, model, "promotion", present, version, reason)
    if entry is None:
        assert asked is not None
        entry = _answer(services, run, asked, reason)
    dispatch(services)
    return Moved(entry, is_judged)


def _champion_already(unfinished: Transition | None, model: str, version: int) -> Moved:
    if unfinished is not None:
        return Moved(unfinished, is_finished=True)
    raise DecisionRefused(
        f"v{version} is champion of {model} already.", hint=f"Since when, and why: churn champion {model}."
    )


def _stays(present: int | None) -> str:
    return "There is no champion still." if present is None else f"v{present} stays champion."


def _request(services: Services, version: ModelVersion, champion: int | None) -> Approval | None:
    """The request about this version that can still be acted on, if its evidence holds."""
    with services.ledger.begin() as tx:
        requests = tx.approvals(version.model)
    now = services.clock()
    for asked in requests:
        is_open = asked.status is ApprovalStatus.PENDING and asked.expires_at > now
        is_cut_off = asked.status is ApprovalStatus.APPROVED and asked.outcome is None
        stale = check_still_valid(asked, champion_now=champion, challenger_run_id_now=version.run_id)
        if asked.challenger == version.version and (is_open or is_cut_off) and stale is None:
            return asked
    return None


def _passed(services: Services, version: ModelVersion) -> bool:
    with services.ledger.begin() as tx:
        approved = tx.approvals(version.model, status=ApprovalStatus.APPROVED)
    return version.tags.get(GATE_TAG) == PASSED or any(
        each.challenger_run_id == version.run_id for each in approved
    )


def _answer(services: Services, run: Run, asked: Approval, reason: str) -> Transition:
    """Promote by answering the request: the first answer counts, as by every door."""
    if asked.status is ApprovalStatus.PENDING:
        settle(services, asked.approval_id, approve=True, who=run.who, source=HAND, reason=reason)
    done = conclude(services, run, asked.approval_id)
    for entry in moves_of(services, asked.model):
        if entry.approval_id == asked.approval_id:
            return entry
    raise DecisionRefused(
        f"v{asked.challenger} was {done.outcome}.", hint=f"Look at it: churn alias {asked.model}."
    )
