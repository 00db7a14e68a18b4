"""A registered model, asked through MLflow in the process and over HTTP, answers as a batch is scored."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.errors import ReleaseCorrupt
from churnlib.intake.contract import check
from churnlib.intake.files import read_raw
from churnlib.modelling.release import Release, load_release, write_release
from churnlib.modelling.scoring import score
from churnlib.modelling.training import train
from churnlib.ports import CHAMPION, Registration
from churnlib.spec import ID, Spec
from tests import builders

AS_OF_SERVED = builders.FIRST_AS_OF + timedelta(weeks=10)

TYPES = {"number": "double", "category": "string", "boolean": "boolean", "date": "datetime"}


@dataclass(frozen=True)
class Served:
    """A champion in MLflow, and a delivered file to ask it about."""

    uri: str
    artifacts: Path
    release: Release
    spec: Spec
    file: Path

    def batch(self, file: Path) -> np.ndarray:
        """Probabilities of the file's rows, as the batch path has them."""
        today = AS_OF_SERVED
        raw = read_raw(file, self.spec.input)
        checked = check(raw, self.spec, source=file.name, delivered_on=today, today=today)
        assert checked.rows == checked.accepted.height
        return score(self.release, checked.accepted, reasons=False).frame.get_column("probability").to_numpy()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("serving")
    spec = builders.spec(
        features={
            **builders.FEATURES,
            "support_calls": {"type": "number", "required": False},
            "customer_days": {"type": "number", "sql": "as_of - signup_date"},
        }
    )
    labelled = builders.labelled(1200)
    write_release(folder / "made", train(labelled, spec, threads=1), lineage=builders.lineage(labelled), parts={})
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    registry = MlflowRegistry(uri, (folder / "artifacts").as_uri(), folder / "cache")
    registry.register(registration(spec, folder / "made"))
    registry.set_alias(spec.name, CHAMPION, 1)
    file = folder / "delivered.csv"
    delivered().write_csv(file)
    return Served(uri, folder / "artifacts", load_release(folder / "made"), spec, file)


def registration(spec: Spec, release: Path) -> Registration:
    assert spec.columns.as_of is not None
    return Registration(
        model=spec.name,
        experiment=spec.name,
        key="train:1",
        release=release,
        plots=None,
        inputs={
            spec.columns.as_of: ("datetime", False),
            **{name: (TYPES[feature.type], feature.required) for name, feature in spec.delivered.items()},
        },
        params={},
        metrics={},
        tags={},
        source="builders",
        source_digest="0" * 64,
        training_rows=1200,
    )


def delivered() -> pl.DataFrame:
    """Rows as a CSV has them: whole months, a blank text among the charges, a plan nobody has seen."""
    rows = builders.accepted(40, 7, as_of=AS_OF_SERVED).rename({ID: "customer"})
    first = pl.int_range(pl.len()) == 0
    return rows.with_columns(
        pl.col("tenure_months").cast(pl.Int64),
        pl.when(first)
        .then(pl.lit(" "))
        .otherwise(pl.col("monthly_charge").cast(pl.String))
        .alias("monthly_charge"),
        pl.when(first).then(pl.lit("gold")).otherwise("plan").alias("plan"),
    )


@pytest.fixture
def tracking(served: Served) -> Iterator[None]:
    """MLflow's global tracking URI, which `models:/…` is looked up in."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(served.uri)
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.usefixtures("tracking")
def test_a_loaded_champion_answers_as_the_batch_path_does(served: Served) -> None:
    frame = pd.read_csv(served.file)
    assert frame["tenure_months"].dtype == np.int64
    assert frame["monthly_charge"].dtype == object
    answered = load().predict(frame)
    assert list(answered.columns) == ["probability", "margin"]
    np.testing.assert_allclose(answered["probability"], served.batch(served.file), rtol=0, atol=1e-12)
    assert answered["probability"].nunique() > 10


@pytest.mark.usefixtures("tracking")
def test_an_optional_column_may_be_left_out(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "without.csv"
    pl.read_csv(served.file, infer_schema=False).drop("support_calls").write_csv(file)
    answered = load().predict(pd.read_csv(file))
    np.testing.assert_allclose(answered["probability"], served.batch(file), rtol=0, atol=1e-12)
    assert not np.allclose(answered["probability"], served.batch(served.file))


@pytest.mark.usefixtures("tracking")
def test_rows_of_different_kinds_in_one_column_are_read_as_text(served: Served) -> None:
    frame = pd.read_csv(served.file).astype({"tenure_months": object})
    frame.loc[::2, "tenure_months"] = frame.loc[::2, "tenure_months"].astype(str)
    answered = load().predict(frame)
    np.testing.assert_allclose(answered["probability"], served.batch(served.file), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("tracking")
def test_a_required_column_may_not_be_left_out() -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"missing inputs.*tenure_months"):
        load().predict(pd.DataFrame({"monthly_charge": [20.0]}))


@pytest.mark.usefixtures("tracking")
def test_a_value_of_another_type_is_refused_by_name(served: Served) -> None:
    from mlflow.exceptions import MlflowException

    frame = pd.read_csv(served.file).assign(tenure_months="long")
    with pytest.raises(MlflowException, match="tenure_months: 40 of 40 values are no number"):
        load().predict(frame)


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize("name", ["booster.ubj", "features.json", "calibration.json"])
def test_a_release_that_was_changed_in_the_artifacts_is_not_loaded(served: Served, name: str) -> None:
    [stored] = served.artifacts.rglob(f"release/{name}")
    kept = stored.read_bytes()
    stored.write_bytes(kept[:-3] + b"~" + kept[-2:])
    try:
        with pytest.raises(ReleaseCorrupt, match=name):
            load()
    finally:
        stored.write_bytes(kept)


def test_the_model_server_answers_json_as_the_batch_path_does(served: Served, tmp_path: Path) -> None:
    frame = pd.read_csv(served.file)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["models", "serve", "--model-uri", f"models:/{served.spec.name}@{CHAMPION}"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # the server starts uvicorn by its bare name
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command],
            env={
                **os.environ,
                "PATH": path,
                "MLFLOW_TRACKING_URI": served.uri,
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(server, port, tmp_path / "server.log")
        body = frame.astype(object).where(frame.notna(), None).to_dict("split", index=False)
        status, answer = post(port, {"dataframe_split": body})
        refused, reason = post(port, {"dataframe_records": [{"monthly_charge": 20}]})
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    assert status == 200, answer
    probabilities = [each["probability"] for each in answer["predictions"]]
    np.testing.assert_allclose(probabilities, served.batch(served.file), rtol=0, atol=1e-12)
    assert refused == 400
    assert "tenure_months" in json.dumps(reason)


def load() -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(f"models:/telly@{CHAMPION}")


def wait_until_up(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text())


def post(port: int, body: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
