"""The command line as a newcomer, a cron job and a machine meet it: real files, real ledger, real MLflow."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.settings import ROOT
from churnlib.spec import AS_OF, ID, LABEL
from flows import cli
from tests import builders

NAME = "telly"
UNKNOWN_ID = "ffffffff"


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which has to be one JSON object and nothing else."""
        content: dict[str, Any] = json.loads(self.out)
        return content


Churn = Callable[..., Said]
"""Runs `churn` with these arguments."""


def delivered(rows: int, seed: int) -> pl.DataFrame:
    """A file as a company would deliver it: its own column names, Yes and No, no date."""
    frame = builders.labelled(rows, seed=seed).rename({ID: "customer", LABEL: "left"}).drop(AS_OF)
    return frame.with_columns(pl.when("left").then(pl.lit("Yes")).otherwise(pl.lit("No")).alias("left"))


def process(home: Path, *arguments: str) -> Said:
    """A real process, as somebody starts it who has set nothing but CHURN_HOME."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "PREFECT_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=ROOT,
        env={**environment, "CHURN_HOME": str(home), "CHURN_USER": "newcomer"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Start:
    """A home in which the three first commands ran as real processes, and what they said."""

    home: Path
    labelled: Path
    week: Path
    made: Said
    trained: Said
    scored: Said


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """`init`, `train` and `score`, nothing edited in between."""
    folder = tmp_path_factory.mktemp("cli")
    home, labelled, week = folder / "home", folder / f"{NAME}.csv", folder / "week.csv"
    delivered(400, seed=1).write_csv(labelled)
    delivered(800, seed=2).drop("left").write_csv(week)
    return Start(
        home=home,
        labelled=labelled,
        week=week,
        made=process(home, "init", str(labelled), "--id", "customer", "--label", "left", "--report", "--json"),
        trained=process(home, "train", NAME, "--data", str(labelled), "--json"),
        scored=process(home, "score", NAME, str(week), "--json"),
    )


@pytest.fixture
def home(start: Start, tmp_path: Path) -> Path:
    """A copy of that home, so that tests do not meet."""
    return shutil.copytree(start.home, tmp_path / "home")


@pytest.fixture
def churn(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    """Runs commands in this process: importing MLflow in each would cost seconds."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("CHURN_PREFECT_API_URL", raising=False)
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


def changed_spec(home: Path, model: str, change: Callable[[str], str]) -> str:
    """Write a spec that differs from the drafted one; returns its name."""
    text = (home / "models" / f"{NAME}.toml").read_text()
    changed = change(text)
    assert changed != text
    (home / "models" / f"{model}.toml").write_text(changed)
    return model


# the three commands


def test_init_writes_a_spec_and_a_page_and_says_what_is_suspicious(start: Start) -> None:
    said = start.made.json
    assert start.made.code == 0
    assert {"spec", "rows", "features", "warnings"} <= said.keys()
    assert (said["rows"], said["features"]) == (400, 5)
    assert Path(said["spec"]) == start.home / "models" / f"{NAME}.toml"
    assert "<svg" in Path(said["report"]).read_text() or "data:image/svg" in Path(said["report"]).read_text()
    assert {"column": "signup_date", "kind": "date"}.items() <= said["warnings"][-1].items()


def test_train_makes_the_first_version_champion_and_reports_its_metrics(start: Start) -> None:
    said = start.trained.json
    assert start.trained.code == 0
    assert (said["model"], said["version"], said["alias"], said["rows"]) == (NAME, 1, "champion", 400)
    assert said["run_id"]
    assert {"auc", "pr_auc", "log_loss", "brier", "calibration_error", "c_index"} <= said["metrics"].keys()
    assert 0.6 < said["metrics"]["auc"] == said["metrics"]["c_index"] <= 1


