"""MLflow's tables and experiments, made ahead of their first use, and the place of its artifacts looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from churnlib.adapters import mlflow_connection, mlflow_runs
from churnlib.adapters.ledger_engine import place
from churnlib.errors import ChurnError
from churnlib.ports.preparing import Prepared

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from sqlalchemy import Connection, Engine

_SCHEMA_LOCK: Final = 0x636875726E32
_NAMED: Final = 3


def prepare_tracking(uri: str) -> Prepared:
    """Make the tables of MLflow's database, or see that its server answers.

    Raises:
        ServiceUnavailable: it does not answer.
        ChurnError: its tables are of another version of MLflow.
    """
    with _in_words(uri):
        if urlsplit(uri).scheme in {"http", "https"}:
            _first(mlflow_connection.connect(uri))
            return Prepared(False, f"{shown(uri)} answers")
        with _alone(uri) as had_tables:
            _first(mlflow_connection.connect(uri))
    return Prepared(not had_tables, f"{shown(uri)} {'has its tables' if had_tables else 'made, with its tables'}")


def prepare_experiments(uri: str, artifact_root: str, names: Sequence[str]) -> Prepared:
    """Make experiments that are missing, and restore deleted ones.

    Args:
        uri: of MLflow.
        artifact_root: under which new ones keep their artifacts; those that are there keep theirs where they do.
        names: of experiments; every one once.
    """
    with _in_words(uri):
        client = mlflow_connection.connect(uri)
        there = {each.name: each for each in _all(client)}
        missing = [name for name in names if name not in there or there[name].lifecycle_stage == "deleted"]
        for name in missing:
            mlflow_runs.open_experiment(client, name, artifact_root)
    kept = sum(name not in missing for name in names)
    elsewhere = [
        name for name in names if name in there and not there[name].artifact_location.startswith(artifact_root)
    ]
    said = [f"made {_some(missing)}"] if missing else []
    said += [f"{kept} there"] if kept else []
    said += [f"those of {_some(elsewhere)} keep their artifacts where they were"] if elsewhere else []
    return Prepared(bool(missing), ", ".join(said) or "no model yet")


def shown(uri: str) -> str:
    """The URI for people: without user, password and parameters."""
    from sqlalchemy import make_url

    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    url = make_url(uri)
    return place(url) if url.get_backend_name() in {"sqlite", "postgresql"} else f"{url.host}/{url.database}"


def _first(client: MlflowClient) -> None:
    client.search_experiments(max_results=1)


def _all(client: MlflowClient) -> Iterator[Experiment]:
    from mlflow.entities import ViewType

    token: str | None = ""
    while token is not None:
        page = client.search_experiments(ViewType.ALL, max_results=1000, page_token=token or None)
        yield from page
        token = page.token or None


@contextmanager
def _alone(uri: str) -> Iterator[bool]:
    """Keep other setups out of a PostgreSQL while MLflow makes its tables; whether it has them already.

    Where several processes make them at once, all but one of them fail. A SQLite file is locked by `connect`.
    """
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool)
    except sqlalchemy.exc.ArgumentError:
        raise ChurnError(
            "CHURN_MLFLOW_TRACKING_URI is the URI of neither a database nor an MLflow server.",
            hint="Write http://host:port, postgresql://user:password@host/database or sqlite:////folder/mlflow.db.",
        ) from None
    if engine.dialect.name == "sqlite":
        from pathlib import Path

        file = Path(str(engine.url.database))
        yield file.exists() and _has_tables(engine)
        return
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_SCHEMA_LOCK)))
        yield _has_tables(engine)


def _has_tables(bind: Engine | Connection) -> bool:
    import sqlalchemy

    return "experiments" in sqlalchemy.inspect(bind).get_table_names()


@contextmanager
def _in_words(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        with mlflow_connection.translated(uri):
            yield
    except MlflowException as error:
        said = str(error).partition("\n")[0].rstrip(".")
        if "out-of-date" in said:
            raise ChurnError(
                f"MLflow's tables in {shown(uri)} are of another version of MLflow.",
                hint="Take a backup, then run `mlflow db upgrade` with the value of CHURN_MLFLOW_TRACKING_URI.",
            ) from error
        raise ChurnError(
            f"MLflow at {shown(uri)} refuses: {said}.", hint="Mend it, or correct CHURN_MLFLOW_TRACKING_URI."
        ) from error


def _some(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
