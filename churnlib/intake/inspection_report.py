"""One page of pictures of a file, for people: self-contained HTML."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from churnlib.intake.inspection import Inspection
from churnlib.intake.inspection_bars import bars_of
from churnlib.intake.inspection_checks import LEAK_AUC, ColumnWarning
from churnlib.intake.inspection_columns import Column
from churnlib.intake.inspection_plots import CHURNED, FAINT, INK, RATE, STAYED, column_svg, ranking_svg
from churnlib.intake.wording import share_text

_MOST_PICTURES = 150
_MOST_RANKED = 20

_CSS = f"""
body {{ margin: 0; background: #f4f6f8; color: {INK}; }}
body {{ font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
main {{ max-width: 1320px; margin: 0 auto; padding: 32px 24px 64px; }}
h1 {{ font-size: 26px; margin: 0; overflow-wrap: anywhere; }} h2 {{ font-size: 18px; margin: 36px 0 12px; }}
p {{ margin: 4px 0; color: #56616d; }} code {{ font-size: 92%; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 0; }}
.tile, .card, .panel {{ background: #fff; border: 1px solid #dfe5ea; border-radius: 8px; }}
.tile {{ padding: 12px 20px; min-width: 110px; }} .tile b {{ display: block; font-size: 24px; line-height: 1.2; }}
.tile span {{ color: #56616d; font-size: 13px; }}
.panel {{ padding: 12px 16px; overflow-x: auto; }} .panel img {{ max-width: 900px; width: 100%; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
td, th {{ text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid #edf0f3; vertical-align: top; }}
th {{ color: {FAINT}; font-weight: 500; }} td:first-child {{ overflow-wrap: anywhere; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(370px, 1fr)); gap: 16px; }}
.card {{ padding: 14px 16px 10px; }} .card.out {{ background: #fbfbfc; border-style: dashed; }}
.card h3 {{ margin: 0; font-size: 15px; overflow-wrap: anywhere; }}
.card p {{ font-size: 13px; margin: 2px 0 6px; }}
.card img {{ width: 100%; display: block; }} .card .said {{ color: {RATE}; }}
.tag {{ font-size: 12px; font-weight: 500; border-radius: 9px; padding: 1px 8px; }}
.tag {{ background: #eef1f4; margin-left: 6px; }}
.key i {{ display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 14px; }}
"""


def write_report(inspection: Inspection, destination: Path) -> Path:
    """Write the page: an overview, the warnings, and a picture for each column.

    Args:
        inspection: what was found in a file.
        destination: the HTML file; its folder is made if needed. All pictures are inside it, and text
            from the data is escaped.

    Raises:
        ChurnError: matplotlib is not installed.
    """
    draft = inspection.draft
    title = escape(f"{draft.source}: who churns?")
    body = "\n".join([_head(inspection), _warnings(inspection.warnings), _ranking(inspection), _cards(inspection)])
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_CSS}</style></head>\n<body><main>\n<h1>{title}</h1>\n{body}\n</main></body></html>\n"
    )
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text(page, encoding="utf-8")
    return destination


def _head(inspection: Inspection) -> str:
    draft = inspection.draft
    tiles = {
        "rows": f"{draft.rows:,}",
        "columns": f"{len(draft.columns):,}",
        "features": f"{inspection.features:,}",
        "churned": share_text(draft.churn_share),
        "warnings": f"{len(inspection.warnings):,}",
    }
    said = f"Churned means <code>{escape(draft.label_column)}</code> = <code>{escape(draft.positive)}</code>; "
    when = (
        f"the date is <code>{escape(draft.as_of_column)}</code>." if draft.as_of_column else "rows have no date."
    )
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in tiles.items())
    said += f"the customer is <code>{escape(draft.id_column)}</code>, {when}"
    return f'<p>{said}</p><div class="tiles">{shown}</div>'


def _warnings(warnings: tuple[ColumnWarning, ...]) -> str:
    if not warnings:
        return "<h2>Warnings</h2><p>None.</p>"
    rows = "".join(
        f"<tr><td>{escape(warning.column) or 'the file'}</td><td>{warning.kind.replace('_', ' ')}</td>"
        f"<td>{escape(warning.message)}</td><td>{'left out' if warning.leaves_out else ''}</td></tr>"
        for warning in warnings
    )
    head = "<tr><th>column</th><th>kind</th><th>what was seen</th><th></th></tr>"
    return f'<h2>Warnings</h2><div class="panel"><table>{head}{rows}</table></div>'


def _ranking(inspection: Inspection) -> str:
    ranked = dict(sorted(inspection.auc.items(), key=lambda item: -item[1])[:_MOST_RANKED])
    if not ranked:
        return ""
    picture = _image(ranking_svg(ranked, LEAK_AUC), "columns by their lone AUC")
    said = f"AUC of each column alone: 0.5 says nothing, above {LEAK_AUC} (dashed) it probably knows the answer."
    return f'<h2>What tells most by itself</h2><p>{said}</p><div class="panel">{picture}</div>'


def _cards(inspection: Inspection) -> str:
    columns = inspection.draft.columns
    drawn = [_card(column, inspection) for column in columns[:_MOST_PICTURES]]
    more = len(columns) - len(drawn)
    note = f"<p>{more:,} more columns are not drawn.</p>" if more else ""
    key = (
        f'<p class="key">Rows by value:<i style="background:{STAYED}"></i>stayed'
        f'<i style="background:{CHURNED}"></i>churned<i style="background:{RATE}"></i>churn rate: the line and '
        f"the right axis, or the percentage at each bar; dotted: the whole file.</p>"
    )
    return f'<h2>Columns</h2>{key}<div class="cards">{"".join(drawn)}</div>{note}'


def _card(column: Column, inspection: Inspection) -> str:
    is_out = column.name in inspection.draft.left_out
    auc = inspection.auc.get(column.name)
    facts = [
        f"{column.distinct:,} different values",
        f"{share_text(column.missing / column.rows)} missing" if column.missing else "never missing",
        *([f"lone AUC {auc:.3f}"] if auc is not None else []),
    ]
    tags = [column.kind or "nested", *(["left out"] if is_out else [])]
    said = [warning.message for warning in inspection.warnings if warning.column == column.name]
    picture = ""
    if column.kind and column.distinct:
        bars = bars_of(column, inspection.churned)
        picture = _image(column_svg(bars, inspection.draft.churn_share), f"rows and churn rate by {column.name}")
    return (
        f'<section class="card{" out" if is_out else ""}"><h3>{escape(column.name)}'
        f"{''.join(f'<span class=tag>{tag}</span>' for tag in tags)}</h3><p>{' · '.join(facts)}</p>"
        f"{''.join(f'<p class=said>{escape(text)}</p>' for text in said)}{picture}</section>\n"
    )


def _image(svg: str, description: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(description)}" src="data:image/svg+xml;base64,{data}">'
