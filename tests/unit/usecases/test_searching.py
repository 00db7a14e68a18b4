"""Versions of all models are found by words and by questions, and a question about nothing is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from churnlib.governance.where import WhereError
from churnlib.ports import CHAMPION, Registration
from churnlib.usecases.searching import search
from tests.loops import Loop

VERSIONS = (
    ("telco", 0.80, {"geography": "US"}, 6),
    ("telco", 0.84, {"geography": "US"}, 4),
    ("telco-eu", 0.86, {"geography": "EU", "churn.archived": ""}, 4),
    ("telco-eu", 0.70, {"geography": "EU", "churn.archived": "2026-01-05 by ann", "churn.gate": "held"}, 4),
    ("bank", 0.90, {"company_id": "ClientB"}, 4),
)

Find = Callable[..., list[str]]


@pytest.fixture
def find(empty: Loop, tmp_path: Path) -> Find:
    """Searches five versions of three models; champions are telco v2 and bank v1."""
    release = tmp_path / "release"
    release.mkdir()
    for number, (model, auc, tags, depth) in enumerate(VERSIONS):
        empty.registry.register(
            Registration(
                model=model,
                experiment=model,
                key=str(number),
                release=release,
                plots=None,
                inputs={},
                params={"training.max_depth": depth, "split": "by time"},
                metrics={"test.auc": auc, "test.brier": 0.1},
                tags=tags,
                source="tests",
                source_digest="",
                training_rows=0,
            )
        )
    empty.registry.log_metrics("telco", 2, {"live.auc": 0.79}, step=1)
    for model, version in (("telco", 2), ("bank", 1)):
        empty.registry.set_alias(model, CHAMPION, version)

    def found(text: str = "", where: str = "") -> list[str]:
        return [f"{each.model} v{each.version}" for each in search(empty.services, text=text, where=where)]

    return found


EVERY = ["bank v1", "telco v2", "telco v1", "telco-eu v2", "telco-eu v1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EVERY),
        ("telco", ["telco v2", "telco v1", "telco-eu v2", "telco-eu v1"]),
        ("TELCO eu", ["telco-eu v2", "telco-eu v1"]),
        ("telco v2", ["telco v2", "telco-eu v2"]),
        ("champion", ["bank v1", "telco v2"]),
        ("clientb", ["bank v1"]),
        ("geography=US", ["telco v2", "telco v1"]),
        ("max_depth=6", ["telco v1"]),
        ("nothing", []),
    ],
)
def test_words_are_looked_for_everywhere(find: Find, text: str, expected: list[str]) -> None:
    assert find(text) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("auc > 0.8 and geography = US", ["telco v2"]),
        ("auc >= 0.8 and geography = us", ["telco v2", "telco v1"]),
        ("test.auc > 0.85", ["bank v1", "telco-eu v1"]),
        ("metric.test.auc > 0.85", ["bank v1", "telco-eu v1"]),
        ("live.auc < 0.8", ["telco v2"]),
        ("not live.auc < 0.7", ["telco v2"]),
        ("alias = champion", ["bank v1", "telco v2"]),
        ("alias != champion and model = telco", ["telco v1"]),
        ("max_depth = 6", ["telco v1"]),
        ("training.max_depth > 5 or params.max_depth > 5", ["telco v1"]),
        ("tag.geography = EU", ["telco-eu v2", "telco-eu v1"]),
        ("gate = held", ["telco-eu v2"]),
        ("archived != no", ["telco-eu v2"]),
        ("model = telco-eu and archived = no", ["telco-eu v1"]),
        ("not rolled_back = no", []),
        ("split = 'by time' and version = 2", ["telco v2", "telco-eu v2"]),
        ("created >= 2026-01-05", EVERY),
        ("created < 2026-01-05", []),
        ("AUC > 0.85", ["bank v1", "telco-eu v1"]),
    ],
)
def test_questions_reach_metrics_tags_params_and_the_version_itself(
    find: Find, where: str, expected: list[str]
) -> None:
    assert find(where=where) == expected


def test_words_and_a_question_both_have_to_fit(find: Find) -> None:
    assert find("eu", "auc > 0.8") == ["telco-eu v1"]


@pytest.mark.parametrize(
    ("where", "says", "hint"),
    [
        ("geograhpy = US", "no version has 'geograhpy'", "Did you mean 'geography'?"),
        ("auc > 0.8 and xyzzy = 1", "at character 15, before 'xyzzy = 1'", "Names are those of metrics"),
        ("auc > high", "'auc' is a number, and 'high' is none", "Write auc > 0.8."),
        ("created > lately", "'created' is a time, and 'lately' is none", "Write created > 2026-03-01."),
        ("alias > champion", "'alias' has no order", "Write alias = champion."),
    ],
)
def test_what_no_version_could_answer_is_refused_with_what_was_meant(
    find: Find, where: str, says: str, hint: str
) -> None:
    with pytest.raises(WhereError) as refused:
        find(where=where)
    assert says in refused.value.message
    assert hint in refused.value.hint


def test_without_any_version_nothing_is_found_and_nothing_refused(empty: Loop) -> None:
    assert search(empty.services, where="auc > 0.8") == []
    with pytest.raises(WhereError):
        search(empty.services, where="auc >")
