"""The life of a model's versions on the command line: real ledger, real MLflow."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.ports import CHAMPION, FORMER_CHAMPION
from churnlib.settings import Settings
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.inspecting import write_spec
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.services import Run
from flows import cli
from flows.wiring import services
from tests import builders

NAME = "telly"


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, one JSON object."""
        content: dict[str, Any] = json.loads(self.out)
        return content


Churn = Callable[..., Said]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three versions, of which the first is champion."""
    home = tmp_path_factory.mktemp("lifecycle") / "home"
    settings = Settings(home=home, prefect_api_url=None)
    labelled = [delivered(home.parent / f"{NAME}-{seed}.csv", seed) for seed in range(3)]
    write_spec(
        labelled[0],
        settings.specs / f"{NAME}.toml",
        id_column="customer",
        label_column="left",
        as_of_column=None,
        positive=None,
        page=None,
        replace=False,
    )
    for number, path in enumerate(labelled):
        train_from_file(services(settings), Run(run_id=f"run-{number}", who="newcomer"), model=NAME, path=path)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that home, so that tests do not meet."""
    return shutil.copytree(trained, tmp_path / "home")


@pytest.fixture
def churn(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    """Runs commands in this process."""
    for name in ("PREFECT_API_URL", "CHURN_PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHURN_HOME", str(home))
    monkeypatch.setenv("CHURN_USER", "newcomer")

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["churn", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, shown.out, shown.err)

    return run


def delivered(path: Path, seed: int) -> Path:
    """A labelled file, the same for the same seed."""
    frame = builders.labelled(400, seed=seed).rename({ID: "customer", LABEL: "left"}).drop(AS_OF)
    frame.with_columns(pl.when("left").then(pl.lit("Yes")).otherwise(pl.lit("No")).alias("left")).write_csv(path)
    return path


def aliases() -> dict[str, int]:
    found = services(Settings()).registry.versions(NAME)
    return {alias: version.version for version in found for alias in version.aliases}


def switch_twice(churn: Churn) -> None:
    for version in ("2", "3"):
        assert churn("promote", NAME, version, "--reason", "by order", "--yes").code == 0


def test_unchanged_inputs_are_not_trained_again_unless_by_force(churn: Churn, tmp_path: Path) -> None:
    again = delivered(tmp_path / "under_another_name.csv", seed=0)
    same = churn("train", NAME, "--data", again, "--json")
    assert (same.code, same.json["trained"], same.json["version"]) == (0, False, 1)
    assert same.json["reasons"] == ["nothing changed since version 1, which is champion: not trained"]
    assert "repeat with --force" in churn("train", NAME, "--data", again).out
    assert churn("train", NAME, "--data", again, "--force", "--json").json["version"] == 4


def test_one_switch_promotes_and_says_loudly_what_nobody_judged(churn: Churn) -> None:
    refused = churn("promote", NAME, "2", "--reason", "by order")
    assert refused.code == 2
    assert "v2 of telly never passed the gates" in refused.err
    assert "--yes" in refused.err
    said = churn("promote", NAME, "2", "--reason", "by order", "--as", "Ada L.", "--yes")
    assert said.code == 0
    assert "NOT JUDGED" in said.out
    assert aliases() == {CHAMPION: 2, FORMER_CHAMPION: 1}
    third = churn("promote", NAME, "3", "--reason", "by order", "--yes", "--json").json
    expected = {"kind": "promotion", "from": 2, "to": 3, "source": "hand", "judged": False, "who": "newcomer"}
    assert third.items() >= expected.items()


def test_a_rollback_returns_to_the_true_predecessor_and_further_back(churn: Churn) -> None:
    switch_twice(churn)
    said = churn("rollback", NAME, "--reason", "complaints", "--as", "Ada L.", "--json").json
    assert said.items() >= {"kind": "rollback", "from": 3, "to": 2, "who": "Ada L.", "why": "complaints"}.items()
    assert aliases() == {CHAMPION: 2, FORMER_CHAMPION: 1}
    assert "v1 is champion of telly again, after v2." in churn("rollback", NAME, "--reason", "still").out
    refused = churn("rollback", NAME, "--reason", "and further", "--json")
    assert refused.code == 2
    assert "no champion before v1" in refused.json["error"]
    assert aliases() == {CHAMPION: 1}


def test_history_and_champion_answer_from_the_ledger(churn: Churn) -> None:
    switch_twice(churn)
    churn("rollback", NAME, "--reason", "complaints")
    moves = churn("history", NAME, "--json").json["transitions"]
    assert [(move["kind"], move["to_version"]) for move in moves] == [
        ("initial", 1),
        ("promotion", 2),
        ("promotion", 3),
        ("rollback", 2),
    ]
    assert [move["source"] for move in moves] == ["training", *["hand"] * 3]
    assert "complaints" in churn("history", NAME).out
    now = churn("champion", NAME, "--json").json
    assert (now["version"], now["kind"], now["until"], now["who"]) == (2, "rollback", None, "newcomer")
    assert now["test_auc"] == pytest.approx(0.75, abs=0.25)
    then = churn("champion", NAME, "--at", moves[2]["at"], "--json").json
    assert (then["version"], then["since"], then["until"]) == (
        3,
        moves[2]["at"][:19] + "+00:00",
        moves[3]["at"][:19] + "+00:00",
    )
    assert "had no champion on record: the first is v1" in churn("champion", NAME, "--at", "2020-01-01").out
    assert "in the future" in churn("champion", NAME, "--at", "2999-01-01").err


def test_an_alias_edited_in_mlflow_is_shown_and_reverted_or_adopted(churn: Churn) -> None:
    registry = services(Settings()).registry
    assert "stand as the record says" in churn("alias", NAME).out
    registry.set_alias(NAME, CHAMPION, 3)
    assert f"Next: churn alias {NAME}" in churn("models").out
    shown = churn("alias", NAME, "--json").json
    assert shown["state"] == "open"
    assert [(edit["alias"], edit["recorded"], edit["found"]) for edit in shown["edits"]] == [(CHAMPION, 1, 3)]
    assert "Settle that first" in churn("rollback", NAME, "--reason", "x").err
    assert "needs a reason" in churn("alias", NAME, "--adopt").err
    assert "exclude each other" in churn("alias", NAME, "--adopt", "--revert").err
    assert churn("alias", NAME, "--revert").code == 0
    assert aliases() == {CHAMPION: 1}
    registry.set_alias(NAME, CHAMPION, 2)
    assert "Adopted." in churn("alias", NAME, "--adopt", "--reason", "night shift").out
    assert aliases() == {CHAMPION: 2, FORMER_CHAMPION: 1}
    kinds = [move["kind"] for move in churn("history", NAME, "--json").json["transitions"]]
    assert kinds == ["initial", "reversal", "adoption"]


def test_an_archived_version_is_out_of_play_and_can_come_back(churn: Churn) -> None:
    assert "v3 of telly is archived." in churn("archive", NAME, "3", "--reason", "withdrawn").out
    assert "is archived" in churn("promote", NAME, "3", "--reason", "x", "--yes").err
    assert [other["kind"] for other in churn("history", NAME, "--json").json["others"]] == ["archive"]
    found = churn("search", "--where", "archived != no", "--json").json["versions"]
    assert [(each["model"], each["version"]) for each in found] == [(NAME, 3)]
    assert churn("archive", NAME, "3", "--reason", "back", "--undo").code == 0
    assert churn("search", "--where", "archived != no", "--json").json["versions"] == []


def test_search_finds_versions_and_points_at_what_it_cannot_read(churn: Churn) -> None:
    found = churn("search", NAME, "--where", "auc > 0.1 and alias = champion", "--json").json["versions"]
    assert [each["version"] for each in found] == [1]
    table = churn("search", "--where", "max_depth = 4 and version < 3").out
    assert "2 versions found" in table
    assert "max_depth" in table
    assert churn("search", "nobody").out == "No version fits.\n"
    wrong = churn("search", "--where", "aucc > 0.1")
    assert wrong.code == 2
    assert "at character 1, before 'aucc > 0.1'" in wrong.err
    assert "Did you mean 'auc'" in wrong.err
