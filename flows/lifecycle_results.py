"""What the commands about versions print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from flows.output import next_step, print_json, print_table, say

if TYPE_CHECKING:
    from churnlib.ports import ModelVersion
    from churnlib.records import Decision
    from churnlib.usecases.alias_watch import AliasEdit
    from churnlib.usecases.by_hand import Moved
    from churnlib.usecases.history import ChampionThen, Told


def history_result(model: str, told: Sequence[Told], *, as_json: bool) -> None:
    """Champions first, the present one last; challengers and the archive below."""
    champions, others = [each for each in told if each.is_of_champion], [e for e in told if not e.is_of_champion]
    if as_json:
        content: dict[str, object] = {"model": model, "transitions": [_as_json(each) for each in champions]}
        return print_json(content | ({"others": [_as_json(each) for each in others]} if others else {}))
    if not champions:
        say(f"{model} has had no champion yet.")
        return next_step("train", model, "--data", "<FILE>")
    print_table(
        f"Champions of {model}, the present one last",
        [
            {
                "since (UTC)": _minute(each.entry.at),
                "champion": f"v{each.entry.to_version}",
                "after": "" if each.entry.from_version is None else f"v{each.entry.from_version}",
                "by": each.entry.kind,
                "who": each.entry.who,
                "why": _why(each),
            }
            for each in champions
        ],
    )
    if others:
        print_table(
            "Challengers and the archive",
            [
                {
                    "at (UTC)": _minute(each.entry.at),
                    "version": f"v{each.entry.to_version}",
                    "what": each.entry.kind,
                    "who": each.entry.who,
                    "why": _why(each),
                }
                for each in others
            ],
        )
    return None


def champion_result(then: ChampionThen, *, is_now: bool, as_json: bool) -> None:
    """Who was champion, since and until when, by whose word, how good."""
    if as_json:
        return print_json(_champion_json(then))
    if then.told is None:
        return _nobody(then, is_now=is_now)
    entry = then.told.entry
    if is_now:
        say(f"v{entry.to_version} is champion of {then.model} since {_minute(entry.at)} UTC.")
    else:
        until = "still is" if then.until is None else f"until {_minute(then.until)} UTC"
        say(f"At {_minute(then.at)} UTC v{entry.to_version} was champion of {then.model}.")
        say(f"  since {_minute(entry.at)} UTC, {until}")
    say(f"  by the word of {entry.who} ({entry.kind}): {_why(then.told)}")
    if then.test_auc is not None:
        say(f"  AUC on the test rows of its training: {then.test_auc:.3f}")
    return None


def moved_result(moved: Moved, *, as_json: bool) -> None:
    """What a move by hand changed, and loudly what nobody has judged."""
    entry = moved.entry
    if as_json:
        return print_json(
            {
                **entry.model_dump(mode="json", exclude={"from_version", "to_version"}),
                "from": entry.from_version,
                "to": entry.to_version,
                "source": "hand",
                "judged": moved.is_judged,
                "finished_earlier": moved.is_finished,
            }
        )
    if moved.is_finished:
        say("An earlier command was cut off half-way. It is finished now, and nothing more was done:")
    say(f"{_what(moved)} By {entry.who}: {entry.why}.")
    if moved.is_judged is False:
        than = "" if entry.from_version is None else f" than v{entry.from_version}"
        say(f"NOT JUDGED: the gates never let v{entry.to_version} pass. Nobody knows whether it is better{than}.")
    elif moved.is_judged and entry.approval_id is None and entry.from_version is not None:
        say(f"v{entry.to_version} passed the gates earlier; it was not compared with v{entry.from_version} today.")
    if entry.kind == "rollback" and entry.from_version is not None:
        say(f"Requests whose evidence was measured against v{entry.from_version} promote nothing any more.")
    return next_step("history", entry.model)


def alias_result(
    model: str,
    aliases: Mapping[str, int],
    edits: Sequence[AliasEdit],
    *,
    is_settled: bool,
    adopted: bool,
    as_json: bool,
) -> None:
    """Where the aliases stand, and what of that was done by hand."""
    if as_json:
        shown = [
            {"alias": e.alias, "recorded": e.recorded, "found": e.found, "text": e.text, "hint": e.hint}
            for e in edits
        ]
        state = "settled" if is_settled or not edits else "open"
        return print_json({"model": model, "aliases": dict(aliases), "state": state, "edits": shown})
    for edit in edits:
        say(edit.text)
        say(f"  {('Adopted.' if adopted else 'Reverted.') if is_settled else edit.hint}")
    if not edits:
        say(f"The aliases of {model} stand as the record says.")
    return print_table(
        "", [{"alias": name, "version": f"v{version}"} for name, version in sorted(aliases.items())], empty="None."
    )


def unchanged_result(decision: Decision, version: ModelVersion, *, as_json: bool) -> None:
    """A training by hand that had nothing to learn."""
    if as_json:
        return print_json(
            {
                "model": decision.model,
                "trained": False,
                "action": decision.action,
                "version": version.version,
                "run_id": version.run_id,
                "reasons": decision.reasons,
                "approval_id": None,
            }
        )
    say(f"{decision.model}: {'; '.join(decision.reasons)}.")
    return say("Same file, same spec, same code: the same model. To train all the same, repeat with --force.")


def _as_json(told: Told) -> dict[str, object]:
    return {**told.entry.model_dump(mode="json"), "source": told.source, "evidence": told.evidence or None}


def _champion_json(then: ChampionThen) -> dict[str, object]:
    entry = None if then.told is None else then.told.entry
    return {
        "model": then.model,
        "at": then.at.isoformat(timespec="seconds"),
        "version": entry and entry.to_version,
        "since": entry and entry.at.isoformat(timespec="seconds"),
        "until": then.until and then.until.isoformat(timespec="seconds"),
        "who": entry and entry.who,
        "why": entry and entry.why,
        "kind": entry and entry.kind,
        "source": then.told and then.told.source,
        "evidence": (then.told and then.told.evidence) or None,
        "test_auc": then.test_auc,
        "first": then.first and then.first.since.isoformat(timespec="seconds"),
    }


def _nobody(then: ChampionThen, *, is_now: bool) -> None:
    if then.first is None:
        say(f"{then.model} has had no champion yet.")
        return next_step("train", then.model, "--data", "<FILE>")
    before = then.first.by.from_version
    say(
        f"At {_minute(then.at)} UTC {then.model} had no champion on record: the first is v{then.first.version}, "
        f"since {_minute(then.first.since)} UTC" + (f", after v{before}." if before is not None else ".")
    )
    return None


def _what(moved: Moved) -> str:
    entry = moved.entry
    version, model = f"v{entry.to_version}", entry.model
    left = "" if entry.from_version is None else f", after v{entry.from_version}"
    return {
        "rollback": f"{version} is champion of {model} again{left}.",
        "archive": f"{version} of {model} is archived.",
        "restoration": f"{version} of {model} is out of the archive.",
    }.get(entry.kind, f"{version} is champion of {model} now{left}.")


def _why(told: Told) -> str:
    why = told.entry.why
    return f"{why} ({told.evidence})" if told.evidence and told.evidence not in why else why


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"
