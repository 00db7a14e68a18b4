"""Stand-ins for what lies outside; `tests/contract` holds them to what the real ones do."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.events import Event
from churnlib.ports import ModelVersion, Registration
from churnlib.variants import safe_name

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class _Stored:
    version: ModelVersion
    release: Path
    experiment: str = ""
    points: dict[str, dict[int, float]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)


class FakeRegistry:
    """A `ModelRegistry` in memory, with the releases in a folder.

    Attributes:
        is_down: True lets every method raise ServiceUnavailable.
    """

    def __init__(self, folder: Path) -> None:
        self.is_down = False
        self._folder = folder
        self._models: dict[str, dict[int, _Stored]] = {}
        self._made: dict[str, int] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self._lock = threading.RLock()

    def register(self, registration: Registration) -> ModelVersion:
        """Copy the release; the same key returns the version that is there."""
        model = safe_name(registration.model, what="model")
        safe_name(registration.experiment, what="experiment")
        with self._up():
            for stored in self._models.get(model, {}).values():
                if stored.version.tags["churn.key"] == registration.key:
                    return self._with_aliases(stored)
            number = self._made[model] = self._made.get(model, 0) + 1
            run_id = f"{model}-run-{number}"
            release = shutil.copytree(registration.release, self._folder / model / f"{number}-{run_id}")
            version = ModelVersion(
                model,
                number,
                run_id,
                EPOCH + timedelta(minutes=number),
                tags={**registration.tags, "churn.key": registration.key},
                params={name: str(value) for name, value in registration.params.items()},
            )
            points = {name: {0: float(value)} for name, value in registration.metrics.items()}
            stored = self._models.setdefault(model, {})[number] = _Stored(
                version, release, registration.experiment, points
            )
            return self._with_aliases(stored)

    def versions(self, model: str) -> list[ModelVersion]:
        """Newest first."""
        safe_name(model, what="model")
        with self._up():
            stored = self._models.get(model, {})
            return [self._with_aliases(stored[number]) for number in sorted(stored, reverse=True)]

    def models(self) -> list[str]:
        """Names in order."""
        with self._up():
            return sorted(self._models)

    def version(self, model: str, version: int) -> ModelVersion | None:
        """None when it is not there."""
        safe_name(model, what="model")
        with self._up():
            stored = self._models.get(model, {}).get(version)
            return None if stored is None else self._with_aliases(stored)

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """None when the model or the alias is not there."""
        safe_name(alias, what="alias")
        with self._up():
            version = self._aliases.get((safe_name(model, what="model"), alias))
            return None if version is None else self.version(model, version)

    def all_with(self, alias: str) -> dict[str, int]:
        """Version by model that has the alias."""
        with self._up():
            return {model: version for (model, name), version in self._aliases.items() if name == alias}

    def standing(self, alias: str) -> dict[str, ModelVersion]:
        """The version that has the alias, by model."""
        with self._up():
            found = {model: self.version(model, version) for model, version in self.all_with(alias).items()}
            return {model: version for model, version in sorted(found.items()) if version is not None}

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Move the alias."""
        safe_name(alias, what="alias")
        with self._up():
            self._existing(model, version)
            self._aliases[model, alias] = version

    def delete_alias(self, model: str, alias: str) -> None:
        """Take the alias away, if it is there."""
        safe_name(alias, what="alias")
        with self._up():
            self._aliases.pop((safe_name(model, what="model"), alias), None)

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags; others stay."""
        with self._up():
            stored = self._existing(model, version)
            stored.version = replace(stored.version, tags={**stored.version.tags, **tags})

    def fetch(self, model: str, version: int) -> Path:
        """The folder of the release's copy."""
        with self._up():
            return self._existing(model, version).release

    def log_metrics(self, model: str, version: int, metrics: Mapping[str, float], *, step: int) -> None:
        """Keep the newest value of every step."""
        with self._up():
            points = self._existing(model, version).points
            for name, value in metrics.items():
                points.setdefault(name, {})[step] = float(value)

    def log_artifact(self, model: str, version: int, file: Path, folder: str) -> None:
        """Remember `<folder>/<name>`."""
        with self._up():
            self._existing(model, version).artifacts.append(f"{folder}/{file.name}")

    def delete_version(self, model: str, version: int) -> None:
        """What somebody can do in MLflow's pages: the version goes, and its aliases with it."""
        with self._up():
            del self._models[model][version]
            self._aliases = {
                key: number for key, number in self._aliases.items() if (key[0], number) != (model, version)
            }

    def points(self, model: str, version: int, metric: str) -> dict[int, float]:
        """Values of a metric by step."""
        return dict(self._existing(model, version).points.get(metric, {}))

    def experiment(self, model: str, version: int) -> str:
        """Where the version's run is."""
        return self._existing(model, version).experiment

    def artifacts(self, model: str, version: int) -> list[str]:
        """What `log_artifact` got, in order."""
        return list(self._existing(model, version).artifacts)

    def _up(self) -> threading.RLock:
        if self.is_down:
            raise ServiceUnavailable("The fake registry is down.", hint="Set is_down to False.")
        return self._lock

    def _existing(self, model: str, version: int) -> _Stored:
        stored = self._models.get(safe_name(model, what="model"), {}).get(version)
        if stored is None:
            raise ChurnError(f"{model} has no version {version}.", hint="Register it first.")
        return stored

    def _with_aliases(self, stored: _Stored) -> ModelVersion:
        mine = (stored.version.model, stored.version.version)
        aliases = sorted(alias for (model, alias), number in self._aliases.items() if (model, number) == mine)
        latest = {name: points[max(points)] for name, points in stored.points.items()}
        return replace(stored.version, aliases=tuple(aliases), metrics=latest)


class FakeBus:
    """An `EventBus` that remembers.

    Attributes:
        sent: every event that was taken, in order; a second delivery is there twice.
        is_down: True lets `emit` raise ServiceUnavailable and take nothing.
    """

    def __init__(self, *, is_down: bool = False) -> None:
        self.sent: list[Event] = []
        self.is_down = is_down

    def emit(self, event: Event) -> None:
        """Take the event."""
        if self.is_down:
            raise ServiceUnavailable("The fake bus is down.", hint="Set is_down to False.")
        self.sent.append(event)

    def names(self) -> list[str]:
        """Names of the events taken, in order."""
        return [event.type.name for event in self.sent]