def test_score_puts_predictions_where_it_says(start: Start) -> None:
    said = start.scored.json
    assert start.scored.code == 0
    assert (said["model"], said["version"], said["duplicate_of"]) == (NAME, 1, None)
    assert (said["rows"], said["accepted"], said["quarantined"]) == (800, 800, 0)
    assert said["seconds"] > 0
    predictions = pl.read_parquet(said["output"], hive_partitioning=False)
    assert predictions.height == 800
    assert predictions["batch_id"].unique().to_list() == [said["batch_id"]]


def test_progress_goes_to_standard_error_and_libraries_say_nothing(start: Start) -> None:
    assert start.made.err == f"looking at {NAME}.csv\n"
    assert start.trained.err.splitlines() == [
        f"training on 400 customers ({NAME}.csv)",
        "writing the release",
        "registering the release",
    ]
    assert start.scored.err.splitlines() == [
        "checking week.csv",
        f"scoring 800 customers with {NAME} v1",
    ]


# what comes after them


def test_the_riskiest_customers_are_shown_with_reasons(churn: Churn, start: Start, tmp_path: Path) -> None:
    week = tmp_path / "next.csv"
    pl.read_csv(start.week, infer_schema=False).tail(500).write_csv(week)
    said = churn("score", NAME, week)
    assert said.code == 0
    assert f"{NAME} v1 scored 500 of 500 customers of next.csv" in said.out
    table = said.out.split("At highest risk\n")[1].splitlines()
    assert table[0].split() == ["customer", "risk", "why"]
    assert all(line.startswith("c") and "%" in line and "raises the risk" in line for line in table[2:7])
    assert f"Next: churn drift {NAME}" in said.out
    assert week.exists()


def test_the_same_content_is_not_scored_again(churn: Churn, start: Start, tmp_path: Path) -> None:
    again = shutil.copy(start.week, tmp_path / "other_name.csv")
    said = churn("score", NAME, again, "--json")
    assert said.code == 0
    assert said.json["duplicate_of"] == said.json["batch_id"] == start.scored.json["batch_id"]
    assert "already. It came as week.csv." in churn("score", NAME, again).out


def test_drift_says_what_moved(churn: Churn) -> None:
    said = churn("drift", NAME, "--json")
    assert said.code == 0
    assert {"batch_id", "verdict", "triage", "features"} <= said.json.keys()
    assert {"name", "psi", "js", "is_drifted"} <= said.json["features"][0].keys()
    shown = churn("drift", NAME).out
    assert shown.startswith(f"{NAME}: {said.json['verdict']}.")


def test_a_better_version_waits_for_a_person_and_is_promoted_once(churn: Churn, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    delivered(6000, seed=3).write_csv(more)
    trained = churn("train", NAME, "--data", more)
    assert trained.code == 0
    assert "v2 passed and waits for a person" in trained.out
    (waiting,) = churn("approve", "--json").json["approvals"]
    short = waiting["approval_id"][:8]
    assert f"Next: churn approve {short}" in trained.out
    assert short in churn("models").out

    approved = churn("approve", short, "--as", "Ada L.", "--reason", "clear win", "--json")
    assert (approved.code, approved.json["outcome"]) == (0, "promoted v2")
    refused = churn("reject", short, "--reason", "too late")
    assert refused.code == 2
    assert "approved by Ada L." in refused.err

    moves = churn("history", NAME, "--json").json["transitions"]
    assert [(move["to_version"], move["who"]) for move in moves] == [(1, "newcomer"), (2, "Ada L.")]
    assert "clear win" in churn("history", NAME).out
    (row,) = churn("models", "--json").json["models"]
    assert (row["champion"], row["approval"]) == (2, None)
    assert row["since"][:16] == moves[-1]["at"][:16]


def test_a_version_that_does_not_win_is_not_put_forward(churn: Churn, start: Start) -> None:
    said = churn("train", NAME, "--data", start.labelled, "--force", "--json")
    assert (said.code, said.json["alias"], said.json["approval_id"]) == (0, None, None)
    assert any("does not win" in reason for reason in said.json["gate"])
    assert churn("approve").out == "Nothing waits for approval.\n"


def test_models_and_history_read_well_with_no_model_and_with_no_champion(
    churn: Churn, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "fresh"))
    assert churn("models").out.splitlines()[0] == "There are no models yet."
    assert churn("models", "--json").json == {"models": []}
    for name in ("one", "two", "three"):
        made = churn("init", start.labelled, "--id", "customer", "--label", "left", "--name", name)
        assert made.out.splitlines()[-1] == f"Next: churn train {name} --data {start.labelled}"
    shown = churn("models").out
    assert [line.split()[0] for line in shown.splitlines()[2:5]] == ["one", "three", "two"]
    assert shown.count("none yet") == 3
    assert churn("history", "one").out.startswith("one has had no champion yet.")
    assert churn("history", "one", "--json").json == {"model": "one", "transitions": []}


