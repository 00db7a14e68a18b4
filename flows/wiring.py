"""Settings to adapters: the only place that constructs them."""

from __future__ import annotations

from datetime import UTC, datetime

from churnlib.adapters.evidently import EvidentlyReporter
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.ports import BatchTable, EventBus
from churnlib.settings import Settings
from churnlib.usecases.services import Services


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
        ServiceUnavailable: the ledger cannot be opened.
        ChurnError: a URL is not for a database that can be used.
    """
    data = settings.data
    if bus is None and settings.prefect_api_url is not None:
        from flows.bus import PrefectBus

        bus = PrefectBus(settings.prefect_api_url)
    return Services(
        ledger=SqlLedger.open(settings.ledger),
        registry=MlflowRegistry(settings.tracking_uri, settings.artifact_root, data / "cache"),
        snapshots=ParquetTable(data / "snapshots"),
        outcomes=ParquetTable(data / "outcomes"),
        predictions=predictions_table(settings),
        quarantine=ParquetTable(data / "quarantine"),
        inbox=LocalInbox(data),
        bus=bus,
        reporter=EvidentlyReporter(),
        specs=settings.specs,
        reports=data / "reports",
        clock=utc_now,
    )


def predictions_table(settings: Settings) -> BatchTable:
    """The store of predictions that the settings ask for; PostgreSQL is connected to when it is used."""
    if settings.predictions_url is None:
        return ParquetTable(settings.data / "predictions")
    from churnlib.adapters.postgres_table import PostgresTable

    return PostgresTable(settings.predictions_url.get_secret_value())
