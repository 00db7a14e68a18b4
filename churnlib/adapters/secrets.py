"""User and password of the databases from AWS Secrets Manager."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from churnlib.adapters.s3_client import aws_client, aws_errors, check_aws
from churnlib.errors import ChurnError

SETTING: Final = "CHURN_DATABASE_SECRET"

_SERVERS: Final = frozenset({"postgresql", "postgres", "mysql", "mariadb", "mssql"})
_ARN: Final = re.compile(r"arn:[^:]*:secretsmanager:(?P<region>[^:]+):[^:]*:secret:.+")


@dataclass(frozen=True)
class Credentials:
    """What a database wants to know; neither value shows in a `repr`."""

    username: SecretStr
    password: SecretStr


@cache
def database_credentials(secret: str, endpoint_url: str | None = None) -> Credentials:
    """Read a secret `{"username": …, "password": …}`, once a process; other keys do not matter.

    A process that runs while the password is changed needs a restart.

    Args:
        secret: name or ARN; an ARN says the region too.
        endpoint_url: of a Secrets Manager that is not AWS's own.

    Raises:
        ServiceUnavailable: Secrets Manager cannot be reached.
        ChurnError: there is no such secret, no right to read it, or it is not such JSON.
    """
    check_aws(SETTING, endpoint_url)
    arn = _ARN.fullmatch(secret)
    with aws_errors(f"The secret {secret!r} ({SETTING}) cannot be read"):
        client = aws_client("secretsmanager", endpoint_url, region=arn["region"] if arn else None)
        content = client.get_secret_value(SecretId=secret).get("SecretString")
    return _credentials(secret, content)


def with_credentials(url: str, secret: str | None, endpoint_url: str | None = None) -> SecretStr:
    """The URL of a database server with user and password, where it names no user; any other as it is.

    Args:
        url: SQLAlchemy URL, or whatever else MLflow takes.
        secret: as in `database_credentials`, asked only where it is needed; None leaves every URL as it is.
        endpoint_url: as there.
    """
    parsed = _server(url)
    if secret is None or parsed is None or parsed.username or "user" in parsed.query:
        return SecretStr(url)
    found = database_credentials(secret, endpoint_url)
    named = parsed.set(username=found.username.get_secret_value(), password=found.password.get_secret_value())
    # SQLAlchemy leaves blanks as they are, libpq refuses them
    return SecretStr(named.render_as_string(hide_password=False).replace(" ", "%20"))


def _server(url: str) -> URL | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whoever opens it says what is wrong with it
        return None
    return parsed if parsed.drivername.partition("+")[0] in _SERVERS else None


def _credentials(secret: str, content: object) -> Credentials:
    """No error here may have another one in its wake: that of the JSON parser holds the whole secret."""
    said = _parsed(content) if isinstance(content, str) else None
    if isinstance(said, dict):
        username, password = said.get("username"), said.get("password")
        if isinstance(username, str) and isinstance(password, str) and username and password:
            return Credentials(SecretStr(username), SecretStr(password))
    raise ChurnError(
        f"The secret {secret!r} ({SETTING}) is not JSON with a username and a password.",
        hint='Make it {"username": "…", "password": "…"}, both as text.',
    )


def _parsed(content: str) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
