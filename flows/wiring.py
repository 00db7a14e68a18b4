"""Settings to adapters: the only place that constructs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from churnlib.adapters.evidently import EvidentlyReporter
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.errors import ChurnError
from churnlib.ports import BatchTable, EventBus, Inbox
from churnlib.ports.notices import NoticeQueue
from churnlib.ports.preparing import Preparation
from churnlib.settings import Settings
from churnlib.usecases.folders import Folders
from churnlib.usecases.log_model_files import Fetch
from churnlib.usecases.services import Services
from churnlib.usecases.setting_up import experiment_names, prepare_inbox, prepare_specs, readable_specs

if TYPE_CHECKING:
    from churnlib.adapters.s3_bucket import Bucket


def utc_now() -> datetime:
    """The clock of everything that runs for real."""
    return datetime.now(UTC)


def services(settings: Settings, *, bus: EventBus | None = None) -> Services:
    """Build the ports that the settings ask for.

    Args:
        settings: where things are.
        bus: carries events; by default Prefect where its URL is set, else nobody, and events
            wait in the outbox.

    Raises:
        ServiceUnavailable: the ledger cannot be opened, or the secret of the databases cannot be reached.
        ChurnError: a URL is not for a database or a bucket that can be used, the secret is none, or a Python
            package that one of them needs is not installed.
    """
    if bus is None and settings.prefect_api_url is not None:
        from flows.bus import PrefectBus

        bus = PrefectBus(settings.prefect_api_url)
    bucket = _bucket(settings)
    ledger = SqlLedger.open(_with_secret(settings, settings.ledger))
    folders = Folders(ledger, settings.specs)
    return Services(
        ledger=ledger,
        registry=MlflowRegistry(
            _with_secret(settings, settings.tracking_uri),
            settings.artifact_root,
            settings.data / "cache",
            s3_endpoint_url=settings.artifact_endpoint,
        ),
        snapshots=_table(settings, bucket, "snapshots", folders),
        outcomes=_table(settings, bucket, "outcomes", folders),
        predictions=predictions_table(settings, bucket, folders),
        shadows=_table(settings, bucket, "shadows", folders),
        quarantine=_table(settings, bucket, "quarantine", folders),
        inbox=_inbox(settings, bucket),
        bus=bus,
        reporter=EvidentlyReporter(),
        specs=settings.specs,
        reports=settings.data / "reports",
        clock=utc_now,
        workers=settings.workers,
    )


def predictions_table(
    settings: Settings, bucket: Bucket | None = None, folder_of: Callable[[str], str] = str
) -> BatchTable:
    """The store of predictions that the settings ask for; it is connected to when it is used.

    Args:
        settings: where things are.
        bucket: that the settings name; opened here where it is not given.
        folder_of: says where a model's rows lie in files.
    """
    if settings.predictions_url is None:
        return _table(settings, bucket or _bucket(settings), "predictions", folder_of)
    from churnlib.adapters.postgres_table import PostgresTable

    return PostgresTable(_with_secret(settings, settings.predictions_url.get_secret_value()))


def catch_up(wired: Services) -> list[str]:
    """Move rows to S3 that had to be written to local folders while it could not be reached.

    Returns:
        A sentence for each model and table of which rows were moved.

    Raises:
        ChurnError: S3 refuses for good.
    """
    from churnlib.adapters.fallback_table import FallbackTable

    tables = {
        "snapshots": wired.snapshots,
        "outcomes": wired.outcomes,
        "predictions": wired.predictions,
        "shadows": wired.shadows,
        "quarantine": wired.quarantine,
    }
    said = []
    models = [model for family in wired.model_names() for model in wired.family_models(family)]
    for name, table in tables.items():
        if not isinstance(table, FallbackTable):
            continue
        for model in models:
            if moved := table.catch_up(model):
                said.append(f"{name} of {model}: {len(moved)} batches moved to {next(iter(moved.values()))} …")
    return said


def outage(wired: Services) -> str | None:
    """Why S3 could not be asked for files when it was last tried; None where all files were seen."""
    from churnlib.adapters.fallback_inbox import FallbackInbox

    return wired.inbox.outage if isinstance(wired.inbox, FallbackInbox) else None


def _bucket(settings: Settings) -> Bucket | None:
    if settings.store_url is None:
        return None
    from churnlib.adapters.s3_bucket import Bucket

    return Bucket(settings.store_url, endpoint_url=settings.s3_endpoint_url)


def _table(settings: Settings, bucket: Bucket | None, name: str, folder_of: Callable[[str], str]) -> BatchTable:
    local = ParquetTable(settings.data / name, folder_of)
    if bucket is None:
        return local
    from churnlib.adapters.fallback_table import FallbackTable
    from churnlib.adapters.s3_table import S3Table

    return FallbackTable(S3Table(bucket, name, settings.data / "cache" / "rows" / name, folder_of), local)


def _inbox(settings: Settings, bucket: Bucket | None) -> Inbox:
    local = LocalInbox(
        settings.data, settle_seconds=settings.settle_seconds, wait_for_marker=settings.wait_for_marker
    )
    if bucket is None:
        return local
    from churnlib.adapters.fallback_inbox import FallbackInbox
    from churnlib.adapters.s3_inbox import S3Inbox

    stored = S3Inbox(
        bucket,
        settings.data / "cache" / "inbox",
        settle_seconds=settings.settle_seconds,
        wait_for_marker=settings.wait_for_marker,
    )
    return FallbackInbox(stored, local)


def _with_secret(settings: Settings, url: str) -> str:
    """The URL with what the database secret says, where one is set and the URL names no user."""
    if settings.database_secret is None:
        return url
    from churnlib.adapters.secrets import with_credentials

    return with_credentials(url, settings.database_secret, settings.s3_endpoint_url).get_secret_value()


def arrivals_queue(settings: Settings) -> NoticeQueue | None:
    """The queue that S3 tells about new objects; None where it has to be asked.

    Raises:
        ChurnError: a queue without a store, or it needs a package that is not installed.
    """
    if settings.queue_url is None:
        return None
    if settings.store_url is None:
        raise ChurnError(
            "CHURN_QUEUE_URL is set, and CHURN_STORE_URL is not: nobody knows which bucket the queue tells of.",
            hint="Set CHURN_STORE_URL to s3://bucket/prefix.",
        )
    from churnlib.adapters.sqs import SqsQueue

    return SqsQueue(settings.queue_url, settings.store_url, endpoint_url=settings.s3_endpoint_url)


def fetcher(settings: Settings) -> Fetch:
    """What brings a file from an `s3://` address; S3 is asked when it is used."""

    def fetch(address: str, folder: Path) -> Path:
        from churnlib.adapters import s3_fetch

        return s3_fetch.fetch(address, folder, endpoint_url=settings.s3_endpoint_url)

    return fetch


def preparations(settings: Settings, *, create_bucket: bool) -> tuple[list[Preparation], Callable[[str], str]]:
    """The parts of an installation as they need each other, and what takes secrets out of texts.

    Nothing is opened before a part is prepared, so that what is wrong with one does not stop the others.
    """
    from churnlib.adapters.setup import Installing, Wanted

    def incoming() -> list[str]:
        return [spec.name for spec in readable_specs(settings.specs)[0]]

    def experiments() -> list[str]:
        with SqlLedger.open(installing.url(settings.ledger)) as ledger:
            return experiment_names(readable_specs(settings.specs)[0], ledger)

    predictions = settings.predictions_url
    wanted = Wanted(
        ledger=settings.ledger,
        predictions=None if predictions is None else predictions.get_secret_value(),
        tracking=settings.tracking_uri,
        artifacts=settings.artifact_root,
        artifact_endpoint=settings.artifact_endpoint,
        secret=settings.database_secret,
        store=settings.store_url,
        s3_endpoint=settings.s3_endpoint_url,
    )
    installing = Installing(wanted, create_bucket=create_bucket, named=partial(_with_secret, settings))
    parts = [
        Preparation("specs", lambda: prepare_specs(settings.specs)),
        *installing.services(experiments),
        Preparation("inbox", lambda: prepare_inbox(settings.data / "incoming", incoming())),
        *installing.prefixes(incoming),
    ]
    return parts, installing.scrub
