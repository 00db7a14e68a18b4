"""Databases that a PostgreSQL server does not have yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from churnlib.adapters.ledger_engine import place
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports.preparing import Prepared

MAINTENANCE: Final = "postgres"
"""The database that every server has, from which others are made."""

_CONNECT_SECONDS: Final = 5
_MADE_BY_ANOTHER: Final = ("42P04", "23505")
_LASTING: Final = re.compile(r"authentication failed|no password supplied|no pg_hba\.conf|does not exist|denied")
_SAID: Final = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<server>[^\n]+)")


def is_postgres(url: str | None) -> bool:
    """Whether the URL is of a PostgreSQL database, by whatever driver."""
    return url is not None and _parsed(url) is not None


def same_database(url: str) -> str:
    """Equal for two URLs of one database."""
    parsed = _parsed(url)
    return url if parsed is None else place(parsed)


def prepare_database(url: str, setting: str) -> Prepared:
    """Make the database unless it is there; another process may do the same at the same time.

    Args:
        url: of the database, with credentials that may connect to the database `postgres` too where it is missing.
        setting: that has the URL, for messages.

    Raises:
        ServiceUnavailable: the server does not answer.
        ChurnError: wrong credentials, or no right to make a database.
    """
    parsed = _parsed(url)
    assert parsed is not None
    name, where = parsed.database or parsed.username or "", place(parsed)
    refused = _refusal(parsed)
    if refused is None:
        return Prepared(False, f"{where} answers")
    try:  # a missing database is refused too: its server knows
        with _connected(parsed.set(database=MAINTENANCE)) as connection:
            is_new = not _is_there(connection, name) and _create(connection, name, setting)
    except DBAPIError as error:
        raise _in_words(refused, parsed, setting, and_then=_said(error)) from None
    refused = _refusal(parsed)  # another process may have made it since
    if refused is not None:
        raise _in_words(refused, parsed, setting)
    return Prepared(is_new, f"{where} {'made' if is_new else 'answers'}")


def _refusal(url: URL) -> DBAPIError | None:
    try:
        with _connected(url):
            return None
    except DBAPIError as error:
        return error


def passwords_in(url: str) -> set[str]:
    """The password in every form in which a message could repeat it; empty where the URL has none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return set()
    asked = parsed.query.get("password")
    found: set[str] = {parsed.password or "", asked if isinstance(asked, str) else ""} - {""}
    return found | {quote(password) for password in found} | {quote(password, safe="") for password in found}


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    try:
        engine = create_engine(url, connect_args=arguments, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise ChurnError(
            f"PostgreSQL needs the Python package {error.name!r}.",
            hint="Install it: pip install 'churnlib[postgres]'.",
        ) from error
    with engine.connect() as connection:
        yield connection


def _is_there(connection: Connection, name: str) -> bool:
    found: object = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
    return found is not None


def _create(connection: Connection, name: str, setting: str) -> bool:
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    try:
        # from template0, to which nobody is connected: template1 cannot be copied while somebody is
        connection.exec_driver_sql(f"CREATE DATABASE {quoted} TEMPLATE template0")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _MADE_BY_ANOTHER:
            return False
        raise ChurnError(
            f"The database {name!r} of {setting} is missing and cannot be made: {_said(error)}.",
            hint=f"Let its administrator make it: CREATE DATABASE {quoted.replace('%%', '%')};",
        ) from None
    return True


def _in_words(error: DBAPIError, url: URL, setting: str, *, and_then: str = "") -> ChurnError:
    said = _said(error)
    message = f"{place(url)} ({setting}) cannot be used: {said}"
    if and_then and and_then != said.replace(f'"{url.database}"', f'"{MAINTENANCE}"'):
        message += f"; nor can the database {MAINTENANCE!r} of its server: {and_then}"
    if _LASTING.search(said):
        return ChurnError(f"{message}.", hint=f"Correct the user, the password or the database in {setting}.")
    return ServiceUnavailable(f"{message}.", hint=f"Start its server or correct {setting}, then repeat.")


def _said(error: DBAPIError) -> str:
    """One line of what the driver says; it repeats neither the URL nor the statement."""
    whole = str(error.orig).strip() or "no answer"
    found = _SAID.search(whole)
    return (found["server"] if found else whole.partition("\n")[0]).strip().rstrip(".")


def _parsed(url: str) -> URL | None:
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):  # its text would repeat the URL with its password
        return None
    return parsed.set(drivername="postgresql+psycopg") if parsed.get_backend_name() == "postgresql" else None
