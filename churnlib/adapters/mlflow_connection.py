"""Opening MLflow, quietly and without waiting long, and telling "not there" from "does not answer"."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from churnlib.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

GONE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""How MLflow says that something is not there; the second is its answer to an unknown alias."""

UNUSABLE = frozenset(
    {
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ENDPOINT_NOT_FOUND",
        "UNAUTHENTICATED",
        "CUSTOMER_UNAUTHORIZED",
        "PERMISSION_DENIED",
    }
)
"""How MLflow says that it is down, overloaded, locked, locked up, or no MLflow at all."""

HTTP_RETRIES, HTTP_TIMEOUT_SECONDS = 2, 30
"""MLflow's own are 7 and 120: a flow would hang for minutes before it says that nobody answers."""


def connect(uri: str, s3_endpoint_url: str | None = None) -> MlflowClient:
    """Open a client: 4 s for the import of MLflow, 3 s more where its database is made first.

    Args:
        uri: of a database or a server.
        s3_endpoint_url: of the S3 that has the artifacts, where it is not AWS's own; counts for the whole process.

    Raises:
        ServiceUnavailable: the database cannot be opened; a server is first asked by the first call.
    """
    import mlflow.environment_variables as variables
    from mlflow import MlflowClient

    _quieten()
    if s3_endpoint_url is not None:
        variables.MLFLOW_S3_ENDPOINT_URL.set(s3_endpoint_url)  # the one way to tell MLflow
    with translated(uri):
        if _is_server(uri):
            return MlflowClient(tracking_uri=uri, registry_uri=uri)
        with _open_database(uri):
            return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def translated(uri: str) -> Iterator[None]:
    """Raise ServiceUnavailable, naming the URI without its password, where MLflow cannot be used."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RequestException, SQLAlchemyError) as error:
        raise _unavailable(uri, error) from error
    except MlflowException as error:
        # a server's 500 says INTERNAL_ERROR, but so does every unnamed fault in our own process
        failed = error.error_code == "INTERNAL_ERROR" and _is_server(uri)
        if failed or error.error_code in UNUSABLE:
            raise _unavailable(uri, error) from error
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("botocore.", "boto3.")):
            raise
        from churnlib.adapters.s3_client import in_words

        # boto3's transfer repeats in its text what it was raised for
        cause = error.__context__ if type(error).__name__ == "S3UploadFailedError" else None
        raise in_words(cause or error, "The artifacts of MLflow on S3 cannot be used") from error


def or_none(call: Callable[[], T]) -> T | None:
    """What the call returns, or None where MLflow says that it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        if error.error_code not in GONE:
            raise
        return None


def unless_beaten(write: Callable[[], None]) -> None:
    """Write, unless another process inserts the same row at that moment; the caller reads back what is there."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":  # what MLflow makes of the database's IntegrityError
            raise


def _quieten() -> None:
    """Set MLflow's own switches, which child processes inherit; those of the user stay where they matter."""
    import mlflow.environment_variables as variables
    from mlflow.telemetry import set_telemetry_client

    variables.MLFLOW_DISABLE_TELEMETRY.set(True)
    set_telemetry_client()  # drops the one that the import made, which has sent nothing yet
    variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    limits = (
        (variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, HTTP_RETRIES),
        (variables.MLFLOW_HTTP_REQUEST_TIMEOUT, HTTP_TIMEOUT_SECONDS),
    )
    for variable, value in limits:
        if not variable.is_set():
            variable.set(value)


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in {"http", "https"}


@contextlib.contextmanager
def _open_database(uri: str) -> Iterator[None]:
    """Connect once, because MLflow itself tries a database that cannot be opened for 100 seconds.

    A SQLite file is locked against others on this host meanwhile: where several processes let MLflow make
    its tables at the same time, all but one of them fail.
    """
    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    with contextlib.ExitStack() as stack:
        if url.get_backend_name() == "sqlite" and url.database:
            stack.enter_context(_locked(uri, Path(f"{url.database}.lock")))
        try:
            engine = sqlalchemy.create_engine(url)
        except ImportError as error:  # the driver that the URI names
            raise _unavailable(uri, error) from error
        stack.callback(engine.dispose)
        sqlalchemy.inspect(engine).get_table_names()
        yield


@contextlib.contextmanager
def _locked(uri: str, path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise _unavailable(uri, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        yield


def _unavailable(uri: str, error: BaseException) -> ServiceUnavailable:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner  # "Connection refused" lies below three layers of "failed with exception"
    credentials = urlsplit(uri).netloc.rpartition("@")[0]
    shown, said = uri, str(error).partition("\n")[0].rstrip(".")
    if credentials:
        shown, said = (text.replace(f"{credentials}@", "") for text in (shown, said))
    return ServiceUnavailable(
        f"MLflow at {shown} cannot be used: {said}.",
        hint="Start or mend it, or correct CHURN_MLFLOW_TRACKING_URI, then try again.",
    )
