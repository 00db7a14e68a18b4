"""Connections to the PostgreSQL of the predictions: transactions in Arrow, errors in words without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import polars as pl
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from churnlib.adapters.ledger_engine import place
from churnlib.errors import ChurnError, ServiceUnavailable

if TYPE_CHECKING:
    from adbc_driver_manager import Error
    from adbc_driver_manager.dbapi import Connection, Cursor

_PIECE_ROWS: Final = 1024
_SETTING: Final = "CHURN_PREDICTIONS_URL"
_SESSION: Final = {
    "lock_timeout": "30s",
    # a writer whose host went away gives its locks back, one that computes its next rows keeps them
    "idle_in_transaction_session_timeout": "15min",
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "15",
    "tcp_keepalives_count": "4",
}
_SET: Final = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES: Final = ("08", "40", "53", "57P", "58")
_PASSING: Final = ("25P03", "55P03")
_LASTING: Final = {
    "53100": "Free some disk space on its server, then repeat.",
    "42501": f"Grant this to the user in {_SETTING}, or name another user there.",
    "23505": "Deliver each customer once in a batch.",
}
_LASTING_CONNECTING: Final = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|does not exist|permission denied"
    r"|invalid|unexpected (spaces|character)|missing|URI"
)
_PASSING_HINT: Final = f"Start its server or correct {_SETTING}, then repeat."
_LASTING_HINT: Final = f"Correct what it names, or point {_SETTING} at another database or user."
_SAID: Final = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<server>[^\n]+)")
_PREFIX: Final = re.compile(r"^[A-Z_]+: (\[libpq\] )?")


class Session:
    """One connection; what is not committed when it ends has never happened."""

    def __init__(self, connection: Connection, cursor: Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    def execute(self, statement: str, *values: str | int | date) -> None:
        """Run one statement; `$1` and on stand for the values."""
        self._cursor.execute(statement, values or None)

    def rows(self, statement: str, *values: str | int | date) -> list[tuple[object, ...]]:
        """All rows of a small answer."""
        self.execute(statement, *values)
        return list(self._cursor.fetchall())

    def frame(self, query: str) -> pl.DataFrame:
        """All rows of a query; without bound values the server sends them by binary COPY."""
        self.execute(query)
        found = pl.from_arrow(self._cursor.fetch_arrow_table())
        assert isinstance(found, pl.DataFrame)
        return found

    def copy(self, table: str, rows: pl.DataFrame) -> None:
        """Append rows to columns of the same names and types, by binary COPY."""
        # pieces that fit into the socket's buffer: the next is encoded while the server takes this one
        self._cursor.adbc_ingest(table, rows.to_arrow().to_reader(_PIECE_ROWS), mode="append")

    def commit(self) -> None:
        """Make everything up to here visible at once, and begin anew."""
        self._connection.commit()


@dataclass(frozen=True)
class Database:
    """Where the predictions are.

    Attributes:
        uri: for libpq, with the password.
        place: for people, without user, password and parameters.
    """

    uri: str
    place: str
    _secrets: Sequence[str]

    @classmethod
    def at(cls, url: str) -> Database:
        """Read a URL: `postgresql://user:password@host/database`, also with `+driver` in its scheme.

        Raises:
            ChurnError: it is none, or not for PostgreSQL.
        """
        parsed = _parse(url)
        uri = re.sub(r"^[^:]+://", "postgresql://", url)
        if "connect_timeout" not in parsed.query:
            uri += f"{'&' if parsed.query else '?'}connect_timeout=10"
        return cls(uri, place(parsed), _secrets(url, parsed))

    def __repr__(self) -> str:
        return f"Database({self.place})"

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """Connect; on leaving, everything uncommitted is rolled back, whatever was raised.

        Args:
            doing: for messages, as in "The predictions in postgresql://host/db cannot be <written>".

        Raises:
            ServiceUnavailable: it may work later: no connection, a deadlock, too many connections.
            ChurnError: it will not work later either: no right, no space, a wrong type or no driver.
        """
        connect, failure = _driver()
        try:
            with closing(connect(self.uri)) as connection, closing(connection.cursor()) as cursor:
                session = Session(connection, cursor)
                session.execute(f"SELECT {_SET}")
                session.commit()
                yield session
        except failure as error:
            raise self._in_words(error, doing) from None  # the driver's text may have the password

    def _in_words(self, error: Error, doing: str) -> ChurnError:
        text, code = str(error), error.sqlstate or ""
        found = _SAID.search(text)
        said = found["server"] if found else _PREFIX.sub("", text.splitlines()[0])
        for secret in self._secrets:
            said = said.replace(secret, "***")
        message = f"The predictions in {self.place} cannot be {doing}: {said.strip().rstrip('.')}."
        if _passes(text, code):
            return ServiceUnavailable(message, hint=_PASSING_HINT)
        return ChurnError(message, hint=_LASTING.get(code, _LASTING_HINT))


def _passes(text: str, code: str) -> bool:
    """Whether the same may work later."""
    if code in _LASTING:
        return False
    if code:
        return code in _PASSING or code.startswith(_PASSING_CLASSES)
    # libpq gives no code where there is no connection (any more)
    return text.startswith("IO:") and not ("Failed to connect" in text and _LASTING_CONNECTING.search(text))


def _driver() -> tuple[Callable[[str], Connection], type[Error]]:
    try:
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ChurnError(
            f"Predictions in PostgreSQL ({_SETTING}) need the Python package {error.name!r}.",
            hint="Install it: pip install 'churnlib[postgres]'.",
        ) from error
    return dbapi.connect, adbc_driver_manager.Error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
        if parsed.get_backend_name() == "postgresql":
            return parsed
    except (ArgumentError, NoSuchModuleError, ValueError):  # its text would repeat the URL with its password
        pass
    raise ChurnError(
        f"{_SETTING} is not the URL of a PostgreSQL database.",
        hint="Write postgresql://user:password@host/database, or unset it to keep predictions in Parquet files.",
    )


def _secrets(url: str, parsed: URL) -> tuple[str, ...]:
    """The password in every form in which a message could repeat it."""
    written = re.match(r"[^:]+://[^:@/]*:(?P<password>.*)@", url)
    asked = parsed.query.get("password")
    found = {
        written["password"] if written else "",
        parsed.password or "",
        asked if isinstance(asked, str) else "",
    }
    return tuple(sorted((found | {quote(text) for text in found}) - {""}, key=len, reverse=True))
