"""One suite over every model registry, and what only MLflow's can get wrong."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from churnlib.adapters import mlflow_registry, mlflow_runs
from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.errors import ChurnError, ReleaseCorrupt, ServiceUnavailable
from churnlib.ports import CHAMPION, ModelRegistry, Registration
from tests.fakes import FakeRegistry

NAMES = (f"model-{number}" for number in count())


class Subject(Protocol):
    """A registry, and what a person could do to it from outside."""

    @property
    def registry(self) -> ModelRegistry: ...
    def delete_version(self, model: str, version: int) -> None: ...
    def points(self, model: str, version: int, metric: str) -> dict[int, float]: ...
    def artifacts(self, model: str, version: int) -> list[str]: ...
    def broken(self, folder: Path) -> ModelRegistry: ...


class Fake:
    def __init__(self, folder: Path) -> None:
        self.registry = FakeRegistry(folder)
        self.delete_version = self.registry.delete_version
        self.points = self.registry.points
        self.artifacts = self.registry.artifacts

    def broken(self, folder: Path) -> ModelRegistry:
        registry = FakeRegistry(folder)
        registry.is_down = True
        return registry


class Mlflow:
    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        self.uri = f"sqlite:///{folder / 'db' / 'mlflow.db'}"
        self.artifact_root = (folder / "artifacts").as_uri()
        self.registry = MlflowRegistry(self.uri, self.artifact_root, folder / "cache")
        self.registry.models()  # makes the database
        self.client = MlflowClient(self.uri, self.uri)

    def delete_version(self, model: str, version: int) -> None:
        self.client.delete_model_version(model, str(version))

    def points(self, model: str, version: int, metric: str) -> dict[int, float]:
        history = self.client.get_metric_history(self.run_id(model, version), metric)
        assert len({(point.step, point.value) for point in history}) == len(history), "a point twice"
        return {point.step: point.value for point in history}

    def artifacts(self, model: str, version: int) -> list[str]:
        run_id = self.run_id(model, version)
        folders = [entry.path for entry in self.client.list_artifacts(run_id) if entry.is_dir]
        return [file.path for folder in folders for file in self.client.list_artifacts(run_id, folder)]

    def broken(self, folder: Path) -> ModelRegistry:
        (folder / "no.db").write_bytes(b"this is no database" * 100)
        return MlflowRegistry(f"sqlite:///{folder / 'no.db'}", folder.as_uri(), folder / "cache")

    def folder(self, model: str, version: int) -> Path:
        uri = self.client.get_model_version_download_uri(model, str(version))
        return Path(uri.removeprefix("file://"))

    def run_id(self, model: str, version: int) -> str:
        return str(self.client.get_model_version(model, str(version)).run_id)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Mlflow:
    """One database for all tests, as making one takes seconds; every test has a model of its own."""
    return Mlflow(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    return Fake(tmp_path_factory.mktemp("fake"))


@pytest.fixture(params=["fake", "mlflow"])
def subject(request: pytest.FixtureRequest) -> Subject:
    chosen: Subject = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def model() -> str:
    return next(NAMES)


Make = Callable[..., Registration]


@pytest.fixture
def registration(tmp_path: Path, model: str) -> Make:
    release = tmp_path / "some folder"
    (release / "nested").mkdir(parents=True)
    (release / "booster.ubj").write_bytes(bytes(range(256)) * 40)
    (release / "nested" / "spec.json").write_text('{"name": "ä"}\n', encoding="utf8", newline="\n")

    def make(key: str = "train:1", **changes: object) -> Registration:
        plain = Registration(
            model=model,
            experiment=model,
            key=key,
            release=release,
            plots=None,
            inputs={"tenure": ("double", True), "plan": ("string", False)},
            params={"rounds": 12, "learning_rate": 0.1, "calibration": "platt"},
            metrics={"test.auc": 0.81, "test.brier": 0.12},
            tags={"churn.spec": "abc"},
            source="customers.csv",
            source_digest="0" * 64,
            training_rows=1000,
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    return make


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_registered_version_tells_what_it_was_registered_with(subject: Subject, registration: Make) -> None:
    made = subject.registry.register(registration())
    assert made.version == 1
    assert made.metrics == {"test.auc": 0.81, "test.brier": 0.12}
    assert made.params == {"rounds": "12", "learning_rate": "0.1", "calibration": "platt"}
    assert made.tags == {"churn.spec": "abc", "churn.key": "train:1"}
    assert made.aliases == ()
    assert made.created_at.utcoffset() is not None
    assert subject.registry.version(made.model, 1) == made
    assert made.model in subject.registry.models()


def test_the_same_key_is_registered_once(subject: Subject, registration: Make, model: str) -> None:
    first = subject.registry.register(registration('it\'s the "first" batch: ü'))
    assert subject.registry.register(registration('it\'s the "first" batch: ü')) == first
    assert len(subject.registry.versions(model)) == 1


def test_another_key_is_another_version_newest_first(subject: Subject, registration: Make, model: str) -> None:
    first = subject.registry.register(registration("a"))
    second = subject.registry.register(registration("b"))
    assert [each.version for each in subject.registry.versions(model)] == [2, 1]
    assert first.run_id != second.run_id


def test_a_model_does_not_see_another(subject: Subject, registration: Make, model: str) -> None:
    other = f"{model}-other"
    subject.registry.register(registration())
    subject.registry.register(registration(model=other, experiment=other))
    subject.registry.set_alias(model, CHAMPION, 1)
    assert [each.model for each in subject.registry.versions(other)] == [other]
    assert subject.registry.by_alias(other, CHAMPION) is None


def test_nothing_is_known_of_an_unknown_model(subject: Subject) -> None:
    registry = subject.registry
    assert registry.versions("nobody") == []
    assert registry.version("nobody", 1) is None
    assert registry.by_alias("nobody", CHAMPION) is None
    assert "nobody" not in registry.models()
    registry.delete_alias("nobody", CHAMPION)


def test_an_alias_moves_and_stands_at_one_version(subject: Subject, registration: Make, model: str) -> None:
    registry = subject.registry
    registry.register(registration("a"))
    registry.register(registration("b"))
    assert registry.by_alias(model, CHAMPION) is None
    registry.set_alias(model, CHAMPION, 1)
    registry.set_alias(model, "challenger", 2)
    registry.set_alias(model, CHAMPION, 2)
    champion = registry.by_alias(model, CHAMPION)
    assert champion is not None
    assert (champion.version, champion.aliases) == (2, ("challenger", CHAMPION))
    assert [each.aliases for each in registry.versions(model)] == [("challenger", CHAMPION), ()]
    registry.delete_alias(model, CHAMPION)
    registry.delete_alias(model, CHAMPION)
    assert registry.by_alias(model, CHAMPION) is None
    assert registry.by_alias(model, "challenger") is not None


def test_the_versions_with_an_alias_are_known_of_all_models_at_once(
    subject: Subject, registration: Make, model: str
) -> None:
    registry, names = subject.registry, [f"{model}-{number}" for number in range(3)]
    for name in names:
        registry.register(registration("a", model=name, metrics={"test.auc": 0.7}))
        registry.register(registration("b", model=name, metrics={"test.auc": 0.8}))
    registry.set_alias(names[0], CHAMPION, 2)
    registry.set_alias(names[1], CHAMPION, 1)
    registry.set_alias(names[1], "challenger", 1)
    registry.log_metrics(names[0], 2, {"live.auc": 0.75}, step=3)
    mine = {name: version for name, version in registry.all_with(CHAMPION).items() if name in names}
    assert mine == {names[0]: 2, names[1]: 1}
    standing = registry.standing(CHAMPION)
    assert {name: standing[name].version for name in names if name in standing} == mine
    for name in mine:
        assert standing[name] == registry.by_alias(name, CHAMPION)
    assert standing[names[0]].metrics == {"test.auc": 0.8, "live.auc": 0.75}
    assert standing[names[1]].aliases == ("challenger", CHAMPION)
    assert not set(names) & set(registry.standing("nothing-has-it"))


def test_threads_work_on_many_models_at_once(subject: Subject, registration: Make, model: str) -> None:
    registry, names = subject.registry, [f"{model}-{number}" for number in range(8)]

    def work(name: str) -> None:
        registry.register(registration(name, model=name, experiment=name))
        registry.set_alias(name, CHAMPION, 1)
        for step in range(3):
            registry.log_metrics(name, 1, {"live.auc": 0.5 + step / 10}, step=step)
        registry.tag(name, 1, {"churn.gate": "passed"})

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, names)) == [None] * 8
    for name in names:
        (version,) = registry.versions(name)
        assert (version.aliases, version.tags["churn.gate"]) == ((CHAMPION,), "passed")
        assert subject.points(name, 1, "live.auc") == {0: 0.5, 1: 0.6, 2: 0.7}


def test_an_alias_is_not_set_on_a_version_that_is_not_there(
    subject: Subject, registration: Make, model: str
) -> None:
    subject.registry.register(registration())
    subject.registry.set_alias(model, CHAMPION, 1)
    with pytest.raises(ChurnError, match="no version 7"):
        subject.registry.set_alias(model, CHAMPION, 7)
    champion = subject.registry.by_alias(model, CHAMPION)
    assert champion is not None
    assert champion.version == 1


def test_whoever_sets_an_alias_at_the_same_time_it_stands_at_one_of_theirs(
    subject: Subject, registration: Make, model: str
) -> None:
    for key in "abcd":
        subject.registry.register(registration(key))

    def set_alias(version: int) -> bool:
        try:
            subject.registry.set_alias(model, CHAMPION, version)
        except ChurnError:  # another was quicker between the setting and the reading back
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(set_alias, (1, 2, 3, 4)))
    champion = subject.registry.by_alias(model, CHAMPION)
    assert champion is not None
    assert taken[champion.version - 1]


def test_a_deleted_version_is_gone_with_its_aliases(subject: Subject, registration: Make, model: str) -> None:
    registry = subject.registry
    registry.register(registration("a"))
    registry.set_alias(model, CHAMPION, 1)
    subject.delete_version(model, 1)
    assert registry.version(model, 1) is None
    assert registry.by_alias(model, CHAMPION) is None
    assert registry.versions(model) == []
    for use in (
        lambda: registry.fetch(model, 1),
        lambda: registry.tag(model, 1, {"a": "b"}),
        lambda: registry.log_metrics(model, 1, {"a": 1.0}, step=1),
        lambda: registry.set_alias(model, CHAMPION, 1),
    ):
        with pytest.raises(ChurnError, match="no version 1"):
            use()


def test_the_number_of_a_deleted_version_is_not_given_again(
    subject: Subject, registration: Make, model: str
) -> None:
    subject.registry.register(registration("a"))
    subject.delete_version(model, 1)
    assert subject.registry.register(registration("a")).version == 2


def test_tags_are_added_and_replaced(subject: Subject, registration: Make, model: str) -> None:
    subject.registry.register(registration())
    subject.registry.tag(model, 1, {"gate": "held", "churn.spec": "def"})
    version = subject.registry.version(model, 1)
    assert version is not None
    assert version.tags == {"churn.spec": "def", "churn.key": "train:1", "gate": "held"}


def test_metrics_land_on_the_run_one_point_a_step(subject: Subject, registration: Make, model: str) -> None:
    registry = subject.registry
    registry.register(registration())
    registry.log_metrics(model, 1, {"live.auc": 0.7, "live.psi": 0.1}, step=20)
    registry.log_metrics(model, 1, {"live.auc": 0.8}, step=13)
    registry.log_metrics(model, 1, {"live.auc": 0.7}, step=20)
    assert subject.points(model, 1, "live.auc") == {20: 0.7, 13: 0.8}
    version = registry.version(model, 1)
    assert version is not None
    assert version.metrics == {"test.auc": 0.81, "test.brier": 0.12, "live.auc": 0.7, "live.psi": 0.1}


def test_a_corrected_measurement_counts(subject: Subject, registration: Make, model: str) -> None:
    subject.registry.register(registration())
    subject.registry.log_metrics(model, 1, {"live.auc": 0.7}, step=20)
    subject.registry.log_metrics(model, 1, {"live.auc": 0.6}, step=20)
    version = subject.registry.version(model, 1)
    assert version is not None
    assert version.metrics["live.auc"] == 0.6


def test_artifacts_land_in_their_folder(subject: Subject, registration: Make, model: str, tmp_path: Path) -> None:
    subject.registry.register(registration())
    page = tmp_path / "report.html"
    page.write_text("<html>")
    subject.registry.log_artifact(model, 1, page, "drift")
    assert subject.artifacts(model, 1) == ["drift/report.html"]


def test_fetch_gives_the_files_that_were_registered(subject: Subject, registration: Make, model: str) -> None:
    wanted = registration()
    subject.registry.register(wanted)
    fetched = subject.registry.fetch(model, 1)
    assert files(fetched) == files(wanted.release)
    assert subject.registry.fetch(model, 1) == fetched


def test_a_registry_that_cannot_be_reached_says_so(subject: Subject, registration: Make, tmp_path: Path) -> None:
    broken = subject.broken(tmp_path)
    for use in (
        lambda: broken.register(registration()),
        lambda: broken.by_alias("telco", CHAMPION),
        lambda: broken.versions("telco"),
        lambda: broken.fetch("telco", 1),
        broken.models,
    ):
        with pytest.raises(ServiceUnavailable):
            use()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "a'b"])
def test_names_that_could_leave_their_folder_are_refused(subject: Subject, registration: Make, name: str) -> None:
    registry = subject.registry
    for use in (
        lambda: registry.register(registration(model=name)),
        lambda: registry.register(registration(experiment=name)),
        lambda: registry.versions(name),
        lambda: registry.by_alias(name, CHAMPION),
        lambda: registry.by_alias("telco", name),
        lambda: registry.fetch(name, 1),
    ):
        with pytest.raises(ChurnError, match="cannot be the name"):
            use()


# What only MLflow can get wrong.


def test_a_crash_while_logging_leaves_a_failed_run_and_no_version(
    mlflow: Mlflow, registration: Make, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(mlflow_runs, "_log_model", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mlflow.registry.register(registration())
    assert mlflow.registry.versions(model) == []
    assert statuses(mlflow, model) == ["FAILED"]
    assert mlflow.registry.register(registration()).version == 1
    assert sorted(statuses(mlflow, model)) == ["FAILED", "FINISHED"]


def test_a_run_that_a_killed_process_left_running_becomes_failed(
    mlflow: Mlflow, registration: Make, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(mlflow.registry._client), "set_terminated", lambda *_: None)
        patched.setattr(mlflow_runs, "_log_model", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mlflow.registry.register(registration())
    assert statuses(mlflow, model) == ["RUNNING"]
    assert mlflow.registry.register(registration()).version == 1
    assert sorted(statuses(mlflow, model)) == ["FAILED", "FINISHED"]


def test_a_crash_before_the_version_uses_the_finished_run_again(
    mlflow: Mlflow, registration: Make, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(mlflow_registry, "_publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mlflow.registry.register(registration())
    made = mlflow.registry.register(registration())
    assert statuses(mlflow, model) == ["FINISHED"]
    assert files(mlflow.registry.fetch(model, made.version)) == files(registration().release)


def test_two_processes_that_register_one_key_get_one_version(
    mlflow: Mlflow, registration: Make, model: str, tmp_path: Path
) -> None:
    registries = [MlflowRegistry(mlflow.uri, mlflow.artifact_root, tmp_path / name) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda registry: registry.register(registration()), registries))
    assert len({version.version for version in made}) == 1
    assert len(mlflow.registry.versions(model)) == 1


def test_a_database_that_another_process_opens_first_is_waited_for(mlflow: Mlflow, tmp_path: Path) -> None:
    """MLflow makes its tables on opening; two at once break each other."""
    registry = MlflowRegistry(mlflow.uri, mlflow.artifact_root, tmp_path)
    with ThreadPoolExecutor(1) as pool, Path(f"{mlflow.uri.removeprefix('sqlite:///')}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        opened = pool.submit(registry.models)
        with pytest.raises(TimeoutError):
            opened.result(timeout=0.2)
        fcntl.flock(other, fcntl.LOCK_UN)
        assert opened.result(timeout=60) is not None


def test_a_deleted_experiment_is_taken_up_again(mlflow: Mlflow, registration: Make, model: str) -> None:
    mlflow.registry.register(registration("a"))
    mlflow.client.delete_experiment(experiment(mlflow, model))
    assert mlflow.registry.register(registration("b")).version == 2


def test_a_release_that_is_not_in_the_artifacts_any_more_is_named(
    mlflow: Mlflow, registration: Make, model: str, tmp_path: Path
) -> None:
    mlflow.registry.register(registration())
    shutil.rmtree(mlflow.folder(model, 1) / "artifacts" / "release")
    cache = tmp_path / "cache"
    with pytest.raises(ReleaseCorrupt, match="no release at"):
        MlflowRegistry(mlflow.uri, mlflow.artifact_root, cache).fetch(model, 1)
    assert list((cache / model).iterdir()) == []


def test_the_signature_names_what_has_to_be_there(mlflow: Mlflow, registration: Make, model: str) -> None:
    from mlflow.models import Model

    mlflow.registry.register(registration())
    info = Model.load(str(mlflow.folder(model, 1)))
    assert info.signature is not None
    assert info.signature.inputs.required_input_names() == ["tenure"]
    assert info.signature.inputs.optional_input_names() == ["plan"]
    assert info.metadata == {
        "columns": {
            "tenure": {"type": "double", "required": True},
            "plan": {"type": "string", "required": False},
        }
    }


def test_run_dataset_and_pictures_stand_beside_the_numbers(
    mlflow: Mlflow, registration: Make, model: str, tmp_path: Path
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc_pr.png").write_bytes(b"png")
    made = mlflow.registry.register(registration(plots=tmp_path / "plots"))
    run = mlflow.client.get_run(made.run_id)
    assert run.inputs is not None
    assert run.outputs is not None
    assert run.info.run_name == f"{model} {made.created_at:%Y-%m-%d}"
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["customers.csv"]
    assert mlflow.artifacts(model, 1) == ["plots/roc_pr.png"]
    logged = mlflow.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {metric.key: metric.value for metric in logged.metrics or ()} == made.metrics


def test_an_unreachable_server_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{closed.getsockname()[1]}"
        registry = MlflowRegistry(f"http://ann:secret@{where}", tmp_path.as_uri(), tmp_path)
        with pytest.raises(ServiceUnavailable, match=where) as refused:
            registry.by_alias("telco", CHAMPION)
    assert "secret" not in str(refused.value)


def test_a_database_in_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", tmp_path.as_uri(), tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"mlflow\.db"):
        registry.models()


def test_importing_the_adapter_imports_no_mlflow_and_using_it_leaves_nothing_behind(
    mlflow: Mlflow, tmp_path: Path
) -> None:
    code = f"""
import sys
from pathlib import Path
from churnlib.adapters.mlflow_registry import MlflowRegistry
assert not {{"mlflow", "pandas", "sqlalchemy"}} & set(sys.modules), "heavy imports"
registry = MlflowRegistry({mlflow.uri!r}, {mlflow.artifact_root!r}, Path("cache"))
assert registry.by_alias("nobody", "champion") is None
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "HOME": str(tmp_path / "home"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["home"])


def experiment(mlflow: Mlflow, model: str) -> str:
    found = mlflow.client.get_experiment_by_name(model)
    assert found is not None
    return found.experiment_id


def statuses(mlflow: Mlflow, model: str) -> list[str]:
    return [run.info.status for run in mlflow.client.search_runs([experiment(mlflow, model)])]
