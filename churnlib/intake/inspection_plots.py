"""Pictures of a file's columns, as SVG text."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from churnlib.errors import ChurnError
from churnlib.intake.inspection_bars import Bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

STAYED, CHURNED, RATE, INK, FAINT = "#c4d3e0", "#dd6b4d", "#7d2a17", "#2b3440", "#8b97a3"

_STYLE: dict[RcKeyType, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "churn",
    # a dollar sign in a category is no formula
    "text.parse_math": False,
}
_LONGEST = 22
_WIDE = 8
_RATED_ROWS = 10


def column_svg(bars: Bars, churn_share: float) -> str:
    """Rows by value, the churned ones in another colour, and the churn rate of each bar.

    Binned numbers stand upright with the rate as a line over them (right axis; bars of ten customers or
    fewer have none); everything else lies, with the rate written at the end of each bar.
    """
    with _style():
        figure = _figure(3.9, 0.9 + 0.48 * min(max(len(bars.labels), 2), 3))
        axes = figure.add_subplot()
        if bars.is_binned:
            _draw_upright(axes, bars, churn_share)
        else:
            _draw_lying(axes, bars)
        return _svg(figure)


def ranking_svg(aucs: dict[str, float], limit: float) -> str:
    """Columns by what each alone says about churn (AUC from 0.5 to 1), with the limit of a likely leak."""
    with _style():
        figure = _figure(7.6, 0.5 + 0.2 * len(aucs))
        axes = figure.add_subplot()
        names, values = [_short(name) for name in aucs], list(aucs.values())
        colours = [CHURNED if value > limit else STAYED for value in values]
        axes.barh(range(len(names)), [value - 0.5 for value in values], left=0.5, color=colours, height=0.72)
        for position, value in enumerate(values):
            axes.text(value + 0.004, position, f"{value:.3f}", va="center", fontsize=7, color=INK)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlim=(0.5, 1.03), ylim=(len(names) - 0.5, -0.5))
        axes.axvline(limit, color=RATE, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return _svg(figure)


def _style() -> AbstractContextManager[None]:
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ChurnError(
            "The page of pictures needs matplotlib, which is not installed.",
            hint="Install it with `pip install 'churnlib[reports]'`.",
        ) from error
    return rc_context(_STYLE)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_upright(axes: Axes, bars: Bars, churn_share: float) -> None:
    positions = [place + (0.5 if label == "missing" else 0) for place, label in enumerate(bars.labels)]
    stayed = [rows - churned for rows, churned in zip(bars.rows, bars.churned, strict=True)]
    axes.bar(positions, bars.churned, color=CHURNED, width=0.86)
    axes.bar(positions, stayed, bottom=bars.churned, color=STAYED, width=0.86)
    step = max(1, len(bars.labels) // (5 if len(bars.labels[0]) < _WIDE else 3))
    named = [
        place for place, label in enumerate(bars.labels) if label == "missing" or (place % step == 0 and label)
    ]
    if bars.labels[-1] == "missing" and len(named) > 1 and named[-1] - named[-2] < step:
        del named[-2]
    axes.set_xticks([positions[place] for place in named], [bars.labels[place] for place in named])
    axes.yaxis.set_major_formatter(lambda rows, _: f"{rows:,.0f}")
    rate = axes.twinx()
    least = min(_RATED_ROWS, sum(bars.rows) / 50)
    shares = [
        (churned / rows if rows > least else None) for rows, churned in zip(bars.rows, bars.churned, strict=True)
    ]
    points = [(at, share) for at, share in zip(positions, shares, strict=True) if share is not None]
    line = [point for point in points if point[0] == int(point[0])]
    rate.plot(*zip(*line, strict=True), color=RATE, linewidth=1.2)
    rate.plot(*zip(*points, strict=True), color=RATE, linestyle="none", marker="o", markersize=2.6)
    rate.axhline(churn_share, color=RATE, linewidth=0.7, linestyle=(0, (2, 3)), alpha=0.7)
    rate.set_ylim(0, max([churn_share, *(share for _, share in points)]) * 1.15)
    rate.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    rate.tick_params(axis="y", colors=RATE, length=0)
    axes.tick_params(axis="y", length=0)
    rate.spines["right"].set_visible(False)


def _draw_lying(axes: Axes, bars: Bars) -> None:
    places = range(len(bars.labels))
    stayed = [rows - churned for rows, churned in zip(bars.rows, bars.churned, strict=True)]
    axes.barh(places, bars.churned, color=CHURNED, height=0.74)
    axes.barh(places, stayed, left=bars.churned, color=STAYED, height=0.74)
    widest = max(bars.rows)
    for place, rows, churned in zip(places, bars.rows, bars.churned, strict=True):
        if rows:
            axes.text(rows + widest * 0.015, place, f"{churned / rows:.0%}", va="center", color=RATE)
    axes.set_yticks(places, [_short(label) for label in bars.labels])
    axes.set(xlim=(0, widest * 1.13), ylim=(max(len(bars.labels), 2) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(lambda rows, _: f"{rows:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _svg(figure: Figure) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return drawn.getvalue()


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
