"""`--help` teaches by example, fits 80 columns, and costs no heavy import."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app
from flows.cli_examples import EXAMPLES

HEAVY = ("polars", "numpy", "pandas", "mlflow", "prefect", "xgboost", "sklearn", "sqlalchemy", "pydantic", "rich")

NAMES = sorted(
    command.name or command.callback.__name__ for command in app.registered_commands if command.callback
)


def help_of(*command: str) -> str:
    """The page as a terminal of 80 columns shows it."""
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert result.exit_code == 0
    return str(result.output)


def test_every_command_has_examples() -> None:
    assert sorted(EXAMPLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_ends_with_the_examples_unbroken_and_fits_80_columns(name: str) -> None:
    page = help_of(name)
    assert max(map(len, page.splitlines())) <= 80
    for example, what in EXAMPLES[name]:
        assert f"  # {what}" in [line.rstrip()[1:] for line in page.splitlines()]
        assert f"  {example}" in [line.rstrip()[1:] for line in page.splitlines()]


def test_every_command_has_one_line_in_the_overview() -> None:
    page = help_of()
    assert max(map(len, page.splitlines())) <= 80
    described = [line.split()[1] for line in page.splitlines() if line.startswith("│ ") and line[2].isalpha()]
    assert sorted(described) == NAMES


@pytest.mark.parametrize(("name", "example"), [(name, each) for name in NAMES for each, _ in EXAMPLES[name]])
def test_examples_are_commands_that_work_as_written(name: str, example: str) -> None:
    words = shlex.split(example)
    arguments = words[words.index("churn") + 1 :]
    assert arguments[0] == name
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, arguments[1:])  # raises on an unknown option or a missing argument


def test_importing_the_commands_imports_nothing_heavy() -> None:
    program = "import sys, flows.cli; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "flows.cli" in loaded.splitlines()
    assert sorted({name.split(".")[0] for name in loaded.splitlines()} & set(HEAVY)) == []