def test_one_bad_file_in_the_inbox_does_not_keep_the_others_from_being_scored(
    churn: Churn, start: Start, home: Path
) -> None:
    inbox = home / "data" / "incoming" / NAME
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "a_bad.csv").write_text("")
    pl.read_csv(start.week, infer_schema=False).head(300).write_csv(inbox / "b_good.csv")
    said = churn("score", NAME, "--json")
    assert said.code == 2
    assert [batch["rows"] for batch in said.json["batches"]] == [300]
    assert [each["file"] for each in said.json["refused"]] == ["a_bad.csv"]
    assert "a_bad.csv is empty" in said.json["error"]
    assert (home / "data" / "failed" / NAME / "a_bad.csv").exists()
    assert (home / "data" / "processed" / NAME / "b_good.csv").exists()
    assert "No file waits" in churn("score", NAME).err


# refusals


@dataclass(frozen=True)
class Case:
    """A command that has to be refused.

    Attributes:
        command: NAME, FILE and WHOLE stand for the model, the bad file and the sound labelled one.
        says: part of the sentence.
        make: the bad file's bytes, from the labelled frame; None for no file at all.
        suffix: the bad file's.
        code: expected.
        spec: change of the drafted spec; the command then works on that one.
    """

    command: str
    says: str
    make: Callable[[pl.DataFrame], bytes] | None = None
    suffix: str = ".csv"
    code: int = 2
    spec: Callable[[str], str] | None = None


def _cut_parquet(frame: pl.DataFrame) -> bytes:
    whole = io.BytesIO()
    frame.write_parquet(whole)
    return whole.getvalue()[:-100]


def _csv(frame: pl.DataFrame, separator: str = ",") -> bytes:
    return frame.write_csv(separator=separator).encode()


def _with_label(frame: pl.DataFrame, third: str) -> pl.DataFrame:
    is_third = pl.int_range(pl.len()) % 3 == 0
    return frame.with_columns(pl.when(is_third).then(pl.lit(third)).otherwise("left").alias("left"))


def _typed_wrongly(frame: pl.DataFrame) -> bytes:
    return _csv(frame.with_columns(tenure_months=pl.lit("long")))


def _in_latin_1(frame: pl.DataFrame) -> bytes:
    return frame.with_columns(plan=pl.lit("für alle")).write_csv().encode("latin-1")


