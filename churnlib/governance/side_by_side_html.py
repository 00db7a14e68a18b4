"""The pieces of the page about two versions: cells, tables, pictures, style."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from churnlib.governance.side_by_side_pictures import FAINT, INK, SECOND
from churnlib.modelling.intervals import Interval

MOST_SHOWN = 10
"""Rows of a long table that show at once; the others unfold."""

CSS = f"""
body {{ margin: 0; background: #f4f6f8; color: {INK}; }}
body {{ font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
main {{ max-width: 940px; margin: 0 auto; padding: 28px 16px 56px; }}
h1 {{ font-size: 24px; margin: 0; overflow-wrap: anywhere; }} h2 {{ font-size: 18px; margin: 34px 0 8px; }}
p {{ margin: 6px 0; }} .small {{ color: {FAINT}; font-size: 14px; }}
.verdict {{ font-size: 19px; line-height: 1.4; background: #fff; border-left: 5px solid {SECOND}; }}
.verdict {{ padding: 14px 18px; margin: 16px 0; border-radius: 0 8px 8px 0; }}
.panel {{ background: #fff; border: 1px solid #dfe5ea; border-radius: 8px; padding: 8px 14px; overflow-x: auto; }}
.panel img {{ display: block; width: 100%; max-width: 560px; margin: 0 auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
td, th {{ text-align: right; padding: 6px 0 6px 14px; border-bottom: 1px solid #edf0f3; vertical-align: top; }}
td:first-child, th:first-child {{ text-align: left; padding-left: 0; overflow-wrap: anywhere; min-width: 110px; }}
table.text td, table.text th {{ text-align: left; overflow-wrap: anywhere; }}
th {{ color: {FAINT}; font-weight: 500; }} td span {{ color: {FAINT}; font-size: 12px; }}
td span {{ display: block; }} tr.same td {{ color: {FAINT}; }}
details {{ margin-top: 10px; }} summary {{ cursor: pointer; color: {SECOND}; }}
"""


def table(
    head: Iterable[str], rows: Sequence[Sequence[str]], *, is_text: bool = False, dull: Sequence[bool] = ()
) -> str:
    """A table of cells that are HTML already; dull rows are grey."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = [
        f"<tr{' class=same' if dull and dull[place] else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for place, row in enumerate(rows)
    ]
    kind = ' class="text"' if is_text else ""
    return f'<div class="panel"><table{kind}><tr>{cells}</tr>{"".join(lines)}</table></div>'


def image(svg: str, description: str) -> str:
    """An SVG inside the page, as a picture: nothing in it can run."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<div class="panel"><img alt="{escape(description)}" src="data:image/svg+xml;base64,{data}"></div>'


def folded(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first rows show, and the others where one asks for them."""
    left = rows[MOST_SHOWN:]
    rest = f"<details><summary>{len(left):,} more</summary>{table(head, left)}</details>" if left else ""
    return table(head, rows[:MOST_SHOWN]) + rest


def number(value: float | None) -> str:
    """A metric; what is not there was not measured."""
    return "not measured" if value is None else f"{value:.3f}"


def share(value: float | None) -> str:
    """A share; a feature without one is not used."""
    return "not used" if value is None else f"{value:.1%}"


def money(value: float | None) -> str:
    """An amount without cents; an empty cell for none."""
    return "" if value is None else f"{value:,.0f}"


def span(interval: Interval | None, *, signed: bool = False) -> str:
    """An interval in small type, below its estimate."""
    if interval is None:
        return ""
    sign = "+" if signed else ""
    return f"<span>{interval.low:{sign}.3f} to {interval.high:{sign}.3f}</span>"
