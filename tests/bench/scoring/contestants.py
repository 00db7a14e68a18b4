"""One contestant in a process of its own: what it costs to score a file, and what its process costs before.

python -m tests.bench.scoring.contestants NAME FOLDER FILE OUT [--rows N] [--url URL]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.bench.scoring import data
from tests.bench.scoring.usual import contributions, usual

if TYPE_CHECKING:
    from churnlib.modelling.release import Release
    from churnlib.usecases.services import Services

Work = Callable[[], dict[str, float]]


def floor(folder: Path, file: Path, out: Path) -> Work:
    """Read the file, predict with XGBoost on a matrix that is ready, write the same columns; nothing else."""
    import numpy as np
    import polars as pl
    import xgboost

    booster = xgboost.Booster(model_file=folder / "booster.ubj")
    matrix = np.load(folder / "matrix.npy")

    def work() -> dict[str, float]:
        rows = pl.read_parquet(file)
        margin = booster.inplace_predict(matrix, predict_type="margin")  # a DMatrix would cost 8 % more
        risk = pl.Series("margin", margin, dtype=pl.Float64)
        probability = 1 / (1 + (-risk).exp())
        place = risk.rank("ordinal", descending=True) - 1
        texts = [f"reason_{k}_{part}" for k in (1, 2, 3) for part in ("feature", "value")]
        numbers = [f"reason_{k}_log_odds" for k in (1, 2, 3)]
        constants = {"model": data.MODEL, "run_id": "floor", "batch_id": "5f" * 32}
        scored = rows.select(
            pl.col("customer").alias("customer_id"),
            "as_of",
            probability.alias("probability"),
            risk,
            percentile=risk.rank("max") / len(risk) * 100,
            decile=(place * 10 // len(risk) + 1).cast(pl.Int8),
            value_at_risk=probability * rows.get_column("n10"),
            **{name: pl.lit(None, pl.String) for name in texts},
            **{name: pl.lit(None, pl.Float64) for name in numbers},
            **{name: pl.lit(value) for name, value in constants.items()},
            version=pl.lit(1, pl.Int64),
            scored_at=pl.lit(0).cast(pl.Datetime("us", "UTC")),
        )
        scored.write_parquet(out / "floor.parquet", compression="snappy")  # as our table does
        return {}

    return work


def ours(
    folder: Path,
    file: Path,
    out: Path,
    url: str | None,
    *,
    reasons: str,
    through: Callable[[Services], Services] = lambda services: services,
) -> Work:
    """The product: from the inbox into the stores and the ledger, exactly once; `through` may watch its stores."""
    import shutil
    from dataclasses import replace

    import churnlib.usecases.scoring as scoring
    from tests.loops import make_loop, run

    shutil.copytree(folder / "loops" / reasons, out, dirs_exist_ok=True)
    waiting = out / "data" / "incoming" / data.MODEL / file.name
    waiting.parent.mkdir(parents=True)
    waiting.hardlink_to(file)
    loop = make_loop(out, spec=data.spec(top_share=1.0 if reasons == "all" else 0.0), now=data.AS_OF_DATE)
    version = loop.register(folder / "releases" / reasons)
    services = through(loop.services)
    if url is not None:
        from churnlib.adapters.postgres_table import PostgresTable

        services = replace(services, predictions=PostgresTable(url))
    get_ready(services.release(data.MODEL, version), explains=reasons == "all")

    def work() -> dict[str, float]:
        result = scoring.score_file(services, run(), model=data.MODEL, path=waiting)
        assert result.state == "scored", result
        assert result.engine == "trees", result.engine
        return {}

    return work


def get_ready(release: Release, *, explains: bool) -> None:
    """Load the tree engine's compiled code, as the other contestants have their models loaded."""
    import numpy as np

    from churnlib.features.matrix import Matrix
    from churnlib.modelling.engine import evaluator

    names = tuple(release.booster.feature_names or ())
    row = Matrix(np.zeros((1, len(names)), dtype=np.float32), names, {})
    engine = evaluator(release.booster, rows=1_000_000, explained=1_000_000 if explains else 0)
    engine.margins(row)
    if explains:
        engine.top(row, 3)


def peak() -> float:
    """Largest resident memory of this process in MiB; `ru_maxrss` would count its parent's as well."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def processor() -> float:
    """Processor seconds of this process and its children since it began, in user and system mode."""
    spent = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("floor", "none", "all", "usual", "contributions"))
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--url")
    given = parser.parse_args()
    places = (given.folder, given.file, given.out)
    makers: dict[str, Callable[[], Work]] = {
        "floor": partial(floor, *places),
        "none": partial(ours, *places, given.url, reasons="none"),
        "all": partial(ours, *places, given.url, reasons="all"),
        "usual": partial(usual, *places, given.url),
        "contributions": partial(contributions, given.folder, given.file, given.rows),
    }
    work = makers[given.name]()
    before, begun = processor(), time.perf_counter()
    start_up = time.time() - psutil.Process().create_time()
    stages = work()
    wall = time.perf_counter() - begun
    found = {"cpu": processor() - before, "wall": wall, "peak": peak()}
    found |= {"start_up_cpu": before, "start_up_wall": start_up}
    sys.stdout.write(json.dumps({"found": found, "stages": stages}) + "\n")


if __name__ == "__main__":
    main()
