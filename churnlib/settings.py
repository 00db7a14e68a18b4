"""Settings: the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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
        mlflow_tracking_uri: default SQLite below `home`.
        prefect_api_url: where events go; empty means that they wait in the outbox.
        user: recorded as "who" where a command decides something.
    """

    model_config = SettingsConfigDict(env_prefix="CHURN_", extra="ignore", frozen=True, populate_by_name=True)

    home: Path = Field(default_factory=_default_home)
    ledger_url: SecretStr | None = None
    predictions_url: SecretStr | None = None
    mlflow_tracking_uri: str | None = None
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
        return self.mlflow_tracking_uri or f"sqlite:///{self.data / 'mlflow' / 'mlflow.db'}"

    @property
    def artifact_root(self) -> str:
        """URI under which MLflow keeps artifacts of experiments that this installation creates."""
        return (self.data / "mlflow" / "artifacts").as_uri()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this one's, with the given variables on top."""
    return {**os.environ, **extra}
