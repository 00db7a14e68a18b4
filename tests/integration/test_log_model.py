"""`churn log-model` over real parts: files as they were delivered, the real ledger, the real MLflow."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import typer
import xgboost
from typer.testing import CliRunner

from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.errors import ChurnError, FileRefused
from churnlib.settings import Settings
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import Run, Services
from flows.log_model_command import log_model
from flows.wiring import fetcher, services

app = typer.Typer()
app.command("log-model")(log_model)

Churn = Callable[..., dict[str, Any]]
"""Runs `churn log-model … --json` and gives its object."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One installation for all of them, each with a model of its own: MLflow needs seconds to make its tables."""
    folder = tmp_path_factory.mktemp("delivered") / "home"
    with pytest.MonkeyPatch.context() as patched:
        for name in ("PREFECT_API_URL", "CHURN_PREFECT_API_URL"):
            patched.delenv(name, raising=False)
        patched.setenv("CHURN_HOME", str(folder))
        patched.setenv("CHURN_USER", "ada")
        yield folder


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def churn(home: Path) -> Churn:
    def call(*arguments: str | Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(run(*arguments, "--json"))
        return content

    return call


@pytest.fixture(scope="module")
def wired(home: Path) -> Services:
    return services(Settings())


@dataclass(frozen=True)
class Given:
    """A delivery whose sample has whole numbers only."""

    model: Path
    sample: Path
    rows: pl.DataFrame


@pytest.fixture
def given(tmp_path: Path) -> Given:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"deposit": rng.integers(0, 99, 400), "visits": rng.integers(0, 9, 400)})
    label = (rows["deposit"].to_numpy() < 40).astype(int)
    data = xgboost.DMatrix(rows.to_numpy().astype(np.float32), label, feature_names=rows.columns)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 8)
    model.save_model(tmp_path / "model.ubj")
    rows.head(12).write_ndjson(tmp_path / "sample.json")
    return Given(tmp_path / "model.ubj", tmp_path / "sample.json", rows)


