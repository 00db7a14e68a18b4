"""Whatever a command raises becomes one sentence, a hint and an exit code."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from churnlib.errors import ChurnError, ServiceUnavailable
from flows.refusals import refuse

COMMANDS = ("train", "score")


class Usage(Exception):
    """What typer raises on wrong usage, as far as it matters."""

    def __init__(self, said: str) -> None:
        super().__init__(said)

    def format_message(self) -> str:
        return self.args[0]  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CHURN_HOME."""
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("error", "code"),
    [(ChurnError("It is wrong.", hint="Mend it."), 2), (ServiceUnavailable("It is wrong.", hint="Mend it."), 3)],
)
def test_a_refusal_says_what_is_wrong_and_the_way_out(
    error: ChurnError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(error, ["train", "x"], commands=COMMANDS) == code
    assert capsys.readouterr() == ("", "error: It is wrong.\nhint:  Mend it.\n")
    assert refuse(error, ["train", "x", "--json"], commands=COMMANDS) == code
    assert json.loads(capsys.readouterr().out) == {"error": "It is wrong.", "hint": "Mend it."}


def test_a_fault_of_our_own_is_one_line_and_its_traceback_goes_into_the_log(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise ZeroDivisionError("by zero\nand more")
    except ZeroDivisionError as error:
        assert refuse(error, ["train", "x"], commands=COMMANDS) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: by zero)" in said
    assert len(said.splitlines()) == 2
    log = (home / "data" / "logs" / "faults.log").read_text()
    assert "churn train x\nTraceback" in log
    assert "and more" in log


def test_a_fault_is_told_even_where_the_log_cannot_be_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "data").write_text("a file where the folder should be")
    assert refuse(RuntimeError("odd"), ["train"], commands=COMMANDS) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.ENOTDIR])
def test_a_disk_that_refuses_is_a_service_that_is_not_there(
    number: int, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(OSError(number, "No.", str(home / "data" / "x")), ["score"], commands=COMMANDS) == 3
    said = capsys.readouterr().err
    assert f"{home / 'data' / 'x'} cannot be used" in said
    assert "CHURN_HOME" in said


def test_a_home_that_cannot_be_made_is_told_apart_from_a_file_that_we_lost(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(home / "gone" / "home"))
    assert refuse(FileNotFoundError(errno.ENOENT, "No.", str(home / "gone")), ["score"], commands=COMMANDS) == 3
    assert refuse(FileNotFoundError(errno.ENOENT, "No.", str(home / "x.json")), ["score"], commands=COMMANDS) == 1


def test_wrong_usage_points_at_the_help_of_the_command_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(Usage("Missing option '--data'"), ["train"], commands=COMMANDS) == 2
    assert capsys.readouterr().err == "error: Missing option '--data'.\nhint:  See `churn train --help`.\n"
    assert refuse(Usage("No such command 'tran'. Did you mean 'train'?"), ["tran"], commands=COMMANDS) == 2
    assert capsys.readouterr().err.endswith("hint:  See `churn --help`.\n")


def test_the_help_that_stands_there_already_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(Usage(""), [], commands=COMMANDS) == 2
    assert capsys.readouterr() == ("", "")
