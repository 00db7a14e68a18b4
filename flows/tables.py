"""Tables that fit their terminal: no number, date or word of a heading is broken, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
UNBROKEN = 10
"""Cells of at most so many characters are never broken: numbers and dates stay whole."""

_PREFERRED = 20
"""Nor are cells of at most so many, as long as there is space: names and times stay whole."""


def table_lines(out: Console, names: Sequence[str], cells: list[list[str]], right: list[bool]) -> list[str]:
    """Lay out a table; where its columns do not fit side by side, its rows a line a value.

    Args:
        out: says how wide a line may be.
        names: headings.
        cells: rows of texts, one a heading.
        right: columns that stand to the right.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    columns = [[name, *(row[place] for row in cells)] for place, name in enumerate(names)]
    fitting = widths(columns, out.width - _GAP * (len(names) - 1))
    if fitting is None:
        return _blocks(names, cells)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name, is_right, width in zip(names, right, fitting, strict=True):
        table.add_column(name, justify="right" if is_right else "left", overflow="fold", width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    with out.capture() as captured:
        out.print(table)
    return captured.get().splitlines()


def widths(columns: Sequence[Sequence[str]], most: int) -> list[int] | None:
    """Widths that add up to at most so much; None where numbers, dates or words of a heading would break.

    Rich shrinks the widest column first, whatever is in it, and then cuts off what is still too wide.
    """
    from rich.cells import cell_len

    found = [max(map(cell_len, cells)) for cells in columns]
    for longest in (_PREFERRED, UNBROKEN):
        least = [_least_width(name, cells, longest) for name, *cells in columns]
        if sum(least) <= most:
            break
    else:
        return None
    while sum(found) > most:
        widest = max((place for place in range(len(found)) if found[place] > least[place]), key=found.__getitem__)
        found[widest] -= 1
    return found


def _least_width(name: str, cells: Sequence[str], longest: int) -> int:
    from rich.cells import cell_len

    return max(min(longest, max(map(cell_len, cells))), *map(cell_len, name.split()), 1)


def _blocks(names: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Rows one below the other, a line a value: for a terminal that is too narrow for the columns."""
    widest = max(map(len, names))
    rows = [[f"{name:{widest}}  {cell}" for name, cell in zip(names, row, strict=True) if cell] for row in cells]
    return [line for row in rows for line in (*row, "")][:-1]
