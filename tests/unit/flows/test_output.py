"""Tables fit the terminal, files get whole lines, JSON is one valid object, and data cannot move the cursor."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.output import complain, counted, near, next_step, plain, print_json, print_table, progress, say

LONG = "a sentence that goes on for much longer than any terminal is wide, " * 4
ROWS = [
    {"name": "first", "count": 1234567, "share": 0.25, "why": LONG, "empty": None},
    {"name": "second", "count": 2, "share": None, "why": "short", "empty": ""},
]


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What stands on the screen, without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue()).splitlines()


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal's width."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm")
    return int(request.param)


@contextmanager
def looking() -> Iterator[Terminal]:
    """Standard output and error on a terminal while the block runs."""
    shown = Terminal()
    with redirect_stdout(shown), redirect_stderr(shown):
        yield shown


def test_a_table_is_no_wider_than_the_terminal_and_breaks_no_number(width: int) -> None:
    with looking() as terminal:
        print_table("Title", ROWS)
    assert max(map(len, terminal.lines())) <= width
    assert any("1,234,567" in line and "0.250" in line for line in terminal.lines())


def test_columns_that_do_not_fit_side_by_side_are_put_below_each_other_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    names = [f"column {number}" for number in range(1, 9)]
    full: dict[str, int | None] = {name: 1_000_000 * int(name[-1]) for name in names}
    rows = [full, {**dict.fromkeys(names), "column 1": 5}]
    with looking() as terminal:
        print_table("", rows)
    assert terminal.lines() == [
        *(f"column {number}  {number},000,000" for number in range(1, 9)),
        "",
        "column 1  5",
    ]


def test_columns_without_any_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Title", ROWS)
    assert "empty" not in capsys.readouterr().out


def test_a_file_gets_each_row_of_a_table_on_one_line_without_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("Title", [{"name": "first", "why": "x" * 100}, {"name": "second", "why": "short"}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Title"
    assert len(lines) == 6
    assert all(line == line.rstrip() for line in lines)


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Things", [])
    print_table("Things", [], empty="Nothing waits.")
    assert capsys.readouterr().out == "Things: none yet.\nNothing waits.\n"


def test_markup_in_data_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", [{"value": "[red]x[/]"}])
    say("[bold]x[/]")
    complain("[bold]x[/]", "[/]", as_json=False)
    shown = capsys.readouterr()
    assert "[red]x[/]" in shown.out
    assert "[bold]x[/]" in shown.out
    assert shown.err == "error: [bold]x[/]\nhint:  [/]\n"


@given(st.text())
def test_nothing_in_a_file_can_send_control_characters_to_the_terminal(text: str) -> None:
    assert all(letter.isprintable() for letter in plain(text))


def test_an_escape_sequence_in_a_cell_is_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", [{"customer": "\x1b[2Jgone\r"}])
    assert "\x1b" not in capsys.readouterr().out


def test_a_sentence_is_wrapped_between_words_under_its_own_indentation(width: int) -> None:
    with looking() as terminal:
        say(f"  {LONG}")
    assert len(terminal.lines()) > 1
    assert all(line.startswith("  ") and len(line) <= width for line in terminal.lines())


def test_a_long_path_is_not_broken(width: int) -> None:
    path = "/" + "x" * 2 * width
    with looking() as terminal:
        say(f"Predictions: {path}")
    assert path in terminal.lines()


def test_the_next_command_stays_on_one_line_and_is_quoted_for_a_shell(width: int) -> None:
    with looking() as terminal:
        next_step("train", "telco", "--data", Path(f"/a folder/{'x' * width}.csv"), note=" (or not)")
    assert terminal.lines() == [f"Next: churn train telco --data '/a folder/{'x' * width}.csv' (or not)"]


def test_placeholders_are_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    next_step("score", "telco", "<FILE>")
    assert capsys.readouterr().out == "Next: churn score telco <FILE>\n"


def test_json_is_one_object_that_any_parser_reads(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"nan": math.nan, "list": [math.inf, 1.5], "tuple": (1,), "path": Path("x"), "text": "Mädchen"})
    content = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content == {"nan": None, "list": [None, 1.5], "tuple": [1], "path": "x", "text": "Mädchen"}


def test_a_refusal_in_json_has_error_and_hint_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    complain("It is wrong.", "Mend it.", as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": "It is wrong.", "hint": "Mend it."}
    assert shown.err == ""


def test_progress_in_a_file_is_a_line_a_step_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as shown:
        shown.step("reading")
        shown.step("reading")
        shown.advance(1, 2, "rounds")
        shown.step("scoring")
        with shown.hidden():
            pass
    assert capsys.readouterr() == ("", "reading\nscoring\n")


def test_progress_on_a_terminal_leaves_nothing_behind_but_what_was_said(width: int) -> None:
    with looking() as terminal, progress() as shown:
        shown.step("reading")
        shown.say("a line that stays")
    last = [line.strip() for line in terminal.lines() if line.strip()]
    assert "a line that stays" in last
    assert terminal.getvalue().endswith(("\x1b[2K", "\x1b[?25h"))  # the line is erased, the cursor shown


def test_paths_are_shown_as_one_would_type_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / "data" / "x.parquet") == "data/x.parquet"
    assert near("/elsewhere/x") == "/elsewhere/x"


def test_counts_agree_with_their_noun() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 7043)] == ["0 rows", "1 row", "2 rows", "7,043 rows"]
