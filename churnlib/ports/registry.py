"""Versions, aliases and the runs they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

CHAMPION, CHALLENGER, FORMER_CHAMPION = "champion", "challenger", "former-champion"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version.

    Attributes:
        metrics: of its MLflow run; test metrics are named as in `Metrics`.
        tags: of the version.
    """

    model: str
    version: int
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registration:
    """Everything a registry needs to make a version of a release.

    Attributes:
        key: registering the same key again returns the version that is there.
        release: folder with the complete release.
        plots: folder with pictures and reports for people; may be empty.
        inputs: delivered columns by name: `double`, `string`, `boolean` or `datetime`, and whether
            the column has to be there.
        source: where the training rows came from, for MLflow's dataset record; of a delivered model its file.
        training_rows: None where nobody here knows: the model was delivered.
    """

    model: str
    experiment: str
    key: str
    release: Path
    plots: Path | None
    inputs: Mapping[str, tuple[str, bool]]
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    source: str
    source_digest: str
    training_rows: int | None


class ModelRegistry(Protocol):
    """Versions, aliases and the runs they came from.

    Every method raises ServiceUnavailable when the registry cannot be reached.
    """

    def register(self, registration: Registration) -> ModelVersion: ...
    def versions(self, model: str) -> list[ModelVersion]:
        """Newest first; empty for an unknown model."""
        ...

    def models(self) -> list[str]: ...
    def version(self, model: str, version: int) -> ModelVersion | None:
        """None when there is none, or it was deleted."""
        ...

    def by_alias(self, model: str, alias: str) -> ModelVersion | None: ...
    def all_with(self, alias: str) -> dict[str, int]:
        """Version by registered model, of all models that have the alias: a few requests for thousands."""
        ...

    def standing(self, alias: str) -> dict[str, ModelVersion]:
        """The version that has the alias, by model, with what its run says: a few requests for thousands."""
        ...

    def set_alias(self, model: str, alias: str, version: int) -> None: ...
    def delete_alias(self, model: str, alias: str) -> None: ...
    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None: ...
    def fetch(self, model: str, version: int) -> Path:
        """A local folder with the release's files, unverified; kept between calls."""
        ...

    def log_metrics(self, model: str, version: int, metrics: Mapping[str, float], *, step: int) -> None:
        """Write measurements to the version's run, one point a step."""
        ...

    def log_artifact(self, model: str, version: int, file: Path, folder: str) -> None: ...
