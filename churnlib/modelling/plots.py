"""Pictures of a model's one measurement: ranking, calibration, importance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from churnlib.modelling.metrics import average_precision, reliability
from churnlib.modelling.training import Trained
from churnlib.spec import LABEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, LINE, GREY, FILL = "#1f2933", "#1769aa", "#9aa5b1", "#a9cce8"

TOP_FEATURES = 20


def write_plots(folder: Path, trained: Trained) -> list[Path]:
    """Write `roc_pr.png`, `calibration.png` and `importance.png` about the test rows; returns their paths."""
    churned = trained.test_scores.get_column(LABEL).to_numpy()
    probability = trained.test_scores.get_column("probability").to_numpy()
    figures = {
        "roc_pr.png": _ranking(trained, churned, probability),
        "calibration.png": _calibration(trained, churned, probability),
        "importance.png": _importance(trained),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=130, facecolor="white")
    return [folder / name for name in figures]


def _ranking(trained: Trained, churned: np.ndarray, probability: np.ndarray) -> Figure:
    figure = _figure(10.5, 5.0, _title(trained, "ranking"))
    roc, pr = figure.subplots(1, 2)
    order = np.argsort(-probability, kind="stable")
    last_of_tie = np.append(np.diff(probability[order]) != 0, True)
    hits, taken = np.cumsum(churned[order])[last_of_tie], np.flatnonzero(last_of_tie) + 1
    positives, negatives = churned.sum(), (~churned).sum()
    low, high = trained.test_auc_interval
    roc.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    false_alarms = np.append(0, (taken - hits) / negatives)
    roc.plot(false_alarms, np.append(0, hits / positives), color=LINE, linewidth=2, label="model")
    _dress(
        roc,
        f"ROC: AUC {trained.test.auc:.3f} ({low:.3f} to {high:.3f})",
        "share of stayers flagged",
        "share of churners flagged",
    )
    base = positives / len(churned)
    pr.axhline(base, color=GREY, linestyle="--", linewidth=1, label=f"chance ({base:.1%})")
    pr.step(hits / positives, hits / taken, where="post", color=LINE, linewidth=2, label="model")
    area = average_precision(churned, probability)
    _dress(
        pr,
        f"Precision and recall: average precision {area:.3f}",
        "share of churners flagged (recall)",
        "share of flagged who churn (precision)",
    )
    for axes in (roc, pr):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(frameon=False, loc="lower right" if axes is roc else "upper right")
    return figure


def _calibration(trained: Trained, churned: np.ndarray, probability: np.ndarray) -> Figure:
    figure = _figure(6.5, 6.5, _title(trained, "calibration"))
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    mean_p, rate, rows = reliability(churned, probability)
    low, high = _wilson(rate, rows)
    edge = min(1.0, np.ceil(max(float(high.max()), float(probability.max())) * 10) / 10)
    curve.plot([0, edge], [0, edge], color=GREY, linestyle="--", linewidth=1, label="perfect")
    curve.errorbar(
        mean_p,
        rate,
        yerr=(rate - low, high - rate),
        color=LINE,
        marker="o",
        markersize=5,
        linewidth=1.5,
        elinewidth=1,
        capsize=2.5,
        label="tenths of the customers, 95 % interval",
    )
    found = f"calibration error {trained.test.calibration_error:.3f}"
    if trained.test.calibration_slope is not None:
        found += f", slope {trained.test.calibration_slope:.2f}"
    _dress(curve, f"{found}; correction: {trained.calibration.method}", "", "share who churned")
    curve.set(xlim=(0, edge), ylim=(0, edge))
    curve.legend(frameon=False, loc="upper left")
    counts.hist(probability, bins=np.linspace(0, edge, 41), color=FILL, edgecolor="white", linewidth=0.5)
    _dress(counts, "", "predicted probability of churn", "customers")
    return figure


def _importance(trained: Trained) -> Figure:
    gains = {
        name: float(np.mean(gain))
        for name, gain in trained.booster.get_score(importance_type="total_gain").items()
    }
    top = sorted(gains.items(), key=lambda item: (-item[1], item[0]))[:TOP_FEATURES]
    total = sum(gains.values()) or 1.0
    names, shares = [_short(name) for name, _ in top], [gain / total for _, gain in top]
    learned_from = trained.split.fitted.height
    figure = _figure(
        8.0,
        1.4 + 0.3 * max(len(top), 3),
        f"{_short(trained.spec.name)}: importance, learned from {learned_from:,} rows",
    )
    axes = figure.subplots()
    bars = axes.barh(range(len(top)), shares, color=LINE, height=0.72)
    axes.bar_label(bars, labels=[f"{share:.1%}" for share in shares], padding=4, color=INK, fontsize=9)
    axes.set_yticks(range(len(top)), names)
    axes.set_ylim(max(len(top), 1) - 0.4, -0.6)
    every = len(trained.spec.model_features)
    _dress(axes, f"Share of the trees' total gain; first {len(top)} of {len(gains)} used, {every} given", "", "")
    axes.set_xlim(0, 1.12 * max(shares, default=1.0))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    return figure


def _wilson(rate: np.ndarray, rows: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share (1927): it stays within 0 and 1 and is honest at both ends."""
    centre = (rate + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(rate * (1 - rate) / rows + z**2 / (4 * rows**2))
    return np.minimum(centre - half, rate), np.maximum(centre + half, rate)


def _title(trained: Trained, what: str) -> str:
    how = "later rows" if trained.split.kind == "time" else "held-out customers"
    return (
        f"{_short(trained.spec.name)}: {what} on {trained.test.rows:,} {how}, {trained.test.positives:,} churned"
    )


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not `pyplot`: that keeps global state and asks for a display.
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    return figure


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#cbd2d9")


def _short(name: str, most: int = 34) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
