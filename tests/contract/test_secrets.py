"""User and password of the databases come from Secrets Manager, and show nowhere."""

from __future__ import annotations

import itertools
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from churnlib.adapters import s3_client
from churnlib.adapters.secrets import database_credentials, with_credentials
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.settings import Settings
from flows import wiring

PASSWORD = "p@ss/w:rd %7Hq?&#"
_NAMES = itertools.count()

NewSecret = Callable[[object], str]


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    database_credentials.cache_clear()
    yield
    database_credentials.cache_clear()


@pytest.fixture
def new_secret(aws: Any) -> NewSecret:
    """Keep something in Secrets Manager, text as it is and the rest as JSON; returns its name."""

    def make(content: object) -> str:
        name = f"churn/database-{next(_NAMES)}"
        kind = "SecretBinary" if isinstance(content, bytes) else "SecretString"
        kept = content if isinstance(content, str | bytes) else json.dumps(content)
        aws.client("secretsmanager").create_secret(Name=name, **{kind: kept})
        return name

    return make


@pytest.fixture
def secret(new_secret: NewSecret) -> str:
    return new_secret({"username": "ch urn", "password": PASSWORD, "engine": "postgres"})


def test_a_secret_is_read_by_name_and_by_arn(aws: Any, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = database_credentials(secret, aws.endpoint)
    assert (found.username.get_secret_value(), found.password.get_secret_value()) == ("ch urn", PASSWORD)
    monkeypatch.delenv("AWS_DEFAULT_REGION")  # the ARN says it
    arn = aws.client("secretsmanager").describe_secret(SecretId=secret)["ARN"]
    assert database_credentials(arn, aws.endpoint) == found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db.example/churn",
        "postgres://db.example:5433/churn?sslmode=require",
        "postgresql+psycopg://db.example/mlflow",
        "postgresql:///churn?host=/run/postgresql",
        "mysql+pymysql://db.example/mlflow",
    ],
)
def test_a_database_url_without_a_user_gets_both(aws: Any, secret: str, url: str) -> None:
    from sqlalchemy import make_url

    named = with_credentials(url, secret, aws.endpoint)
    parsed = make_url(named.get_secret_value())
    assert (parsed.username, parsed.password) == ("ch urn", PASSWORD)
    assert " " not in named.get_secret_value()  # libpq takes none
    others = ("drivername", "host", "port", "database", "query")
    assert [getattr(parsed, name) for name in others] == [getattr(make_url(url), name) for name in others]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////data/ledger.db",
        "postgresql://me@db.example/churn",
        "postgresql://me:mine@db.example/churn",
        "postgresql://db.example/churn?user=me",
        "https://mlflow.example",
        "http://127.0.0.1:5000",
        "file:///mlruns",
        "databricks",
        "no url at all",
        "",
    ],
)
def test_any_other_url_stays_as_it_is_and_nobody_is_asked(url: str) -> None:
    assert with_credentials(url, "churn/nowhere", "http://127.0.0.1:9").get_secret_value() == url


def test_without_the_setting_every_url_stays_as_it_is() -> None:
    assert (
        with_credentials("postgresql://db.example/churn", None).get_secret_value()
        == "postgresql://db.example/churn"
    )


def test_it_is_asked_for_once_a_process(aws: Any, secret: str) -> None:
    first = database_credentials(secret, aws.endpoint)
    aws.stop()
    assert database_credentials(secret, aws.endpoint) is first


def test_an_outage_passes_and_is_not_remembered(aws: Any, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    aws.stop()
    with pytest.raises(ServiceUnavailable, match=r"The secret 'churn/database-\d+' .* Could not connect"):
        database_credentials(secret, aws.endpoint)
    aws.start()
    assert database_credentials(secret, aws.endpoint).username.get_secret_value() == "ch urn"


def test_a_secret_that_is_not_there_does_not_pass(aws: Any) -> None:
    with pytest.raises(ChurnError, match="churn/nowhere") as refusal:
        database_credentials("churn/nowhere", aws.endpoint)
    assert not isinstance(refusal.value, ServiceUnavailable)
    assert "CHURN_DATABASE_SECRET" in refusal.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "sesame-7Hq",
        '{"username": "churn", "password": "sesame-7Hq"',
        '["churn", "sesame-7Hq"]',
        {"user": "churn", "password": "sesame-7Hq"},
        {"username": "churn"},
        {"username": "churn", "password": ""},
        {"username": "churn", "password": 77},
        {"username": None, "password": "sesame-7Hq"},
        b'{"username": "churn", "password": "sesame-7Hq"}',
    ],
)
def test_a_secret_of_another_form_is_refused_and_not_repeated(
    aws: Any, new_secret: NewSecret, content: object
) -> None:
    name = new_secret(content)
    with pytest.raises(ChurnError, match="is not JSON with a username and a password") as refusal:
        database_credentials(name, aws.endpoint)
    assert not isinstance(refusal.value, ServiceUnavailable)
    assert refusal.value.__context__ is None
    assert "7Hq" not in "".join(traceback.format_exception(refusal.value))


def test_no_value_shows_in_a_repr_or_a_log(aws: Any, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        named = with_credentials("postgresql://db.example/churn", secret, aws.endpoint)
    shown = f"{named} {named!r} {database_credentials(secret, aws.endpoint)} {caplog.text}"
    assert isinstance(named, SecretStr)
    assert "7Hq" not in shown
    assert "ch urn" not in shown


def test_ledger_and_predictions_open_with_it(
    aws: Any, new_secret: NewSecret, postgres: Any, tmp_path: Path
) -> None:
    postgres.execute("CREATE ROLE \"ch urn\" LOGIN SUPERUSER PASSWORD 'p@ss/w:rd %7Hq?&#'")
    database = postgres.new_database().partition("@/")[2]
    settings = Settings(
        home=tmp_path,
        ledger_url=SecretStr(f"postgresql:///{database}"),
        predictions_url=SecretStr(f"postgresql:///{database}"),
        database_secret=new_secret({"username": "ch urn", "password": PASSWORD}),
        s3_endpoint_url=aws.endpoint,
    )
    wired = wiring.services(settings)
    with wired.ledger.begin() as tx:
        assert tx.batches() == []
    place = wired.predictions.replace("telco", "b1", date(2026, 3, 2), pl.LazyFrame({"customer_id": ["a"]}))
    assert wired.predictions.scan("telco") is not None
    assert "7Hq" not in place + repr(wired)


def test_a_wrong_password_in_it_is_not_repeated(
    aws: Any, new_secret: NewSecret, postgres: Any, tmp_path: Path
) -> None:
    settings = Settings(
        home=tmp_path,
        ledger_url=SecretStr(f"postgresql:///churn?host={postgres.folder}"),
        database_secret=new_secret({"username": "churn", "password": "wrong-7Hq"}),
        s3_endpoint_url=aws.endpoint,
    )
    with pytest.raises(ChurnError, match="password authentication failed") as refusal:
        wiring.services(settings)
    assert "7Hq" not in str(refusal.value)
