"""Find versions over all models: by words, and by a question about their metrics, tags, params and aliases."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from churnlib.governance.facts import Fact, moment, number
from churnlib.governance.where import Comparison, Lookup, Question, comparisons, misused, parse
from churnlib.ports import ModelVersion, Progress, Silent
from churnlib.usecases.aliases import ARCHIVED_TAG, ROLLED_BACK_TAG
from churnlib.usecases.services import Services

_GROUPS = (("params", "training."), ("tags", "churn."), ("metrics", "test."))
"""Kinds of facts, later ones first where names meet, and what may be left out of a name."""

_ELSE_NO = ("archived", ARCHIVED_TAG, "rolled_back", ROLLED_BACK_TAG)
"""Tags that say `no` where a version has them not, so that one can ask for those versions."""


def search(
    services: Services, *, text: str = "", where: str = "", progress: Progress | None = None
) -> list[ModelVersion]:
    """The versions that have all the words and fit the question; by model, the newest first.

    Args:
        services: the ports.
        text: words, each part of the model's name, `v<version>`, an alias, or a tag's or param's `name=value`;
            upper and lower case are the same.
        where: a question, see `governance.where`. Names are those of metrics (`auc` is `test.auc`), tags (`gate`
            is `churn.gate`) and params (`max_depth` is `training.max_depth`), where they meet in this order, or
            in full (`tag.geography`); and `model`, `version`, `alias`, `created`, `run`. `archived = no` and
            `rolled_back = no` hold for versions without these tags.
        progress: where to say how far the work is.

    Raises:
        WhereError: the question cannot be read, or asks for a name that no version has.
    """
    question = parse(where) if where.strip() else None
    versions = _all(services, progress or Silent())
    words = text.lower().split()
    wanted = [version for version in versions if all(word in _haystack(version) for word in words)]
    if question is None:
        return wanted
    facts = {id(version): facts_of(version) for version in versions}
    _check(where, question, list(facts.values()))
    return [version for version in wanted if question.holds(_by_name(facts[id(version)]))]


def facts_of(version: ModelVersion) -> dict[str, Fact]:
    """Everything that can be asked about the version, by name in lower case."""
    facts: dict[str, Fact] = dict.fromkeys(_ELSE_NO, "no")
    for kind, prefix in _GROUPS:
        values: Mapping[str, Fact] = getattr(version, kind)
        named = {name.lower(): value for name, value in values.items() if value != ""}  # empty: taken back
        named = {name.removeprefix(prefix): value for name, value in named.items()} | named
        facts |= named
        for group in (kind, kind.removesuffix("s")):
            facts |= {f"{group}.{name}": value for name, value in named.items()}
    facts |= {"model": version.model, "name": version.model, "version": float(version.version)}
    return facts | {"alias": version.aliases, "created": version.created_at, "run": version.run_id}


def _all(services: Services, progress: Progress) -> list[ModelVersion]:
    names = services.registry.models()
    progress.step("looking at the versions of all models")
    versions: list[ModelVersion] = []
    for done, name in enumerate(names, start=1):
        versions += services.registry.versions(name)
        progress.advance(done, len(names), "models")
    return versions


def _haystack(version: ModelVersion) -> str:
    pairs = [f"{name}={value}" for group in (version.tags, version.params) for name, value in group.items()]
    return "\n".join([version.model, f"v{version.version}", *version.aliases, *pairs]).lower()


def _by_name(facts: Mapping[str, Fact]) -> Lookup:
    return lambda name: facts.get(name.lower())


def _check(text: str, question: Question, versions: Sequence[Mapping[str, Fact]]) -> None:
    """Refuse what no version could answer, rather than finding nothing; raises WhereError."""
    if not versions:
        return
    known = {name for facts in versions for name in facts}
    for comparison in comparisons(question):
        name = comparison.name.lower()
        if name not in known:
            raise misused(text, comparison, f"no version has {comparison.name!r}", _meant(name, known))
        _check_value(text, comparison, {type(facts[name]) for facts in versions if name in facts})


def _check_value(text: str, comparison: Comparison, kinds: set[type]) -> None:
    name, value = comparison.name, comparison.value
    if kinds == {float} and number(value) is None:
        raise misused(text, comparison, f"{name!r} is a number, and {value!r} is none", f"Write {name} > 0.8.")
    if kinds == {datetime} and moment(value) is None:
        raise misused(
            text, comparison, f"{name!r} is a time, and {value!r} is none", f"Write {name} > 2026-03-01."
        )
    if kinds == {tuple} and comparison.operator not in {"=", "!="}:
        raise misused(text, comparison, f"{name!r} has no order", f"Write {name} = {value}.")


def _meant(name: str, known: Iterable[str]) -> str:
    short = [each for each in known if each.partition(".")[0] not in {"tag", "tags", "metric", "metrics"}]
    close = difflib.get_close_matches(name, sorted(short), n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    return "Names are those of metrics, tags and params, and model, version, alias, created and run."
