"""The ledger in SQL: SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from churnlib.adapters.ledger_approvals import Approvals
from churnlib.adapters.ledger_contacts import Contacts
from churnlib.adapters.ledger_engine import open_engine
from churnlib.adapters.ledger_fleet import Fleet
from churnlib.adapters.ledger_migration import migrate_engine
from churnlib.adapters.ledger_records import Facts
from churnlib.adapters.ledger_work import Outbox, Work
from churnlib.ports import LedgerTransaction


class SqlTransaction(Facts, Fleet, Contacts, Outbox, Work, Approvals):
    """One transaction of the ledger; of use inside the block of `SqlLedger.begin` only."""


class SqlLedger:
    """Fulfils `ports.Ledger`. Safe to share between threads; each transaction has its own connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, lock_seconds: float = 10.0) -> Self:
        """Open the ledger; creates it, or brings its tables up to date, where that is needed.

        Args:
            url: `sqlite:///…` (a file) or `postgresql://…`.
            lock_seconds: how long a transaction waits for the one before it.

        Raises:
            ChurnError: the ledger is newer than this code, or the URL is of something else.
            ServiceUnavailable: the database cannot be reached.
        """
        engine = open_engine(url, lock_seconds=lock_seconds)
        try:
            migrate_engine(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @contextmanager
    def begin(self) -> Iterator[LedgerTransaction]:
        """Open a write transaction; commits at the end of the block, rolls back on an exception.

        Transactions are serial on both databases, so keep them short: no file, no network inside.

        Raises:
            ServiceUnavailable: the database cannot be reached or stays locked.
        """
        with self._engine.begin() as connection:
            yield SqlTransaction(connection)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
