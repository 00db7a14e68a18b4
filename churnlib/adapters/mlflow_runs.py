"""How a release becomes a finished MLflow run with a logged model, and how that is found again.

Only `MlflowClient` is used: MLflow's fluent functions keep the tracking URI and the active run in globals.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from churnlib.ports import Registration

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

KEY = "churn.key"
"""Tag of runs and versions: the key they were registered under."""

KEY_DIGEST = "churn.key_digest"
"""Tag of runs: hash of the key, which unlike the key itself needs no quoting in MLflow's filters."""

RELEASE = "release"
"""Name of the release among a model's artifacts."""

MODEL_CODE = Path(__file__).with_name("mlflow_model.py")

REQUIREMENTS = ("mlflow", "numpy", "pandas", "polars", "pyarrow", "pydantic", "xgboost")
"""What serving needs besides churnlib, which a serving environment installs from its own source."""


def open_experiment(client: MlflowClient, name: str, artifact_root: str) -> str:
    """Id of the experiment; made where it is missing, restored where somebody deleted it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=f"{artifact_root.rstrip('/')}/{name}")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return open_experiment(client, name, artifact_root)  # another process was quicker
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def finished_run(client: MlflowClient, experiment: str, registration: Registration) -> LoggedModel | None:
    """The model that an earlier try under the same key completed; runs it left unfinished become failed."""
    wanted = f"tags.`{KEY_DIGEST}` = '{_digest(registration.key)}'"
    for run in client.search_runs([experiment], wanted):
        if run.info.status == "FINISHED":
            outputs = client.get_run(run.info.run_id).outputs
            assert outputs is not None  # a run is finished after its model
            return client.get_logged_model(outputs.model_outputs[-1].model_id)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "FAILED")
    return None


def log_run(client: MlflowClient, experiment: str, registration: Registration) -> LoggedModel:
    """Log everything there is to a registration; returns the model of the finished run."""
    from mlflow.entities import Param

    with _running(client, experiment, registration) as run_id:
        params = [Param(name, str(value)) for name, value in registration.params.items()]
        client.log_batch(run_id, params=params)
        _log_dataset(client, run_id, registration)
        if registration.plots is not None:
            client.log_artifacts(run_id, str(registration.plots), "plots")
        model = _log_model(client, experiment, run_id, registration)
        _log_points(client, run_id, model.model_id, registration.metrics, step=0)
    return model


def log_new_points(
    client: MlflowClient, run_id: str, model_id: str | None, metrics: Mapping[str, float], *, step: int
) -> None:
    """Write one point a metric where no such point stands, so that a repeated measurement writes nothing.

    Another value at the same step is written after the first, because MLflow takes nothing back.
    """
    new = {
        name: value
        for name, value in metrics.items()
        if (step, value) not in {(at.step, at.value) for at in client.get_metric_history(run_id, name)}
    }
    _log_points(client, run_id, model_id, new, step=step)


def description(registration: Registration) -> str:
    """What a version is, for people."""
    if registration.training_rows is None:
        return f"Trained elsewhere, delivered as {registration.source}."
    return f"Trained on {registration.training_rows:,} rows: {registration.source}."


@contextlib.contextmanager
def _running(client: MlflowClient, experiment: str, registration: Registration) -> Iterator[str]:
    tags = {**registration.tags, KEY: registration.key, KEY_DIGEST: _digest(registration.key)}
    info = client.create_run(experiment, tags=tags).info
    started = datetime.fromtimestamp(info.start_time / 1000, UTC)
    client.update_run(info.run_id, name=f"{registration.model} {started:%Y-%m-%d}")
    try:
        yield info.run_id
    except BaseException:
        client.set_terminated(info.run_id, "FAILED")
        raise
    client.set_terminated(info.run_id, "FINISHED")


def _log_points(
    client: MlflowClient, run_id: str, model_id: str | None, metrics: Mapping[str, float], *, step: int
) -> None:
    """Write to the run and to its model, stamped by MLflow's own clock."""
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    client.log_batch(
        run_id,
        metrics=[
            Metric(name, value, now, step, model_id=model_id, run_id=run_id) for name, value in metrics.items()
        ],
    )


def _log_dataset(client: MlflowClient, run_id: str, registration: Registration) -> None:
    from mlflow.entities import Dataset, DatasetInput

    dataset = Dataset(
        name=registration.source[:500],
        digest=registration.source_digest[:36],  # the column's width in MLflow's database
        source_type="local",
        source=json.dumps({"uri": registration.source}),
        profile=json.dumps({} if registration.training_rows is None else {"num_rows": registration.training_rows}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset)])


def _log_model(client: MlflowClient, experiment: str, run_id: str, registration: Registration) -> LoggedModel:
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=registration.model, source_run_id=run_id)
    mlflow_model = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=run_id,
        metadata={"columns": _described(registration)},
    )
    with tempfile.TemporaryDirectory(prefix="churn-model-") as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        # MLflow keeps the name of the folder, so it has to be the one that fetch() looks for
        release = shutil.copytree(registration.release, Path(temporary) / RELEASE)
        mlflow.pyfunc.save_model(
            path=Path(temporary) / "model",
            mlflow_model=mlflow_model,
            python_model=str(MODEL_CODE),
            artifacts={RELEASE: str(release)},
            signature=_signature(registration),
            # MLflow would find them out by loading the model in a child process, which takes ten seconds
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
        )
        client.log_model_artifacts(logged.model_id, str(Path(temporary) / "model"))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return client.finalize_logged_model(logged.model_id, "READY")


def _signature(registration: Registration) -> ModelSignature:
    """Names and presence of the inputs. Values are checked by the spec's contract, as in a batch.

    MLflow's own `double` refuses what a batch accepts: int64 columns other than 0 and 1, which is how
    pandas reads whole numbers, and text columns with blanks; `string` refuses whole numbers.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), name, required) for name, (_, required) in registration.inputs.items()
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, "probability"),
        ColSpec(DataType.double, "margin"),
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _described(registration: Registration) -> dict[str, dict[str, object]]:
    return {name: {"type": type_, "required": required} for name, (type_, required) in registration.inputs.items()}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]
