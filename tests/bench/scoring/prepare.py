"""What the contestants find ready: files, releases, the ready matrix, and the usual way's own model.

python -m tests.bench.scoring.prepare FOLDER --rows 1000000 --suffixes parquet csv
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from churnlib.features.matrix import build_matrix
from churnlib.modelling.release import load_release, write_release
from churnlib.modelling.training import Trained
from churnlib.ports import CHAMPION
from churnlib.settings import Settings
from churnlib.spec import ID, LABEL
from churnlib.usecases.labelled import LabelledRows
from churnlib.usecases.services import Run
from churnlib.usecases.training import fit_and_register
from flows.wiring import services
from tests.bench.scoring import data
from tests.bench.scoring.usual import one_hot
from tests.loops import close, make_loop, write_spec

TRAINING_ROWS = 100_000


def releases(folder: Path) -> Path:
    """Train once through the product, into a home with a real registry; releases `all` and `none` by reasons."""
    home = folder / "home"
    wired = services(Settings(home=home))
    spec = data.spec(top_share=1.0)
    write_spec(home / "models", spec)
    labelled = data.customers(TRAINING_ROWS, seed=0)
    rows = LabelledRows(labelled, "synthetic", "0" * 64, {})
    trained, version = fit_and_register(wired, Run("bench", "bench"), spec, rows, key="bench", trigger="hand")
    assert trained.rounds == data.TREES, f"{trained.rounds} trees"
    wired.registry.set_alias(data.MODEL, CHAMPION, version.version)
    made = load_release(wired.registry.fetch(data.MODEL, version.version))
    for name, top_share in (("all", 1.0), ("none", 0.0)):
        given: Trained = replace(trained, spec=data.spec(top_share=top_share))
        write_release(folder / "releases" / name, given, lineage=made.lineage, parts=made.parts)
        close(make_loop(folder / "loops" / name, spec=given.spec, now=data.AS_OF_DATE))
    usual_model(folder, trained.split.fitted)
    return folder / "releases" / "none"


def ready_matrix(folder: Path, release_folder: Path, rows: int) -> None:
    """The matrix that the floor finds ready: float32, categories coded."""
    release = load_release(release_folder)
    release.booster.save_model(folder / "booster.ubj")
    accepted = pl.read_parquet(folder / f"{rows}.parquet").rename({"customer": ID})
    accepted = accepted.with_columns(pl.col(data.NUMBERS).cast(pl.Float64))
    np.save(folder / "matrix.npy", build_matrix(accepted, release.spec, release.state).values)


def usual_model(folder: Path, labelled: pl.DataFrame) -> None:
    """As many trees as deep on one-hot columns of the same rows, logged in MLflow with signature and pins."""
    import mlflow
    import xgboost
    from mlflow.models import infer_signature

    settings = data.spec(top_share=0.0).training
    table = one_hot(labelled.to_pandas())
    matrix = xgboost.QuantileDMatrix(table, labelled.get_column(LABEL).to_numpy())
    given = {"objective": "binary:logistic", "max_depth": data.DEPTH, "eta": settings.learning_rate}
    given |= {"subsample": settings.subsample, "colsample_bytree": settings.colsample_bytree}
    booster = xgboost.train(given | {"min_child_weight": settings.min_child_weight}, matrix, data.TREES)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'usual.db'}")
    experiment = mlflow.create_experiment("usual", artifact_location=(folder / "usual").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        info = mlflow.xgboost.log_model(
            booster,
            name="model",
            model_format="ubj",
            signature=infer_signature(table.head(100), booster.predict(matrix)[:100]),
            pip_requirements=["xgboost"],
        )
    (folder / "usual.uri").write_text(info.model_uri)
    (folder / "usual.columns").write_text("\n".join(table.columns))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--rows", type=int, nargs="+", required=True)
    parser.add_argument("--suffixes", nargs="+", required=True)
    given = parser.parse_args()
    for rows in given.rows:
        for suffix in given.suffixes:
            data.deliver(given.folder, rows, suffix)
    ready_matrix(given.folder, releases(given.folder), given.rows[0])


if __name__ == "__main__":
    main()
