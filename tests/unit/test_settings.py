"""Settings come from `CHURN_*`, have embedded defaults, and do not show what is secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from churnlib.settings import Settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHURN_") or name == "PREFECT_API_URL"]:
        monkeypatch.delenv(name)


def test_the_default_is_one_folder_and_no_service(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.ledger == f"sqlite:///{tmp_path}/data/ledger.db"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/data/mlflow/mlflow.db"
    unset = ("store_url", "s3_endpoint_url", "queue_url", "database_secret", "predictions_url", "prefect_api_url")
    assert {getattr(settings, name) for name in unset} == {None}


def test_every_setting_has_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "home": str(tmp_path),
        "store_url": "s3://churn/prod",
        "s3_endpoint_url": "http://minio:9000",
        "queue_url": "https://sqs/arrivals",
        "database_secret": "churn/database",
        "settle_seconds": "7.5",
        "wait_for_marker": "true",
        "prefect_api_url": "http://prefect/api",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"CHURN_{name.upper()}", value)
    settings = Settings()
    assert settings.model_dump(include={*given}, mode="json") == {
        **given,
        "settle_seconds": 7.5,
        "wait_for_marker": True,
    }


def test_a_variable_without_a_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE_URL", "LEDGER_URL", "PREDICTIONS_URL", "SETTLE_SECONDS", "PREFECT_API_URL"):
        monkeypatch.setenv(f"CHURN_{name}", "")
    settings = Settings()
    assert (settings.store_url, settings.predictions_url, settings.settle_seconds) == (None, None, 2.0)
    assert settings.prefect_api_url is None
    assert settings.ledger.startswith("sqlite:///")


@pytest.mark.parametrize("value", ["-1", "601", "soon"])
def test_a_settling_time_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CHURN_SETTLE_SECONDS", value)
    with pytest.raises(ValidationError, match="settle_seconds"):
        Settings()


def test_artifacts_are_below_home_unless_something_else_is_said(tmp_path: Path) -> None:
    home = tmp_path.as_uri()
    stored = Settings(home=tmp_path, store_url="s3://churn/prod/", s3_endpoint_url="http://minio:9000")
    assert Settings(home=tmp_path).artifact_root == f"{home}/data/mlflow/artifacts"
    assert Settings(home=tmp_path, artifacts="kept").artifact_root == f"{home}/kept"
    assert Settings(home=tmp_path, artifacts="/mnt/kept here").artifact_root == "file:///mnt/kept%20here"
    assert stored.artifact_root == "s3://churn/prod/mlflow"
    assert stored.model_copy(update={"artifacts": "mlflow-artifacts:/"}).artifact_root == "mlflow-artifacts:/"


def test_mlflow_is_told_of_the_store_unless_its_artifacts_have_one_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL", raising=False)
    assert Settings().mlflow_environment == {}
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", "http://minio:9000")
    assert Settings().mlflow_environment == {"MLFLOW_S3_ENDPOINT_URL": "http://minio:9000"}
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://other:9000")
    assert Settings().mlflow_environment == {"MLFLOW_S3_ENDPOINT_URL": "http://other:9000"}


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_mlflow_speaks_to_postgresql_by_the_driver_that_is_installed(scheme: str) -> None:
    settings = Settings(mlflow_tracking_uri=f"{scheme}://churn@db/mlflow")
    assert settings.tracking_uri == "postgresql+psycopg://churn@db/mlflow"


def test_what_a_url_says_about_a_user_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_LEDGER_URL", "postgresql://churn:sesame-7Hq@db/ledger")
    monkeypatch.setenv("CHURN_PREDICTIONS_URL", "postgresql://churn:sesame-7Hq@db/predictions")
    settings = Settings()
    assert settings.ledger == "postgresql://churn:sesame-7Hq@db/ledger"
    assert "7Hq" not in repr(settings) + str(settings) + settings.model_dump_json()
