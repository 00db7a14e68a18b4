"""The rules around a request to a person: what it is bound to, who may answer, and when it is stale."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from uuid import uuid5

from churnlib.errors import DecisionRefused
from churnlib.events import NAMESPACE
from churnlib.governance.evidence import Evidence, summary
from churnlib.records import Approval, ApprovalStatus
from churnlib.spec import ApprovalPolicy

MAX_NAME, MAX_REASON = 80, 500

_CONTROL = frozenset({"Cc", "Cs"})
_HIDDEN = frozenset({"Cf"})  # turns the direction of text or hides it: one name could look like another
_JOINERS = "\u200c\u200d"  # of that category too, and part of Persian and Indian names


def request(
    evidence: Evidence,
    *,
    model: str,
    challenger: int,
    challenger_run_id: str,
    champion: int | None,
    key: str,
    flow_run_id: str | None,
    now: datetime,
    policy: ApprovalPolicy,
) -> Approval:
    """Make the request that a person answers.

    Args:
        evidence: has to be about exactly these versions.
        model: registered model name.
        challenger: version proposed.
        challenger_run_id: its MLflow run, so that a swapped version shows.
        champion: version that it would replace; None when there is none.
        key: of the event or command behind it; the same key makes the same `approval_id`.
        flow_run_id: the suspended run that waits, where there is one already.
        now: UTC.
        policy: says how long the request stays open.

    Raises:
        DecisionRefused: the evidence is about another model or other versions.
    """
    asked, shown = (model, champion, challenger), (evidence.model, evidence.champion, evidence.challenger)
    if asked != shown:
        raise DecisionRefused(
            f"The evidence is about {_versions(*shown)}, the request about {_versions(*asked)}.",
            hint="Compare the two versions again.",
        )
    return Approval(
        approval_id=str(uuid5(NAMESPACE, f"approval:{key}")),
        model=model,
        challenger=challenger,
        challenger_run_id=challenger_run_id,
        champion=champion,
        evidence=evidence.model_dump_json(),
        summary=summary(evidence),
        flow_run_id=flow_run_id,
        created_at=now,
        expires_at=now + timedelta(hours=policy.valid_hours),
    )


def may_settle(approval: Approval, now: datetime) -> None:
    """Let an answer through while the request is open; `now` is UTC.

    Raises:
        DecisionRefused: it was answered (by whom and when), its time is over, or a newer request
            took its place.
    """
    what = f"Approval {approval.approval_id[:8]} of {approval.model} v{approval.challenger}"
    status = approval.status
    if status is ApprovalStatus.SUPERSEDED:
        raise DecisionRefused(f"{what} was superseded by a newer request.", hint="Answer the newer one.")
    if status is ApprovalStatus.EXPIRED or (status is ApprovalStatus.PENDING and now >= approval.expires_at):
        raise DecisionRefused(
            f"{what} expired at {_minute(approval.expires_at)}.", hint="Retrain to get a fresh comparison."
        )
    if status is not ApprovalStatus.PENDING:
        when = f" at {_minute(approval.decided_at)}" if approval.decided_at else ""
        who = f" by {approval.decided_by}" if approval.decided_by else ""
        raise DecisionRefused(
            f"{what} was {status.value}{who}{when} already.",
            hint="A decision stands; a new comparison asks again.",
        )


def check_still_valid(
    approval: Approval, *, champion_now: int | None, challenger_run_id_now: str | None
) -> str | None:
    """Say why the evidence is stale; None while it holds.

    Args:
        approval: the request.
        champion_now: version with the champion alias at this moment.
        challenger_run_id_now: run of the proposed version at this moment; None when the version is gone.
    """
    if challenger_run_id_now is None:
        return f"version {approval.challenger} is gone"
    if challenger_run_id_now != approval.challenger_run_id:
        return (
            f"version {approval.challenger} is another one now: run {challenger_run_id_now}, "
            f"not {approval.challenger_run_id}"
        )
    if champion_now != approval.champion:
        return f"the champion moved: it was {_version(approval.champion)}, now it is {_version(champion_now)}"
    return None


def validate_answer(who: str, reason: str | None) -> None:
    """Check the name of the decider and the reason given.

    Raises:
        DecisionRefused: the name is blank, longer than 80 characters or has control characters; the
            reason is longer than 500 characters or has control characters other than line breaks and tabs.
    """
    if not who.strip():
        raise DecisionRefused("An answer needs a name: nobody was given.", hint="Say who decides.")
    if len(who) > MAX_NAME or _has(who, _CONTROL | _HIDDEN, allowed=_JOINERS):
        raise DecisionRefused(
            f"{who[:MAX_NAME]!r} cannot be the name of who decides.",
            hint=f"Use at most {MAX_NAME} characters, on one line and none of them invisible.",
        )
    if reason is None:
        return
    if len(reason) > MAX_REASON:
        raise DecisionRefused(
            f"The reason has {len(reason)} characters.",
            hint=f"Use at most {MAX_REASON}; link to longer ones.",
        )
    if _has(reason, _CONTROL, allowed="\n\r\t"):
        raise DecisionRefused("The reason contains control characters.", hint="Use plain text.")


def _has(text: str, categories: frozenset[str], *, allowed: str) -> bool:
    return any(unicodedata.category(letter) in categories and letter not in allowed for letter in text)


def _versions(model: str, champion: int | None, challenger: int) -> str:
    return f"{model} v{challenger} against {_version(champion)}"


def _version(version: int | None) -> str:
    return "no champion" if version is None else f"v{version}"


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
