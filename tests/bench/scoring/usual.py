"""The usual way: pandas, one-hot columns, a logged model of MLflow, `to_sql`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.scoring import data

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_ROWS = 100_000


def one_hot(table: pd.DataFrame) -> pd.DataFrame:
    """The model's columns: numbers as they are, a dummy for each level of each category."""
    import pandas as pd

    features = [*data.NUMBERS, *data.CATEGORIES]
    return pd.get_dummies(table[features], columns=list(data.CATEGORIES))


def usual(folder: Path, file: Path, out: Path, url: str | None) -> Callable[[], dict[str, float]]:
    """Score the file into a table of SQLite, or of the URL's database; seconds of the processor by stage."""
    import mlflow
    import pandas as pd
    from sqlalchemy import create_engine

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'usual.db'}")
    columns = (folder / "usual.columns").read_text().split()
    model = mlflow.pyfunc.load_model((folder / "usual.uri").read_text())

    def work() -> dict[str, float]:
        lap = Laps()
        is_csv = file.suffix == ".csv"
        table = pd.read_csv(file, parse_dates=["as_of"]) if is_csv else pd.read_parquet(file)
        lap("read")
        matrix = one_hot(table).reindex(columns=columns, fill_value=False)
        lap("one-hot")
        probability = model.predict(matrix).astype("float64")
        lap("predict")
        scored = ranked(table, probability)
        lap("rank")
        place = url.replace("postgresql", "postgresql+psycopg", 1) if url else f"sqlite:///{out / 'usual.db'}"
        engine = create_engine(place)
        scored.to_sql("predictions", engine, if_exists="append", index=False, chunksize=_CHUNK_ROWS)
        lap("to_sql")
        return lap.seconds

    return work


def ranked(table: pd.DataFrame, probability: np.ndarray) -> pd.DataFrame:
    """The same columns as the product's, without reasons."""
    import pandas as pd

    risk = pd.Series(probability)
    constants: dict[str, Any] = {"model": data.MODEL, "version": 1, "run_id": "usual", "batch_id": "5f" * 32}
    return pd.DataFrame(
        {
            "customer_id": table["customer"],
            "as_of": table["as_of"],
            "probability": probability,
            "margin": np.log(probability / (1 - probability)),
            "percentile": risk.rank(pct=True, method="max") * 100,
            "decile": ((risk.rank(method="first", ascending=False) - 1) * 10 // len(risk) + 1).astype("int8"),
            "value_at_risk": probability * table["n10"],
            **constants,
            "scored_at": datetime.now(UTC),
        }
    )


def contributions(folder: Path, file: Path, rows: int) -> Callable[[], dict[str, float]]:
    """XGBoost's reasons for the first rows of the file, on the same one-hot model."""
    import mlflow
    import pandas as pd
    import xgboost

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'usual.db'}")
    columns = (folder / "usual.columns").read_text().split()
    model = mlflow.pyfunc.load_model((folder / "usual.uri").read_text())
    table = one_hot(pd.read_parquet(file)).reindex(columns=columns, fill_value=False)
    matrix = xgboost.DMatrix(table.head(rows))
    booster = model.get_raw_model()

    def work() -> dict[str, float]:
        lap = Laps()
        booster.predict(matrix, pred_contribs=True)
        lap("pred_contribs")
        return lap.seconds

    return work


class Laps:
    """Processor seconds of this process between calls, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def __call__(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name] = now - self._since
        self._since = now
