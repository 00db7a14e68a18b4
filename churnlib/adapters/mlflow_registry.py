"""The model registry on MLflow: a version is a finished run, its model, and the release in its artifacts."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from churnlib.adapters import mlflow_connection, mlflow_fleet, mlflow_runs
from churnlib.errors import ChurnError, ReleaseCorrupt
from churnlib.ports import ModelVersion, Registration
from churnlib.variants import safe_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion as StoredVersion


class MlflowRegistry:
    """A `ModelRegistry` on a tracking URI: a database (SQLite, PostgreSQL) or an MLflow server."""

    def __init__(
        self, tracking_uri: str, artifact_root: str, cache: Path, *, s3_endpoint_url: str | None = None
    ) -> None:
        """Remember where things are; nothing is opened before the first call.

        Args:
            tracking_uri: as MLflow writes it; a user and password in it never show in an error.
            artifact_root: URI below which experiments made here keep their artifacts.
            cache: folder for fetched releases.
            s3_endpoint_url: of the S3 that has the artifacts, where it is not AWS's own.
        """
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._cache = cache
        self._s3_endpoint_url = s3_endpoint_url

    def register(self, registration: Registration) -> ModelVersion:
        """Log the run and the model, then make the version: a crash anywhere leaves no half version.

        A run that an earlier try finished is used again; one that it left unfinished becomes failed.
        """
        model = safe_name(registration.model, what="model")
        name = safe_name(registration.experiment, what="experiment")
        with self._reach() as client:
            stored = _registered(client, model, registration.key)
            if stored is None:
                experiment = mlflow_runs.open_experiment(client, name, self._artifact_root)
                logged = mlflow_runs.finished_run(client, experiment, registration)
                logged = logged or mlflow_runs.log_run(client, experiment, registration)
                stored = _publish(client, registration, logged)
            return _as_version(client, stored)

    def versions(self, model: str) -> list[ModelVersion]:
        """Newest first; empty for an unknown model."""
        with self._reach() as client:
            return [_as_version(client, stored) for stored in reversed(_stored(client, model))]

    def models(self) -> list[str]:
        """Names of all registered models, in order."""
        with self._reach() as client:
            return sorted(each.name for each in mlflow_fleet.registered(client))

    def version(self, model: str, version: int) -> ModelVersion | None:
        """None when there is none, or it was deleted."""
        with self._reach() as client:
            stored = _lookup(client, model, version)
            return None if stored is None else _as_version(client, stored)

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """None when the model or the alias is not there."""
        with self._reach() as client:
            stored = _aliased(client, model, alias)
            return None if stored is None else _as_version(client, stored)

    def all_with(self, alias: str) -> dict[str, int]:
        """Version by registered model, of all models that have the alias."""
        with self._reach() as client:
            found = mlflow_fleet.registered(client)
            return {each.name: int(each.aliases[alias]) for each in found if alias in each.aliases}

    def standing(self, alias: str) -> dict[str, ModelVersion]:
        """The version that has the alias, by model."""
        with self._reach() as client:
            return mlflow_fleet.standing(client, alias)

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Move the alias and read it back.

        Raises:
            ChurnError: there is no such version, or somebody else moved the alias at the same time.
        """
        safe_name(alias, what="alias")
        with self._reach() as client:
            _existing(client, model, version)
            mlflow_connection.unless_beaten(lambda: client.set_registered_model_alias(model, alias, str(version)))
            now = _aliased(client, model, alias)
        if now is None or int(now.version) != version:
            stands = "it is gone" if now is None else f"it stands at version {now.version}"
            raise ChurnError(
                f"The alias {alias!r} of {model} was set to version {version}, but {stands}.",
                hint="Somebody moved it at the same time: look at the model in MLflow, then try again.",
            )

    def delete_alias(self, model: str, alias: str) -> None:
        """Take the alias away; nothing happens where there is none."""
        safe_name(model, what="model")
        safe_name(alias, what="alias")
        with self._reach() as client:
            mlflow_connection.or_none(lambda: client.delete_registered_model_alias(model, alias))

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of the version; its others stay."""
        with self._reach() as client:
            _existing(client, model, version)
            for name, value in tags.items():
                client.set_model_version_tag(model, str(version), name, value)

    def fetch(self, model: str, version: int) -> Path:
        """A local folder with the release's files, unverified; downloaded once for each version and run.

        Raises:
            ChurnError: there is no such version.
            ReleaseCorrupt: its artifacts hold no release.
        """
        with self._reach() as client:
            stored = _existing(client, model, version)
            target = self._cache / model / f"{version}-{stored.run_id}"
            if not target.is_dir():
                source = client.get_model_version_download_uri(model, str(version))
                self._download(f"{source.rstrip('/')}/artifacts/{mlflow_runs.RELEASE}", target)
        return target

    def log_metrics(self, model: str, version: int, metrics: Mapping[str, float], *, step: int) -> None:
        """Write measurements to the version's run; a point that stands there already is not written twice."""
        with self._reach() as client:
            stored = _existing(client, model, version)
            mlflow_runs.log_new_points(client, str(stored.run_id), stored.model_id, metrics, step=step)

    def log_artifact(self, model: str, version: int, file: Path, folder: str) -> None:
        """Put the file into that folder of the run's artifacts, replacing one of its name."""
        with self._reach() as client:
            client.log_artifact(str(_existing(client, model, version).run_id), str(file), folder)

    @cached_property
    def _client(self) -> MlflowClient:
        return mlflow_connection.connect(self._uri, self._s3_endpoint_url)

    @contextlib.contextmanager
    def _reach(self) -> Iterator[MlflowClient]:
        client = self._client
        with mlflow_connection.translated(self._uri):
            yield client

    def _download(self, uri: str, target: Path) -> None:
        """Copy to a folder beside the target and rename, so that the target is complete or not there."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as temporary:
            try:
                downloaded = download_artifacts(uri, dst_path=temporary, tracking_uri=self._uri)
            except (OSError, MlflowException) as error:
                raise ReleaseCorrupt(
                    f"There is no release at {uri} ({error}).",
                    hint="Put MLflow's artifacts back, or move the champion alias to another version.",
                ) from error
            with contextlib.suppress(OSError):  # another process was quicker: its copy is as good
                Path(downloaded).rename(target)
        assert target.is_dir()


def _stored(client: MlflowClient, model: str) -> list[StoredVersion]:
    """Every version, oldest first."""
    safe_name(model, what="model")
    registered = mlflow_connection.or_none(lambda: client.get_registered_model(model))
    if registered is None:
        return []
    found: list[StoredVersion] = []
    token: str | None = ""
    while token is not None:
        page = client.search_model_versions(f"name = '{model}'", page_token=token or None)
        found += page
        token = page.token or None
    for stored in found:  # a search leaves them out
        stored.aliases = [at for at, number in registered.aliases.items() if int(number) == int(stored.version)]
    return sorted(found, key=lambda stored: int(stored.version))


def _registered(client: MlflowClient, model: str, key: str) -> StoredVersion | None:
    """The version with that key: the first, should two processes have registered it at once."""
    mine = (stored for stored in _stored(client, model) if stored.tags.get(mlflow_runs.KEY) == key)
    return next(mine, None)


def _publish(client: MlflowClient, registration: Registration, logged: LoggedModel) -> StoredVersion:
    """Make the version, tags and all in one step; where another process made it first, theirs counts."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):  # it is there already; anything else shows in the next call
        client.create_registered_model(registration.model)
    made = client.create_model_version(
        registration.model,
        source=logged.artifact_location,  # not models:/<id>, which MLflow would look up in its global URI
        run_id=logged.source_run_id,
        model_id=logged.model_id,
        tags={**registration.tags, mlflow_runs.KEY: registration.key},
        description=mlflow_runs.description(registration),
    )
    first = _registered(client, registration.model, registration.key) or made
    if first.version != made.version:
        client.delete_model_version(registration.model, made.version)
    return first


def _lookup(client: MlflowClient, model: str, version: int) -> StoredVersion | None:
    safe_name(model, what="model")
    return mlflow_connection.or_none(lambda: client.get_model_version(model, str(version)))


def _aliased(client: MlflowClient, model: str, alias: str) -> StoredVersion | None:
    safe_name(model, what="model")
    safe_name(alias, what="alias")
    return mlflow_connection.or_none(lambda: client.get_model_version_by_alias(model, alias))


def _existing(client: MlflowClient, model: str, version: int) -> StoredVersion:
    stored = _lookup(client, model, version)
    if stored is None:
        raise ChurnError(
            f"{model} has no version {version}.",
            hint=f"`churn models {model}` lists those that there are.",
        )
    return stored


def _as_version(client: MlflowClient, stored: StoredVersion) -> ModelVersion:
    """Read the run's numbers too; a run that is gone leaves them empty."""
    run = mlflow_connection.or_none(lambda: client.get_run(str(stored.run_id)))
    return mlflow_fleet.as_version(stored, stored.aliases, run)