CASES = {
    "no such file": Case(f"score {NAME} FILE", "There is no file"),
    "no such file to look at": Case("init FILE --id customer --label left", "There is no file"),
    "no such file to learn from": Case(f"train {NAME} --data FILE", "There is no file"),
    "empty": Case(f"score {NAME} FILE", "is empty (0 bytes)", lambda _: b""),
    "empty to look at": Case("init FILE --id customer --label left", "is empty (0 bytes)", lambda _: b""),
    "header only": Case(f"score {NAME} FILE", "has no rows", lambda frame: _csv(frame.head(0))),
    "missing column": Case(
        f"score {NAME} FILE", "lacks a column: 'tenure_months'", lambda frame: _csv(frame.drop("tenure_months"))
    ),
    "missing label": Case(
        f"train {NAME} --data FILE", "lacks a column: 'left'", lambda frame: _csv(frame.drop("left"))
    ),
    "wrong type": Case(f"score {NAME} FILE", "tenure_months: not a number (400)", _typed_wrongly),
    "duplicate ids": Case(
        f"score {NAME} FILE", "customer_id: duplicate (400)", lambda frame: _csv(pl.concat([frame, frame]))
    ),
    "truncated Parquet": Case(
        f"score {NAME} FILE",
        "is cut off",
        _cut_parquet,
        suffix=".parquet",
    ),
    "wrong encoding": Case(f"score {NAME} FILE", "is not UTF-8: byte", _in_latin_1),
    "other delimiter": Case(f"score {NAME} FILE", "is not delimited by ','", lambda frame: _csv(frame, ";")),
    "three classes": Case(
        f"train {NAME} --data FILE",
        "has 3 classes instead of two",
        lambda frame: _csv(_with_label(frame, "Maybe")),
    ),
    "three classes to look at": Case(
        "init FILE --id customer --label left", "has 3 classes", lambda frame: _csv(_with_label(frame, "Maybe"))
    ),
    "one class": Case(
        f"train {NAME} --data FILE",
        "has only one class",
        lambda frame: _csv(frame.with_columns(left=pl.lit("No"))),
    ),
    "column that init is told": Case("init WHOLE --id custmer --label left --name other", "is 'customer' meant?"),
    "spec is there": Case(f"init WHOLE --id customer --label left --name {NAME}", "already"),
    "name leaves the folder": Case("init WHOLE --id customer --label left --name ../x", "cannot be the name"),
    "model leaves the folder": Case("score ../x WHOLE", "cannot be the name of a model"),
    "history leaves the folder": Case("history ../x", "cannot be the name of a model"),
    "unknown model": Case("score nobody WHOLE", "No spec"),
    "unknown model to learn": Case("train nobody --data WHOLE", "No spec"),
    "unknown model's drift": Case("drift nobody", "No spec"),
    "unknown model's history": Case("history nobody", "No spec"),
    "unknown model's outcomes": Case("outcomes nobody WHOLE", "No spec"),
    "spec names a column that is not there": Case(
        "train NAME --data WHOLE",
        "'tenure_month' (is 'tenure_months' meant?)",
        spec=lambda text: text.replace("tenure_months =", "tenure_month ="),
    ),
    "expression names a column that is not there": Case(
        "train NAME --data WHOLE",
        "names 'nothing', which is not there",
        spec=lambda text: f'{text}\n[features.odd]\ntype = "number"\nsql = "tenure_months / nothing"\n',
    ),
    "unknown key": Case(
        "train NAME --data WHOLE",
        "unknown key 'horison_days'",
        spec=lambda text: text.replace("horizon_days", "horison_days"),
    ),
    "no champion yet": Case("score NAME WHOLE", "has no champion yet", spec=lambda text: f"{text}\n# another\n"),
    "nothing scored yet": Case("drift NAME", "was scored yet", spec=lambda text: f"{text}\n# another\n"),
    "unknown batch": Case(f"drift {NAME} --batch {UNKNOWN_ID}", "No batch of telly begins"),
    "nothing waits": Case(f"score {NAME}", "No file waits"),
    "unknown approval": Case(f"approve {UNKNOWN_ID}", "No approval begins"),
    "unknown approval to reject": Case(f"reject {UNKNOWN_ID} --reason no", "No approval begins"),
    "date that is none": Case(f"score {NAME} WHOLE --as-of yesterday", "is no date"),
    "date to come": Case(f"score {NAME} WHOLE --as-of 2999-01-01", "is in the future"),
    "no Prefect server": Case("deploy", "No Prefect server is known", code=3),
    "unknown command": Case("trian", "Did you mean 'train'"),
    "unknown option": Case("models --wide", "No such option"),
    "missing option": Case(f"train {NAME}", "Missing option '--data'"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_sentence_and_a_way_out_and_the_file_stays(
    case: Case, churn: Churn, start: Start, home: Path, tmp_path: Path
) -> None:
    bad, frame = tmp_path / f"bad{case.suffix}", pl.read_csv(start.labelled, infer_schema=False)
    if case.make is not None:
        bad.write_bytes(case.make(frame))
    model = NAME if case.spec is None else changed_spec(home, "changed", case.spec)
    places = {"FILE": str(bad), "WHOLE": str(start.labelled), "NAME": model}
    command = [places.get(word, word) for word in case.command.split()]
    before = {path: path.read_bytes() for path in (bad, start.labelled) if path.exists()}

    people, machine = churn(*command), churn(*command, "--json")

    assert (people.code, people.out) == (case.code, "")
    told = [line for line in people.err.splitlines() if line.startswith(("error: ", "hint:  "))]
    assert [line.split(":")[0] for line in told] == ["error", "hint"]
    assert people.err.splitlines()[-2:] == told
    assert case.says in told[0]
    assert told[0].endswith((".", "?"))
    assert machine.code == case.code
    assert machine.json == {"error": told[0].removeprefix("error: "), "hint": told[1].removeprefix("hint:  ")}
    assert {path: path.read_bytes() for path in before} == before
    assert not (home / "data" / "logs" / "faults.log").exists()


def test_a_prefect_server_that_does_not_answer_is_named(churn: Churn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_PREFECT_API_URL", "http://127.0.0.1:9/api")
    said = churn("deploy", "--json")
    assert said.code == 3
    assert said.json["error"] == "Prefect at http://127.0.0.1:9/api does not answer."


@pytest.mark.parametrize("command", ["init FILE --id customer --label left", "train x --data FILE", "models"])
def test_a_home_that_cannot_be_written_is_a_refusal(
    command: str, churn: Churn, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "a_file"
    blocked.write_text("no folder")
    monkeypatch.setenv("CHURN_HOME", str(blocked / "home"))
    said = churn(*[str(start.labelled) if word == "FILE" else word for word in command.split()])
    assert said.code == 3
    assert str(blocked) in said.err
    assert said.err.splitlines()[-1].startswith("hint:  Check the rights")


def test_a_fault_of_our_own_is_one_line_with_exit_code_1(churn: Churn, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("the cable is out")

    monkeypatch.setattr("flows.overview.open_services", break_down)
    said = churn("models", "--json")
    assert said.code == 1
    assert "RuntimeError: the cable is out" in said.json["error"]
    assert "Traceback" not in said.out + said.err


# real tables


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "id_column", "label", "noted_auc"),
    [
        ("telco/telco_customer_churn.csv", "customerID", "Churn", 0.822),
        ("bank/churn_modelling.csv", "CustomerId", "Exited", 0.843),
        ("telecom_mlc/mlc_churn.csv", "rownames", "churn", 0.922),
    ],
)
def test_real_tables_take_three_commands_and_reach_the_noted_auc(
    file: str, id_column: str, label: str, noted_auc: float, churn: Churn, real_data: Path
) -> None:
    path = real_data / file
    assert churn("init", path, "--id", id_column, "--label", label, "--name", "real").code == 0
    trained = churn("train", "real", "--data", path, "--json")
    assert trained.code == 0
    assert trained.json["metrics"]["auc"] > noted_auc - 0.02  # a fifth of the rows leaves that much to chance
    assert trained.json["metrics"]["calibration_error"] < 0.05
    scored = churn("score", "real", path, "--json")
    assert (scored.code, scored.json["accepted"]) == (0, trained.json["rows"])
