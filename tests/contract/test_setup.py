"""`churn setup` over a real PostgreSQL and an S3 makes what is missing, changes nothing again, tells no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from churnlib.adapters.ledger import SqlLedger
from churnlib.adapters.mlflow_registry import MlflowRegistry
from churnlib.adapters.mlflow_setup import prepare_tracking
from churnlib.adapters.postgres_setup import prepare_database
from churnlib.errors import ChurnError
from churnlib.records import KnownVariant
from flows.cli import app
from tests.contract.conftest import PASSWORD, PostgresServer

Setup = Callable[..., tuple[int, dict[str, tuple[str, str]]]]
"""Runs `churn setup --json`; gives its exit code, and (state, what it said) by part."""

SPEC = """
[columns]
id = "customer"
[variants]
dimensions = { geography = "region" }
experiment = "churn_prediction"
[features.tenure]
type = "number"
[features.region]
type = "category"
input_only = true
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import os

    for name in [name for name in os.environ if name.startswith("CHURN_") or name == "PREFECT_API_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "to be absent again afterwards")
    monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL")
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "shop.toml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def setup(home: Path) -> Setup:
    def call(*options: str) -> tuple[int, dict[str, tuple[str, str]]]:
        result = CliRunner().invoke(app, ["setup", "--json", *options])
        assert PASSWORD not in result.output
        parts = json.loads(result.stdout)["parts"]
        return result.exit_code, {
            each["part"]: (each["state"], f"{each['said']} {each['hint']}") for each in parts
        }

    return call


def states(parts: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {part: state for part, (state, _) in parts.items()}


def everything(monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer, aws: Any, store: str, name: str) -> None:
    url = postgres.url(name)
    for variable in ("CHURN_LEDGER_URL", "CHURN_PREDICTIONS_URL", "CHURN_MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(
            variable, url if variable != "CHURN_MLFLOW_TRACKING_URI" else postgres.url(f"{name}_mlflow")
        )
    monkeypatch.setenv("CHURN_STORE_URL", store)
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", aws.endpoint)


def test_all_of_it_is_made_once_and_was_there_the_second_time(
    setup: Setup, postgres: PostgresServer, aws: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    store = f"s3://fresh-{home.name.replace('_', '-')[-20:].lower()}/some/prefix"
    everything(monkeypatch, postgres, aws, store, "Whole Loop")
    code, parts = setup("--create-bucket")
    assert code == 0, parts
    assert states(parts) == {
        "specs": "was there",
        "credentials": "was there",
        "database": "done",
        "ledger": "done",
        "MLflow": "done",
        "bucket": "done",
        "artifacts": "was there",
        "experiments": "done",
        "inbox": "done",
        "inbox on S3": "done",
    }
    assert aws.keys(store) == ["incoming/shop/", "incoming/shop/outcomes/"]
    with SqlLedger.open(postgres.url("Whole Loop")) as ledger, ledger.begin() as tx:
        slice_us = KnownVariant(
            model="shop-us", family="shop", dimensions={"geography": "US"}, first_as_of=date(2026, 1, 5)
        )
        tx.save_variants([slice_us])
    code, again = setup()
    assert code == 0
    assert {part: state for part, state in states(again).items() if state != "was there"} == {
        "experiments": "done"
    }
    assert "churn_prediction-geography-us" in again["experiments"][1]
    code, third = setup()
    assert (code, set(states(third).values())) == (0, {"was there"})
    from mlflow import MlflowClient

    client = MlflowClient(postgres.url("Whole Loop_mlflow").replace("postgresql:", "postgresql+psycopg:"))
    experiment = client.get_experiment_by_name("churn_prediction-geography-us")
    assert experiment is not None
    assert experiment.artifact_location == f"{store}/mlflow/churn_prediction-geography-us"


def test_an_inbox_that_was_set_up_is_empty(
    setup: Setup, aws: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    from churnlib.settings import Settings
    from flows.wiring import services

    monkeypatch.setenv("CHURN_STORE_URL", aws.new_bucket())
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", aws.endpoint)
    assert setup()[0] == 0
    wired = services(Settings())
    assert list(wired.inbox.pending("shop")) == list(wired.inbox.pending_outcomes("shop")) == []


def test_a_bucket_is_not_made_unasked(setup: Setup, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_STORE_URL", "s3://nobody-made-this/x")
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", aws.endpoint)
    code, parts = setup()
    assert code == 2
    assert parts["bucket"][0] == "to mend"
    assert "churn setup --create-bucket" in parts["bucket"][1]
    assert parts["ledger"][0] == "done"
    assert "nobody-made-this" not in [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]


def test_what_is_down_is_named_and_the_rest_goes_on(
    setup: Setup, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_STORE_URL", aws.new_bucket())
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CHURN_PREDICTIONS_URL", f"postgresql://churn:{PASSWORD}@127.0.0.1:1/predictions")
    code, parts = setup()
    assert code == 3
    found = {part for part, state in states(parts).items() if state == "unreachable"}
    assert found == {"database", "bucket", "artifacts", "inbox on S3"}
    assert "CHURN_PREDICTIONS_URL" in parts["database"][1]
    assert states(parts)["ledger"] == states(parts)["inbox"] == "done"


def test_a_wrong_password_is_to_be_mended_and_not_told(
    setup: Setup, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_PREDICTIONS_URL", postgres.url("predictions", password="Wr%40ng"))
    code, parts = setup()
    assert code == 2
    assert parts["database"][0] == "to mend"
    assert "authentication failed" in parts["database"][1]
    assert "Wr" not in str(parts)


def test_a_broken_spec_does_not_keep_the_others_waiting(setup: Setup, home: Path) -> None:
    (home / "models" / "broken.toml").write_text("nonsense = 1")
    code, parts = setup()
    assert (code, parts["specs"][0]) == (2, "to mend")
    assert "broken" in parts["specs"][1]
    assert "churn_prediction" in parts["experiments"][1]
    assert [path.name for path in (home / "data" / "incoming").iterdir()] == ["shop"]


def test_credentials_come_from_secrets_manager(
    setup: Setup, postgres: PostgresServer, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = aws.client("secretsmanager").create_secret(
        Name="churn/setup", SecretString=json.dumps({"username": "churn", "password": PASSWORD})
    )
    monkeypatch.setenv("CHURN_DATABASE_SECRET", "churn/setup")
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("CHURN_LEDGER_URL", f"postgresql:///by_secret?host={postgres.folder}")
    code, parts = setup()
    assert code == 0, parts
    assert states(parts)["database"] == states(parts)["ledger"] == "done"
    assert secret["Name"] in parts["credentials"][1]


@pytest.mark.parametrize("name", ['with "quotes" and %s', "Groß-Klein", "x; DROP TABLE y"])
def test_any_name_can_be_a_database(postgres: PostgresServer, name: str) -> None:
    from sqlalchemy import make_url

    url = make_url(postgres.url()).set(database=name).render_as_string(hide_password=False)
    assert [prepare_database(url, "X").is_new for _ in range(2)] == [True, False]


def test_many_setups_at_once_make_one_database(postgres: PostgresServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: prepare_database(postgres.url("raced"), "X").is_new, range(8)))
    assert sum(made) == 1


def test_without_the_right_to_make_it_an_administrator_is_told_how(postgres: PostgresServer) -> None:
    postgres.execute("CREATE ROLE small LOGIN PASSWORD 'sm-4Lk'")
    url = postgres.url("not_there").replace(f"churn:{PASSWORD}", "small:sm-4Lk")
    with pytest.raises(ChurnError, match="missing and cannot be made: permission denied") as said:
        prepare_database(url, "CHURN_LEDGER_URL")
    assert said.value.hint == 'Let its administrator make it: CREATE DATABASE "not_there";'
    assert "sm-4Lk" not in str(said.value)


def test_tables_of_another_mlflow_are_not_touched(postgres: PostgresServer) -> None:
    url = postgres.new_database().replace("postgresql:", "postgresql+psycopg:")
    assert prepare_tracking(url).is_new
    plain = url.replace("+psycopg", "")
    postgres.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'", plain)
    with pytest.raises(ChurnError, match="of another version of MLflow") as said:
        prepare_tracking(f"{url}&application_name=later")  # MLflow looks once a process and URI
    assert "mlflow db upgrade" in said.value.hint
    assert PASSWORD not in str(said.value)


def test_experiments_that_are_there_keep_their_artifacts(
    setup: Setup, home: Path, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup()[0] == 0
    monkeypatch.setenv("CHURN_ARTIFACT_ROOT", aws.new_bucket())
    monkeypatch.setenv("CHURN_S3_ENDPOINT_URL", aws.endpoint)
    code, parts = setup()
    assert (code, parts["experiments"][0]) == (0, "was there")
    assert "those of churn_prediction keep their artifacts where they were" in parts["experiments"][1]
    assert MlflowRegistry(f"sqlite:///{home}/data/mlflow/mlflow.db", "x", home).models() == []
