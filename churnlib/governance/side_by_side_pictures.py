"""Pictures of two versions beside each other, as SVG text."""

from __future__ import annotations

import importlib.util
import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from churnlib.errors import ChurnError
from churnlib.governance.side_by_side import Curve, Importance, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

FIRST, SECOND, INK, FAINT = "#9aa9b8", "#1769aa", "#2b3440", "#66727f"

MOST_FEATURES = 15

_STYLE: dict[RcKeyType, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "churn",
    # a dollar sign in a feature's name is no formula
    "text.parse_math": False,
}
_LONGEST = 26


def is_there() -> bool:
    """Whether pictures can be drawn: matplotlib is an optional part."""
    return importlib.util.find_spec("matplotlib") is not None


def calibration_svg(measured: Measured, first: str, second: str) -> str:
    """Promised and real churn rate by tenths of the customers, of both versions, with the line of no error."""
    with _style():
        figure = _figure(4.6, 4.2)
        axes = figure.add_subplot()
        curves = ((measured.first_curve, FIRST, first), (measured.second_curve, SECOND, second))
        edge = min(1.0, 1.06 * max(max(*each.promised, *each.came) for each, _, _ in curves))
        axes.plot(
            [0, edge], [0, edge], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)), label="exactly as promised"
        )
        for each, colour, name in curves:
            _draw_curve(axes, each, colour, name)
        axes.set(
            xlim=(0, edge), ylim=(0, edge), xlabel="promised: mean probability", ylabel="came: share who churned"
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.legend(frameon=False, loc="upper left")
        return _svg(figure)


def importance_svg(features: tuple[Importance, ...], first: str, second: str) -> str:
    """Gain shares of the features that matter most to either version, two bars each."""
    shown = features[:MOST_FEATURES]
    with _style():
        figure = _figure(5.4, 0.9 + 0.36 * max(len(shown), 2))
        axes = figure.add_subplot()
        widest = max([each.first or 0.0 for each in shown] + [each.second or 0.0 for each in shown], default=1.0)
        for shift, colour, name in ((-0.19, FIRST, first), (0.19, SECOND, second)):
            values = [each.first if name == first else each.second for each in shown]
            places = [place + shift for place in range(len(shown))]
            axes.barh(places, [value or 0.0 for value in values], color=colour, height=0.36, label=name)
            for place, value in zip(places, values, strict=True):
                text = "not used" if value is None else f"{value:.1%}"
                axes.text((value or 0.0) + 0.012 * widest, place, text, va="center", fontsize=7.5, color=INK)
        axes.set_yticks(range(len(shown)), [_short(each.label) for each in shown])
        axes.set(xlim=(0, 1.18 * widest or 1.0), ylim=(max(len(shown), 2) - 0.4, -0.6))
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure)


def _draw_curve(axes: Axes, curve: Curve, colour: str, name: str) -> None:
    axes.plot(curve.promised, curve.came, color=colour, linewidth=1.6, marker="o", markersize=4.5, label=name)


def _style() -> AbstractContextManager[None]:
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ChurnError(
            "The page that compares two versions needs matplotlib, which is not installed.",
            hint="Install it with `pip install 'churnlib[reports]'`; without --html the tables are there.",
        ) from error
    return rc_context(_STYLE)


def check_there() -> None:
    """Refuse early, before anything is measured.

    Raises:
        ChurnError: matplotlib is not installed.
    """
    _style()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return drawn.getvalue()


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
