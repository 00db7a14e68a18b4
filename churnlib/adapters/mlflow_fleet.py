"""Versions of many models with what their runs say, in a few requests instead of some for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from churnlib.ports import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as StoredVersion
    from mlflow.entities.model_registry import RegisteredModel

T_co = TypeVar("T_co", covariant=True)

_PAGE = 1000
_RUNS_AT_ONCE = 500


class _Page(Protocol[T_co]):
    token: str | None

    def __iter__(self) -> Iterator[T_co]: ...


def registered(client: MlflowClient) -> Iterator[RegisteredModel]:
    """All registered models."""
    return _pages(lambda token: client.search_registered_models(page_token=token, max_results=_PAGE))


def standing(client: MlflowClient, alias: str) -> dict[str, ModelVersion]:
    """The version that has the alias, by model."""
    models = {each.name: each for each in registered(client) if alias in each.aliases}
    stored = [
        version
        for version in _pages(lambda token: client.search_model_versions(page_token=token, max_results=10 * _PAGE))
        if version.name in models and int(models[version.name].aliases[alias]) == int(version.version)
    ]
    runs = {run.info.run_id: run for run in _runs(client, [str(version.run_id) for version in stored])}
    return {
        version.name: as_version(version, _aliases(models[version.name], version), runs.get(str(version.run_id)))
        for version in sorted(stored, key=lambda each: each.name)
    }


def _runs(client: MlflowClient, ids: Sequence[str]) -> Iterator[Run]:
    experiments = [
        each.experiment_id
        for each in _pages(lambda token: client.search_experiments(page_token=token, max_results=10 * _PAGE))
    ]
    for start in range(0, len(ids), _RUNS_AT_ONCE):
        quoted = ", ".join(f"'{run_id}'" for run_id in ids[start : start + _RUNS_AT_ONCE])
        found = f"attributes.run_id IN ({quoted})"
        yield from client.search_runs(experiments, found, max_results=_RUNS_AT_ONCE)


def _aliases(model: RegisteredModel, stored: StoredVersion) -> list[str]:
    """A search of versions leaves them out."""
    return [name for name, at in model.aliases.items() if int(at) == int(stored.version)]


def _pages(ask: Callable[[str | None], _Page[T_co]]) -> Iterator[T_co]:
    token: str | None = ""
    while token is not None:
        page = ask(token or None)
        yield from page
        token = page.token or None


def as_version(stored: StoredVersion, aliases: Iterable[str], run: Run | None) -> ModelVersion:
    """The version as the ports know it; one whose run is gone has no numbers."""
    return ModelVersion(
        model=stored.name,
        version=int(stored.version),
        run_id=str(stored.run_id),
        created_at=datetime.fromtimestamp(stored.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(aliases)),
        tags=dict(stored.tags),
        metrics={} if run is None else dict(run.data.metrics),
        params={} if run is None else dict(run.data.params),
    )
