"""How commands speak: one JSON object on standard output, or text; progress on standard error."""

from __future__ import annotations

import json
import math
import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.tables import table_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_FILE_WIDTH = 160


def console(*, to_stderr: bool = False) -> Console:
    """A console as wide as its terminal, and wide enough to wrap nothing where its output goes into a file."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(stderr=to_stderr, highlight=False, width=None if stream.isatty() else _FILE_WIDTH)


def print_json(content: Mapping[str, object]) -> None:
    """Write the one JSON object of a command; a number that is none, such as NaN, becomes null."""
    sys.stdout.write(json.dumps(_finite(content), default=str, indent=2, allow_nan=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, object]], *, empty: str | None = None) -> None:
    """Write a table whose columns are the rows' keys; columns without a value in any row are left out.

    Args:
        title: one line above it; none where it is empty.
        rows: numbers stand to the right, floats with three digits; None is an empty cell.
        empty: what to say where there are no rows.
    """
    if not rows:
        say(empty or f"{title}: none yet.")
        return
    shown = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    cells = [[_cell(row[name]) for name in shown] for row in rows]
    right = [all(_is_number(row[name]) or row[name] is None for row in rows) for name in shown]
    if title:
        console().print(f"\n[bold]{_escape(plain(title))}[/]", soft_wrap=True)
    for line in table_lines(console(), shown, cells, right):
        sys.stdout.write(line.rstrip() + "\n")


def say(text: str) -> None:
    """Write one line of result; a terminal gets it wrapped between words, a file as it is."""
    _write_wrapped(text, to_stderr=False)


def next_step(*arguments: str | Path, note: str = "") -> None:
    """Say which command comes next; it stays on one line, so that it can be copied."""
    command = " ".join(_quoted(str(argument)) for argument in ("churn", *arguments))
    console().print(f"Next: [bold]{_escape(plain(command))}[/]{_escape(note)}", soft_wrap=True)


def print_markdown(text: str, *, to_stderr: bool = False) -> None:
    """Write Markdown as a terminal shows it."""
    from rich.markdown import Markdown

    console(to_stderr=to_stderr).print(Markdown(text))


def complain(message: str, hint: str, *, as_json: bool) -> None:
    """Write a refusal: what is wrong and the way out."""
    if as_json:
        print_json({"error": message, "hint": hint})
        return
    _write_wrapped(message, to_stderr=True, label="error: ", style="bold red")
    _write_wrapped(hint, to_stderr=True, label="hint:  ", style="bold")


def plain(text: str) -> str:
    """Text from a file for a terminal: what would move the cursor or colour the screen becomes a blank."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def near(path: str | Path) -> str:
    """A path as one would type it here: relative where it lies below the current folder; a URL as it is."""
    if "://" in str(path):
        return str(path)
    given = Path(path)
    return str(given.relative_to(Path.cwd())) if given.is_relative_to(Path.cwd()) else str(given)


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class ConsoleProgress:
    """What is being done, on standard error: a line that moves on a terminal, a line a step in a file."""

    def __init__(self, out: Console, shown: RichProgress | None = None, task: TaskID | None = None) -> None:
        self._out = out
        self._shown = shown
        self._task = task
        self._last = ""
        self._since = 0.0

    def step(self, text: str) -> None:
        """Say what is being done now."""
        if self._shown is not None and self._task is not None:
            self._shown.update(self._task, description=plain(text), total=None, completed=0, unit="")
            self._since = self._shown.get_time()
        elif text != self._last:
            self.say(text)
        self._last = text

    def advance(self, done: int, total: int, unit: str) -> None:
        """Move the bar, and say how fast it is."""
        if self._shown is None or self._task is None:
            return
        seconds = self._shown.get_time() - self._since
        rate = f", {done / seconds:,.0f} a second" if seconds > 1 else ""
        of = f"{done:,}/{total:,}" if total else f"{done:,}"
        self._shown.update(self._task, completed=done, total=total or None, unit=f"{of} {unit}{rate}")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the line off the screen while a question stands there."""
        if self._shown is None:
            yield
            return
        self._shown.stop()
        try:
            yield
        finally:
            self._shown.start()

    def say(self, text: str) -> None:
        """Write a line above, that stays."""
        self._out.print(plain(text), markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[ConsoleProgress]:
    """Show progress on standard error while the block runs; on a terminal nothing of it stays."""
    out = console(to_stderr=True)
    if not out.is_interactive:
        yield ConsoleProgress(out)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as shown:
        yield ConsoleProgress(out, shown, shown.add_task("starting", total=None, unit=""))


def _write_wrapped(text: str, *, to_stderr: bool, label: str = "", style: str = "") -> None:
    out = console(to_stderr=to_stderr)
    text = plain(text)
    indent = " " * (len(label) or len(text) - len(text.lstrip()))
    if out.is_terminal:
        # a path is not broken: the terminal does that itself, and it can still be copied as one
        lines = textwrap.wrap(
            label + text,
            out.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = "\n".join(lines)[len(label) :]
    head = f"[{style}]{label.rstrip()}[/]{label[len(label.rstrip()) :]}" if label else ""
    out.print(f"{head}{_escape(text)}", soft_wrap=True)


def _quoted(argument: str) -> str:
    """Quoted for a shell where needed; FILE and <id> stand for something and stay."""
    return argument if argument.startswith("<") else shlex.quote(argument)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if _is_number(value) else plain(str(value))


def _finite(content: object) -> object:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
