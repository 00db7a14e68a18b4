"""What `churn search` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.output import counted, print_json, print_table

if TYPE_CHECKING:
    from churnlib.ports import ModelVersion


def search_result(found: Sequence[ModelVersion], where: str, *, as_json: bool) -> None:
    """One row a version, with the values that the question asked for."""
    if as_json:
        return print_json({"versions": [_version_json(version) for version in found]})
    asked = _asked(where)
    print_table(
        f"{counted(len(found), 'version')} found",
        [
            {
                "model": version.model,
                "version": f"v{version.version}",
                "alias": ", ".join(version.aliases),
                "registered": f"{version.created_at:%Y-%m-%d}",
                "AUC test": version.metrics.get("test.auc"),
                **{name: _value(version, name) for name in asked},
                "marks": ", ".join(_tagged(version)),
            }
            for version in found
        ],
        empty="No version fits.",
    )
    return None


def _asked(where: str) -> list[str]:
    """Names in the question that are no column of the table yet."""
    from churnlib.governance.where import comparisons, parse

    if not where.strip():
        return []
    names = dict.fromkeys(comparison.name.lower() for comparison in comparisons(parse(where)))
    shown = {"model", "name", "version", "alias", "created", "run", "auc", "test.auc"}
    return [name for name in names if name not in shown]


def _value(version: ModelVersion, name: str) -> object:
    from churnlib.usecases.searching import facts_of

    return facts_of(version).get(name)


def _version_json(version: ModelVersion) -> dict[str, object]:
    return {
        "model": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "created": version.created_at.isoformat(timespec="seconds"),
        "aliases": list(version.aliases),
        "tags": dict(version.tags),
        "metrics": dict(version.metrics),
        "params": dict(version.params),
    }


def _tagged(version: ModelVersion) -> Iterator[str]:
    """The gates' word, and in a word each what was done to the version."""
    if gate := version.tags.get("churn.gate"):
        yield gate
    for name in ("churn.rolled_back", "churn.archived"):
        if version.tags.get(name):
            yield name.removeprefix("churn.").replace("_", " ")
