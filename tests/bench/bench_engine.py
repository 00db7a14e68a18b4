"""The tree engine against XGBoost on the same model, rows and machine, as ratios within one run.

python tests/bench/bench_engine.py [--rows 200000] [--trees 300] [--depths 6] [--features 40] [--repeat 5]

Seconds are processor seconds of one thread, the best of so many runs, the engines in turn; XGBoost gets its
rows as a NumPy matrix, and making its DMatrix counts, as making bins does for ours.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import xgboost
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name  # type: ignore[import-untyped]

from churnlib.modelling.trees.bins import fill
from churnlib.modelling.trees.engine import TreeEngine
from churnlib.modelling.trees.lanes import aligned

ROOT = Path(__file__).resolve().parents[2]
TRAINING_ROWS = 100_000
EXPLAINED = 300  # rows that XGBoost explains; it takes milliseconds for each
AIM_DEPTH, AIM = 6, 120_000  # contributions of all features, rows a processor second

START = """
import time
import numpy, xgboost
booster = xgboost.Booster(model_file={path!r})
row = numpy.zeros((1, booster.num_features()), dtype=numpy.float32)
begin = time.process_time()
from churnlib.modelling.trees.engine import TreeEngine
imported = time.process_time()
engine = TreeEngine.from_booster(booster)
engine.margins(row)
scored = time.process_time()
engine.contributions(row)
print(imported - begin, scored - imported, time.process_time() - scored)
"""


def table(rows: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Continuous, skewed, counted and coded columns, a quarter of them with missing values; a fifth churns."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, features)).astype(np.float32)
    values[:, 1::4] = draw.exponential(50, values[:, 1::4].shape).round(2)
    values[:, 2::4] = draw.poisson(4, values[:, 2::4].shape)
    values[:, 3::4] = draw.integers(0, 20, values[:, 3::4].shape)
    weights = np.random.default_rng(0).normal(size=features) / np.sqrt(features)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    logit = 2 * standard @ weights + np.sin(2 * standard[:, 0]) * standard[:, 1] - 1.8
    values[:, ::4][draw.random(values[:, ::4].shape) < 0.1] = np.nan
    return values, (draw.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)


def best_in_turn(repeat: int, *works: Callable[[], object]) -> list[float]:
    """Least processor seconds of each; all are run once before."""
    for work in works:
        work()
    found = [float("inf")] * len(works)
    for _ in range(repeat):
        for number, work in enumerate(works):
            begin = time.process_time()
            work()
            found[number] = min(found[number], time.process_time() - begin)
    return found


def best_wall(repeat: int, work: Callable[[], object]) -> float:
    found = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def line(what: str, theirs: float, ours: float) -> None:
    say(f"| {what} | {theirs:,.0f} | {ours:,.0f} | {ours / theirs:,.1f}x |")


def compare(booster: xgboost.Booster, values: np.ndarray, repeat: int, depth: int) -> None:
    """Print a table of rows per processor second."""
    engine = TreeEngine.from_booster(booster).ready_to_explain()
    rows, explained = len(values), values[: max(EXPLAINED, len(values) // 8)]
    few = xgboost.DMatrix(values[:EXPLAINED], nthread=1)
    bins = aligned(engine._binning.columns * 512, np.uint8)

    def theirs() -> np.ndarray:
        return booster.predict(xgboost.DMatrix(values, nthread=1), output_margin=True)

    def binned() -> None:
        for first in range(0, rows - 511, 512):
            fill(values, first, 512, engine._binning.search, bins, 512)

    predicted, margins, only_bins = best_in_turn(repeat, theirs, lambda: engine.margins(values), binned)
    parts, top = best_in_turn(repeat, lambda: engine.contributions(explained), lambda: engine.top(explained, 3))
    slow = best_in_turn(1, lambda: booster.predict(few, pred_contribs=True))[0]
    say("| rows per cpu-s, one thread | XGBoost | trees | ratio |\n|---|---|---|---|")
    line("margins, bins included", rows / predicted, rows / margins)
    line("contributions of all features", EXPLAINED / slow, len(explained) / parts)
    line("top 3 contributions", EXPLAINED / slow, len(explained) / top)
    if depth == AIM_DEPTH:
        found = len(explained) / parts
        say(f"contributions: aim at least {AIM:,} rows/cpu-s, {'reached' if found >= AIM else 'NOT reached'}")
    told, scores = engine.contributions(values[:EXPLAINED]), engine.margins(values)
    apart = np.abs(told - booster.predict(few, pred_contribs=True)).max()
    off = np.abs(told.sum(axis=1) - scores[:EXPLAINED]).max()
    say(f"bins alone {rows / only_bins:,.0f} rows per cpu-s, {only_bins / margins:.0%} of margins")
    say(f"margins bit-equal: {np.array_equal(scores, theirs())}; contributions apart by at most {apart:.1e},")
    say(f"their sums and the margins by {off:.1e}")
    one, two = (best_wall(repeat, partial(engine.contributions, values, threads=n)) for n in (1, 2))
    say(f"contributions, wall: {rows / one:,.0f} rows/s with one thread, {rows / two:,.0f} with two")


def start_up(booster: xgboost.Booster) -> None:
    """Print what the first and a later process pay before their first row, in processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.ubj"
        booster.save_model(path)
        for which in ("first process (compiles)", "later process"):
            done = subprocess.run(
                [sys.executable, "-c", START.format(path=path)],
                env={**os.environ, "NUMBA_CACHE_DIR": f"{folder}/cache", "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
            )
            parts = [float(part) for part in done.stdout.split()]
            say(f"{which}: {sum(parts):.2f} cpu-s before the first row: imports {parts[0]:.2f},")
            say(f"  engine and margins {parts[1]:.2f}, contributions {parts[2]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--depths", type=int, nargs="+", default=[6])
    parser.add_argument("--features", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    vectors = [
        name for name, has in get_host_cpu_features().items() if has and name in ("avx2", "avx512f", "neon")
    ]
    machine = f"{platform.machine()} {get_host_cpu_name()} {' '.join(vectors)}, {os.cpu_count()} cpus"
    say(f"{machine}, load {os.getloadavg()[0]:.1f}, xgboost {xgboost.__version__}")
    train = xgboost.QuantileDMatrix(*table(TRAINING_ROWS, given.features, seed=0))
    values, _ = table(given.rows, given.features, seed=1)
    for depth in given.depths:
        settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1}
        booster = xgboost.train(settings, train, given.trees)
        booster.set_param({"nthread": 1})
        say(f"\n{given.trees} trees of depth {depth}, {given.features} features, {given.rows:,} rows")
        compare(booster, values, given.repeat, depth)
    start_up(booster)


if __name__ == "__main__":
    main()
