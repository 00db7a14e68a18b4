"""Settings: the only place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds `churnlib/`, `flows/` and `prefect.yaml`."""


def _default_home() -> Path:
    """The checkout; where the library was installed without one, the current folder."""
    return ROOT if (ROOT / "prefect.yaml").is_file() else Path.cwd()


class Settings(BaseSettings):
    """Every setting, from `CHURN_*` variables; the defaults are the embedded stack.

    Attributes:
        home: where `data/` and `models/` live, so that two installations never meet.
        ledger_url: SQLAlchemy URL of the ledger; default SQLite below `home`.
        predictions_url: URL of the PostgreSQL database for predictions; default Parquet files below `home`.
        database_secret: name or ARN of an AWS Secrets Manager secret `{"username": …, "password": …}` for database
            URLs that name no user.
        store_url: `s3://bucket/prefix` for the inbox and all rows; default folders below `home`. Where it cannot
            be reached, work goes on in those folders.
        s3_endpoint_url: of an S3 that is not AWS's own, SQS and Secrets Manager included.
        queue_url: SQS queue that S3 tells about new objects; without one the bucket is listed.
        settle_seconds: a file whose size or time changed within so many seconds is still being written.
        wait_for_marker: a delivery is complete only once `<name>.done` (a folder: `_SUCCESS` in it) is there.
        workers: models of a family that are checked or trained at a time.
        mlflow_tracking_uri: default SQLite below `home`; `postgresql://` is spoken by psycopg, as everywhere here.
        artifacts: URI or folder below which MLflow keeps what belongs to a version; default `mlflow` below the
            store, or a folder below `home`. Experiments that are there keep theirs where they were made.
        artifact_endpoint_url: of the S3 that has those artifacts, where it is another one than the store's.
        prefect_api_url: where events go; empty means that they wait in the outbox.
        user: recorded as "who" where a command decides something.
    """

    # a variable without a value is none: that is how compose files and templates leave one out
    model_config = SettingsConfigDict(
        env_prefix="CHURN_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path = Field(default_factory=_default_home)
    ledger_url: SecretStr | None = None
    predictions_url: SecretStr | None = None
    database_secret: str | None = None
    store_url: str | None = None
    s3_endpoint_url: str | None = None
    queue_url: str | None = None
    settle_seconds: Annotated[float, Field(ge=0, le=600)] = 2.0
    wait_for_marker: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    mlflow_tracking_uri: str | None = None
    artifacts: str | None = Field(default=None, validation_alias=AliasChoices("CHURN_ARTIFACT_ROOT"))
    artifact_endpoint_url: str | None = Field(
        default=None, validation_alias=AliasChoices("CHURN_ARTIFACT_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
    )
    prefect_api_url: str | None = Field(
        default=None, validation_alias=AliasChoices("CHURN_PREFECT_API_URL", "PREFECT_API_URL")
    )
    user: str | None = None

    @property
    def data(self) -> Path:
        """What the installation writes."""
        return self.home.resolve() / "data"

    @property
    def specs(self) -> Path:
        """The specs, one `<name>.toml` a model."""
        return self.home.resolve() / "models"

    @property
    def ledger(self) -> str:
        """SQLAlchemy URL of the ledger."""
        if self.ledger_url is not None:
            return self.ledger_url.get_secret_value()
        return f"sqlite:///{self.data / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow tracking URI."""
        given = self.mlflow_tracking_uri or f"sqlite:///{self.data / 'mlflow' / 'mlflow.db'}"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", given)

    @property
    def artifact_root(self) -> str:
        """URI under which MLflow keeps artifacts of experiments that this installation creates."""
        if self.artifacts is not None:
            return (
                self.artifacts
                if re.match(r"[a-z][a-z0-9+.-]+:/", self.artifacts)
                else self._folder(self.artifacts).as_uri()
            )
        if self.store_url is not None:
            return f"{self.store_url.rstrip('/')}/mlflow"
        return self._folder("data/mlflow/artifacts").as_uri()

    @property
    def artifact_endpoint(self) -> str | None:
        """Endpoint for MLflow's own S3 client; None for AWS's."""
        return self.artifact_endpoint_url or self.s3_endpoint_url

    @property
    def mlflow_environment(self) -> dict[str, str]:
        """What a child process that is MLflow has to be told."""
        return {"MLFLOW_S3_ENDPOINT_URL": self.artifact_endpoint} if self.artifact_endpoint else {}

    def _folder(self, path: str) -> Path:
        """Absolute; what is relative lies below `home`."""
        return (self.home.resolve() / Path(path).expanduser()).absolute()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this one's, with the given variables on top."""
    return {**os.environ, **extra}
