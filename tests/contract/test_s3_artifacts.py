"""A version's artifacts on S3: put there and fetched again by the registry, and nothing in them is a pickle."""

from __future__ import annotations

import io
import json
import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost
from typer.testing import CliRunner

from churnlib.errors import ServiceUnavailable
from churnlib.modelling.release import load_release
from churnlib.records import KnownVariant
from churnlib.settings import Settings
from churnlib.spec import AS_OF, ID
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.services import Run, Services
from flows.cli import app
from flows.wiring import services
from tests.builders import labelled

SPEC = """
[columns]
id = "customer_id"
label = "churned"
positive = "true"
[features.tenure_months]
type = "number"
[features.plan]
type = "category"
[training]
max_rounds = 20
max_depth = 3
learning_rate = 0.3
"""

_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pt", ".npy", ".npz")


@pytest.fixture
def store(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import os

    for name in [name for name in os.environ if name.startswith("CHURN_") or name == "PREFECT_API_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "to be absent again afterwards")
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "shop.toml").write_text(SPEC)
    url: str = aws.new_bucket()
    given = {"HOME": str(tmp_path), "STORE_URL": url, "S3_ENDPOINT_URL": aws.endpoint, "USER": "ada"}
    for name, value in given.items():
        monkeypatch.setenv(f"CHURN_{name}", value)
    return url


def is_pickle(name: str, content: bytes) -> bool:
    """Whether a pickle machine would take it: by name, as a zip with one inside, or op by op to its end."""
    if name.lower().endswith(_PICKLES):
        return True
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(is_pickle(each, archive.read(each)) for each in archive.namelist())
    if content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05":
        return True
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in what is no pickle
            return sum(1 for _ in pickletools.genops(content)) > 1
    except (ValueError, IndexError, OverflowError):
        return False


def stored(aws: Any, url: str) -> dict[str, bytes]:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    client = aws.client("s3")
    return {key: client.get_object(Bucket=bucket, Key=f"{prefix}/{key}")["Body"].read() for key in aws.keys(url)}


def train(wired: Services, folder: Path) -> int:
    rows = labelled(700).drop(AS_OF).select(ID, "tenure_months", "plan", "churned")
    rows.write_csv(folder / "rows.csv")
    return train_from_file(wired, Run("run-1", "ada"), model="shop", path=folder / "rows.csv").version.version


def test_the_scan_knows_a_pickle() -> None:
    import pickle

    for protocol in range(6):
        assert is_pickle("model", pickle.dumps({"a": np.arange(3)}, protocol=protocol))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.bin", pickle.dumps([1, 2]))
    assert is_pickle("model.zip", packed.getvalue())
    assert is_pickle("model.pkl", b"")
    assert not is_pickle("model.json", b'{"a": 1}')


def test_a_release_goes_to_s3_and_comes_back(aws: Any, store: str, tmp_path: Path) -> None:
    wired = services(Settings())
    version = train(wired, tmp_path)
    release = wired.registry.fetch("shop", version)
    sent = {
        path.relative_to(release).as_posix(): path.read_bytes() for path in release.rglob("*") if path.is_file()
    }
    objects = stored(aws, f"{store}/mlflow/shop")
    there = {key.partition("/artifacts/release/")[2]: content for key, content in objects.items()}
    assert sent.items() <= there.items()
    assert {"booster.ubj", "probe.parquet"} < sent.keys()
    assert not (tmp_path / "data" / "mlflow" / "artifacts").exists()
    elsewhere = services(Settings(home=tmp_path / "elsewhere", mlflow_tracking_uri=Settings().tracking_uri))
    again = load_release(elsewhere.registry.fetch("shop", version))  # verified by its probe
    assert again.booster.save_raw("ubj") == wired.release("shop", version).booster.save_raw("ubj")


def test_nothing_in_the_artifacts_is_a_pickle(aws: Any, store: str, tmp_path: Path) -> None:
    train(services(Settings()), tmp_path)
    objects = stored(aws, f"{store}/mlflow")
    assert any(key.endswith("MLmodel") for key in objects)
    assert {key for key, content in objects.items() if is_pickle(key, content)} == set()


def test_where_s3_is_down_that_is_said(
    aws: Any, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = services(Settings())
    version = train(wired, tmp_path)
    elsewhere = services(Settings(home=tmp_path / "elsewhere", mlflow_tracking_uri=Settings().tracking_uri))
    aws.stop()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # MLflow's client would try five times
    with pytest.raises(ServiceUnavailable, match="artifacts of MLflow on S3"):
        elsewhere.registry.fetch("shop", version)
    with pytest.raises(ServiceUnavailable, match="artifacts of MLflow on S3"):
        wired.registry.log_artifact("shop", version, tmp_path / "rows.csv", "reports")


def delivered(aws: Any, folder: Path) -> str:
    """Prefix of a bucket with a model in a folder of the slice US, and beside it a sample."""
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"deposit": rng.integers(0, 99, 400), "visits": rng.integers(0, 9, 400)})
    label = (rows["deposit"].to_numpy() < 40).astype(int)
    data = xgboost.DMatrix(rows.to_numpy().astype(np.float32), label, feature_names=rows.columns)
    xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 8).save_model(folder / "model.ubj")
    rows.head(12).write_ndjson(folder / "sample.json")
    bucket = str(aws.new_bucket().split("/")[2])
    for name in ("model.ubj", "sample.json"):
        aws.client("s3").upload_file(str(folder / name), bucket, f"geography-us/{name}")
    return f"s3://{bucket}/geography-us"


def test_a_model_comes_from_the_folder_of_its_slice(aws: Any, store: str, tmp_path: Path) -> None:
    del store
    place = delivered(aws, tmp_path)
    command = [
        "log-model",
        "deposits",
        "--json",
        "--model",
        f"{place}/model.ubj",
        "--sample",
        f"{place}/sample.json",
    ]
    first = CliRunner().invoke(app, command, catch_exceptions=False)
    assert json.loads(first.stdout)["model"] == "deposits"
    assert "add --geography US" in str(json.loads(first.stdout)["notes"])
    wired = services(Settings())
    us = KnownVariant(
        model="deposits-us", family="deposits", dimensions={"geography": "US"}, first_as_of=labelled(1)[AS_OF][0]
    )
    with wired.ledger.begin() as tx:
        tx.save_variants([us])
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    said = json.loads(result.stdout)
    assert (said["model"], said["version"], said["alias"]) == ("deposits-us", 1, "champion")
    assert "--geography" not in str(said["notes"])
    unknown = ["s3://x/geography-jp/m.ubj" if "model.ubj" in part else part for part in command]
    refused = CliRunner().invoke(app, unknown)
    assert "deposits knows no slice with that folder" in str(refused.exception)
    version = wired.registry.version("deposits-us", 1)
    assert version is not None
    assert version.tags["geography"] == "US"
    lineage = wired.release("deposits-us", 1).lineage
    assert lineage.handover is not None
    assert lineage.handover.files["model"].source == f"{place}/model.ubj"
    assert wired.release("deposits-us", 1).booster.num_boosted_rounds() == 8
