"""How commands speak: one JSON object on standard output, or tables; progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


def console(*, to_stderr: bool = False) -> Console:
    """A console that wraps nothing when its output goes into a file."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(stderr=to_stderr, highlight=False, width=None if stream.isatty() else 160)


def print_json(content: Mapping[str, object]) -> None:
    """Write the one JSON object of a command."""
    sys.stdout.write(json.dumps(content, default=str, indent=2) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a table whose columns are the rows' keys; says so when there are no rows."""
    from rich.table import Table

    if not rows:
        console().print(f"{title}: none yet.")
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in rows[0]:
        number = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(str(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _cell(value) for value in row.values()))
    console().print(table)


def say(text: str) -> None:
    """Write one line of result."""
    console().print(text, markup=False, soft_wrap=True)


def print_markdown(text: str, *, to_stderr: bool = False) -> None:
    """Write Markdown as a terminal shows it."""
    from rich.markdown import Markdown

    console(to_stderr=to_stderr).print(Markdown(text))


def complain(message: str, hint: str, *, as_json: bool) -> None:
    """Write a refusal: what is wrong and the way out."""
    if as_json:
        print_json({"error": message, "hint": hint})
        return
    out = console(to_stderr=True)
    out.print(f"[bold red]error:[/] {_escape(message)}", soft_wrap=True)
    out.print(f"[bold]hint:[/]  {_escape(hint)}", soft_wrap=True)


class ConsoleProgress:
    """One line on standard error: what is being done, and a bar where the work can be counted."""

    def __init__(self, shown: RichProgress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self._shown.update(self._task, description=text, total=None, completed=0, unit="")

    def advance(self, done: int, total: int, unit: str) -> None:
        """Move the bar."""
        self._shown.update(self._task, completed=done, total=total, unit=f"{done:,}/{total:,} {unit}")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the line off the screen while a question stands there."""
        self._shown.stop()
        try:
            yield
        finally:
            self._shown.start()

    def say(self, text: str) -> None:
        """Write a line above, that stays."""
        self._shown.console.print(text, markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[ConsoleProgress]:
    """Show progress on standard error while the block runs; nothing of it stays on the screen."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(to_stderr=True), transient=True) as shown:
        yield ConsoleProgress(shown, shown.add_task("starting", total=None, unit=""))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return _escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
