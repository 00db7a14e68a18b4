"""Whatever is in a table, it fits and nothing of it is lost."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flows.tables import UNBROKEN, table_lines, widths

TEXT = st.text("abc xyz-", max_size=60)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of texts."""
    names = draw(st.lists(st.text("abc ", min_size=1, max_size=15), min_size=1, max_size=9))
    rows = st.lists(TEXT, min_size=len(names), max_size=len(names))
    return names, draw(st.lists(rows, min_size=1, max_size=4))


@given(tables(), st.integers(1, 200))
def test_widths_add_up_and_keep_short_cells_whole(table: tuple[list[str], list[list[str]]], most: int) -> None:
    names, rows = table
    columns = [[name, *cells] for name, *cells in zip(names, *rows, strict=True)]
    found = widths(columns, most)
    if found is None:
        return
    assert sum(found) <= most
    for width, (_, *cells) in zip(found, columns, strict=True):
        longest = max(map(len, cells))
        assert width >= longest or longest > UNBROKEN


@given(tables(), st.integers(20, 160))
def test_every_letter_of_every_cell_is_shown(table: tuple[list[str], list[list[str]]], width: int) -> None:
    names, rows = table
    out = Console(file=io.StringIO(), width=width)
    lines = table_lines(out, names, rows, [False] * len(names))
    is_table = any("─" in line for line in lines)
    assert not is_table or all(len(line) <= width for line in lines)
    letters = sorted("".join("".join(row) for row in rows).replace(" ", ""))
    heading = "".join(names) if is_table else "".join(names) * len(rows)
    shown = sorted("".join(lines).replace(" ", "").replace("─", ""))
    for letter in set(letters):
        assert shown.count(letter) >= letters.count(letter)
        assert shown.count(letter) <= letters.count(letter) + heading.count(letter)