def score(wired: Services, name: str, frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """`churn score` of a file of these rows, in their order."""
    frame.write_csv(path)
    batch = score_file(wired, Run("run", "ada"), model=name, path=path).batch
    assert (batch.accepted, batch.quarantined) == (frame.height, 0)
    rows = wired.predictions.scan_batch(name, batch.batch_id)
    assert rows is not None
    ids = frame.select("customer_id")
    return ids.join(rows.collect(), on="customer_id", how="left", maintain_order="left")


def with_ids(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"))


def test_fractions_are_scored_and_served_though_the_sample_had_none(
    churn: Churn, wired: Services, given: Given, tmp_path: Path
) -> None:
    import mlflow

    said = churn("shop", "--model", given.model, "--sample", given.sample)
    assert (said["version"], said["alias"], said["metrics"]) == (1, "champion", None)
    fractional = with_ids(given.rows.with_columns(pl.all() + 0.25))
    scored = score(wired, "shop", fractional, tmp_path / "batch.csv")
    model = xgboost.Booster(model_file=given.model)
    values = fractional.select("deposit", "visits").to_numpy().astype(np.float32)
    expected = model.predict(xgboost.DMatrix(values, feature_names=["deposit", "visits"]))
    assert scored["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(Settings().tracking_uri)
    served = mlflow.pyfunc.load_model("models:/shop@champion")
    mlflow.set_tracking_uri(before)
    for frame in (pd.DataFrame(values, columns=["deposit", "visits"]), given.rows.to_pandas()):
        answer = served.predict(frame.head(30))
        numbers = xgboost.DMatrix(frame.head(30).to_numpy().astype(np.float32), feature_names=list(frame))
        assert answer["probability"].to_numpy() == pytest.approx(model.predict(numbers), abs=1e-6)


def test_mlflow_knows_what_is_known_and_nothing_else(churn: Churn, wired: Services, given: Given) -> None:
    churn("known", "--model", given.model, "--sample", given.sample, "--geography", "US", "--company", "ClientA")
    version = wired.registry.version("known-us-clienta", 1)
    assert version is not None
    assert version.metrics == {}
    assert version.params["split"] == "not measured: no labels were delivered"
    assert version.params["delivered.objective"] == "binary:logistic"
    expected = {
        "geography": "US",
        "company_id": "ClientA",
        "training_date": "unknown",
        "churn.trigger": "delivered",
    }
    assert expected.items() <= version.tags.items()
    assert isinstance(wired.registry, MlflowRegistry)
    from mlflow import MlflowClient

    stored = MlflowClient(Settings().tracking_uri).get_model_version("known-us-clienta", "1")
    assert str(stored.description).startswith("Trained elsewhere, delivered as ")
    experiment = MlflowClient(Settings().tracking_uri).get_experiment_by_name("known-geography-us-company-clienta")
    assert experiment is not None


def test_people_read_what_was_checked_and_what_comes_next(home: Path, given: Given) -> None:
    said = run("people", "--model", given.model, "--sample", given.sample)
    for text in (
        "Registered people v1.",
        "8 trees (gbtree), binary:logistic",
        "2, named by the model",
        "2 numbers",
        "12 rows of sample.json, no customer id",
        "not measured: no labels were delivered",
        "bit for bit as XGBoost",
        "batches need a column 'customer_id'",
        "v1 is champion.",
        "Next: churn score people <FILE>",
    ):
        assert text in said
    again = run("people", "--model", given.model, "--sample", given.sample)
    assert "This delivery was registered before, as people v1." in again


def test_a_refusal_says_why_and_leaves_nothing(home: Path, given: Given, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(FileRefused, match=r"model\.json is a Python pickle"):
        run("refused", "--model", path, "--sample", given.sample)
    assert not (home / "models" / "refused.toml").exists()


def test_an_address_in_s3_goes_through_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def answer(address: str, folder: Path, *, endpoint_url: str | None = None) -> Path:
        asked.append((address, endpoint_url))
        raise ChurnError("There is no such object.", hint="Check it.")

    monkeypatch.setattr("churnlib.adapters.s3_fetch.fetch", answer)
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", "http://127.0.0.1:5000")
    with pytest.raises(ChurnError, match="no such object"):
        fetcher(Settings())("s3://bucket/model.ubj", tmp_path)
    assert asked == [("s3://bucket/model.ubj", "http://127.0.0.1:5000")]


# as they were really delivered


@pytest.mark.real_data
@pytest.mark.parametrize("file", ["xgb_churn_model_1.bin", "xgb_churn_model_1.json"])
def test_takehome_reproduces_its_published_scores_from_both_files(
    churn: Churn, wired: Services, real_data: Path, tmp_path: Path, file: str
) -> None:
    folder = real_data / "pretrained_takehome"
    sample = folder / "X_test_sample_1.json"
    name = file.replace(".", "_")
    said = churn(name, "--model", folder / file, "--features", folder / "feature_names_1.json", "--sample", sample)
    published = pl.read_csv(folder / "expected_scores.csv")["prediction"].to_numpy()
    assert said["probabilities"] == pytest.approx(published, abs=5e-7)
    assert any("scale_pos_weight = 0.03315" in note for note in said["notes"])
    scored = score(wired, name, with_ids(pl.read_ndjson(sample)), tmp_path / "batch.csv")
    assert scored["probability"].to_numpy() == pytest.approx(published, abs=5e-7)
    proven = churn(
        f"{name}_proven", "--model", folder / file, "--sample", sample, "--scores", folder / "expected_scores.csv"
    )
    assert proven["checks"]["published scores"] == "all 10 are reproduced"


@pytest.mark.real_data
def test_churnradar_reproduces_its_auc(churn: Churn, wired: Services, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "pretrained_churnradar"
    sample = folder / "sample_features.csv"
    files = ("--model", folder / "xgb_churn_model.json", "--features", folder / "feature_schema.json")
    said = churn("radar", *files, "--sample", sample, "--labels", sample)
    assert said["metrics"]["auc"] == pytest.approx(0.891, abs=5e-4)
    low, high = said["auc_interval"]
    assert 0.84 < low < 0.891 < high < 0.94
    assert (said["metrics"]["rows"], said["metrics"]["positives"]) == (200, 69)
    assert said["trees"] == "all"
    assert any("XGBClassifier uses 265 (--trees best)" in note for note in said["notes"])
    assert said["engine"] == "trees"
    scored = score(wired, "radar", pl.read_csv(sample, infer_schema=False).drop("churned"), tmp_path / "b.csv")
    assert scored.height == 200
    best = churn("best", *files, "--sample", sample, "--label", "churned", "--trees", "best")
    assert best["metrics"]["auc"] == pytest.approx(0.8904, abs=5e-5)


@pytest.mark.real_data
def test_telco_scores_its_1409_rows(churn: Churn, wired: Services, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "pretrained_telco"
    said = churn("telco", "--model", folder / "xgb_churn_model.json", "--sample", folder / "X_test.csv")
    assert (said["rows"], said["metrics"], said["engine"]) == (1409, None, "xgboost (it is of the kind dart)")
    rows = pl.read_csv(folder / "X_test.csv")
    model = xgboost.Booster(model_file=folder / "xgb_churn_model.json")
    numbers = rows.cast(pl.Float32).to_numpy()
    expected = model.predict(xgboost.DMatrix(numbers, feature_names=rows.columns))
    scored = score(wired, "telco", with_ids(rows), tmp_path / "batch.csv")
    assert scored["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert scored["reason_1_feature"].null_count() == 0
