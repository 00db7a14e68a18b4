"""Whether to train a challenger now. Pure: the same situation always gets the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from churnlib.monitoring.drift import Triage
from churnlib.spec import RetrainingPolicy

Trigger = Literal["drift", "performance", "schedule", "hand"]


@dataclass(frozen=True)
class Situation:
    """What is known when somebody asks for a training.

    Attributes:
        as_of: the cut-off date; nothing later is known.
        triage: of the newest drift report.
        trigger_reason: what the trigger said, for people.
        first_moved: `as_of` of the first batch of the present run of moved ones.
        champion_cutoff: last `as_of` that the champion learned from.
        last_training: `as_of` of the last decision to retrain.
        new_matured_snapshots: every `as_of` with matured outcomes on or after `first_moved`; without
            that, after `champion_cutoff`.
        open_challenger: an approval is pending or a training is running.
        rejected_in_a_row: challengers that were held or rejected since the last promotion.
        matured_rows: labelled rows that a training would have.
        matured_positives: churned ones among them.
        next_maturity: when the next snapshot matures; None when none is under way.
        horizon_days: of the spec. The parts of a time split lie a horizon apart, so that a model sees nothing
            of a change before the new snapshots span two of them.
    """

    trigger: Trigger
    as_of: date
    triage: Triage = "none"
    trigger_reason: str = ""
    first_moved: date | None = None
    champion_cutoff: date | None = None
    last_training: date | None = None
    new_matured_snapshots: tuple[date, ...] = ()
    open_challenger: bool = False
    rejected_in_a_row: int = 0
    matured_rows: int = 0
    matured_positives: int = 0
    next_maturity: date | None = None
    horizon_days: int = 0

    @property
    def by_hand(self) -> bool:
        """A person asked."""
        return self.trigger == "hand"


@dataclass(frozen=True)
class RetrainVerdict:
    """The answer: why to retrain, or every gate that says wait."""

    action: Literal["retrain", "wait"]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Gate:
    """One condition: whether it holds, and what to say either way (nothing when `text` is empty)."""

    holds: bool
    text: str


def decide(
    situation: Situation, policy: RetrainingPolicy, *, min_rows: int = 1, min_positives: int = 1
) -> RetrainVerdict:
    """Answer a call for training. Every gate that fails gives its reason.

    Args:
        situation: what is known at the cut-off.
        policy: of the champion's spec.
        min_rows: fewest labelled rows to learn from, the spec's `training.min_rows`.
        min_positives: fewest churned ones, the spec's `training.min_positives`.
    """
    gates = tuple(_gates(situation, policy, min_rows, min_positives))
    failed = tuple(gate.text for gate in gates if not gate.holds)
    if failed:
        return RetrainVerdict("wait", failed)
    said = (_cause(situation), *(gate.text for gate in gates))
    return RetrainVerdict("retrain", tuple(text for text in said if text))


def _gates(situation: Situation, policy: RetrainingPolicy, min_rows: int, min_positives: int) -> Iterator[_Gate]:
    yield _data_gate(situation)
    yield _Gate(
        not situation.open_challenger,
        "a challenger is in training or awaits a decision" if situation.open_challenger else "",
    )
    if not situation.by_hand:
        yield _cooldown_gate(situation, policy)
        yield _snapshot_gate(situation, policy)
    if situation.trigger == "schedule":
        yield _schedule_gate(situation, policy)
    yield _label_gate(situation, min_rows, min_positives)


def _cause(situation: Situation) -> str:
    asked = {
        "drift": "inputs moved",
        "performance": "the champion got worse",
        "schedule": "the schedule asked",
        "hand": "asked for by hand",
    }[situation.trigger]
    return f"{asked}: {situation.trigger_reason}" if situation.trigger_reason else asked


def _data_gate(situation: Situation) -> _Gate:
    said = f": {situation.trigger_reason}" if situation.trigger == "drift" and situation.trigger_reason else ""
    if situation.triage == "broken_data":
        return _Gate(False, f"broken data is mended, never learned from{said}")
    if situation.trigger == "drift" and situation.triage != "inputs_moved":
        what = "only columns that age moved" if situation.triage == "clock" else "no input moved"
        return _Gate(False, f"{what}{said}")
    return _Gate(True, "")


def _cooldown_gate(situation: Situation, policy: RetrainingPolicy) -> _Gate:
    """The pause doubles with every rejected challenger, up to the schedule's own interval."""
    if situation.last_training is None:
        return _Gate(True, "")
    longest = max(policy.every_days, policy.cooldown_days)
    days = min(policy.cooldown_days * 2 ** min(situation.rejected_in_a_row, 30), longest)
    passed = (situation.as_of - situation.last_training).days
    if passed >= days:
        return _Gate(True, f"{passed} days since the last training (at least {days})")
    after = f" after {_several(situation.rejected_in_a_row, 'rejected challenger')}"
    until = situation.last_training + timedelta(days=days)
    return _Gate(
        False,
        f"{passed} of {days} days since the last training"
        f"{after if situation.rejected_in_a_row else ''}; over on {until}",
    )


def _snapshot_gate(situation: Situation, policy: RetrainingPolicy) -> _Gate:
    fresh = sorted(set(situation.new_matured_snapshots))
    have, need, span = len(fresh), policy.min_new_snapshots, 2 * situation.horizon_days
    spanned = (fresh[-1] - fresh[0]).days if fresh else 0
    start = situation.first_moved or situation.champion_cutoff
    since = "" if start is None else f" {'since' if situation.first_moved else 'after'} {start}"
    if have >= need and spanned >= span:
        return _Gate(True, f"{_several(have, 'new matured snapshot')}{since} (at least {need})")
    text = f"{have} of {_several(need, 'new matured snapshot')}{since}"
    if have >= need:
        text = f"{_several(have, 'new matured snapshot')}{since} span {spanned} of {span} days"
    following = situation.next_maturity
    return _Gate(False, text if following is None else f"{text}; the next matures on {following}")


def _schedule_gate(situation: Situation, policy: RetrainingPolicy) -> _Gate:
    """Counts from the last training; without one, from what the champion learned from."""
    last = situation.last_training or situation.champion_cutoff
    if last is None:
        return _Gate(True, "nothing was trained yet")
    passed = (situation.as_of - last).days
    what = "since the last training" if situation.last_training else "since the champion's data ends"
    text = f"{passed} of {policy.every_days} days {what}"
    due = last + timedelta(days=policy.every_days)
    return _Gate(passed >= policy.every_days, text if passed >= policy.every_days else f"{text}; due on {due}")


def _label_gate(situation: Situation, min_rows: int, min_positives: int) -> _Gate:
    rows, positives = situation.matured_rows, situation.matured_positives
    enough = rows >= min_rows and positives >= min_positives
    text = f"{rows:,} matured rows, {positives:,} of them churned"
    return _Gate(enough, text if enough else f"{text}; training needs {min_rows:,} and {min_positives:,}")


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
