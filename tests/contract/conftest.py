"""A real PostgreSQL server, and a moto server that answers as AWS does, for suites over several stores."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "sesame-7Hq"
INITDB = ("-U", "churn", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--no-locale")
_NAMES = itertools.count()


@dataclass
class PostgresServer:
    """A private server on a unix socket; every database that a test asks for is new."""

    folder: Path
    binaries: Path
    process: subprocess.Popen[bytes] | None = None
    user: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        settings = ("listen_addresses=", "fsync=off", "max_connections=60", "timezone=Asia/Tokyo")
        options = [part for setting in settings for part in ("-c", setting)]
        # its own session, so that Ctrl-C ends the tests first and the fixture then ends the server
        self.process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, start_new_session=True, **self.user
        )
        log.close()
        for _ in range(300):
            if (self.folder / ".s.PGSQL.5432").exists() and self._answers():
                return
            time.sleep(0.05)
        pytest.fail(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: at once
            self.process.wait(20)
            self.process = None

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://churn:{password}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """URL of an empty database."""
        name = f"ledger_{next(_NAMES)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> None:
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _binaries() -> Path | None:
    """The folder with `postgres` and `initdb`: on the path, Debian's, or the wheel `pgserver`."""
    wheel = importlib.util.find_spec("pgserver")
    places = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    complete = (place for place in places if all((place / name).exists() for name in ("postgres", "initdb")))
    return next(complete, None)


def _missing() -> str | None:
    if importlib.util.find_spec("psycopg") is None:
        return "no psycopg: pip install 'churnlib[postgres]'"
    if _binaries() is None:
        return "no PostgreSQL server: install postgresql, or pip install pgserver"
    return None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server with password authentication; skips where there is none, except in CI."""
    if missing := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}, and CI has to run over PostgreSQL")
        pytest.skip(missing)
    binaries = _binaries()
    assert binaries is not None
    # not below pytest's folder: that one is closed to the other user, and too long for a socket's path
    folder = Path(tempfile.mkdtemp(prefix="churn-pg-"))
    server = PostgresServer(folder, binaries)
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        server.user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody", "nogroup")
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        subprocess.run(
            [str(binaries / "initdb"), "-D", str(folder / "data"), "--pwfile", str(secret), *INITDB],
            check=True,
            capture_output=True,
            cwd="/",
            **server.user,
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@dataclass
class AwsServer:
    """A moto server in a thread of this process, on a port of its own; what it holds survives a stop."""

    port: int = 0
    server: Any = None
    clients: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        import boto3

        if service not in self.clients:
            self.clients[service] = boto3.session.Session().client(service, endpoint_url=self.endpoint)
        return self.clients[service]

    def new_bucket(self) -> str:
        """URL of a prefix in an empty bucket."""
        name = f"churn-{next(_NAMES)}"
        self.client("s3").create_bucket(Bucket=name)
        return f"s3://{name}/some/prefix"

    def keys(self, url: str) -> list[str]:
        """Everything below the URL, named from there on."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        return [found["Key"].removeprefix(f"{prefix}/") for page in pages for found in page.get("Contents", ())]


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    """The session's server; skips where moto is missing, except in CI."""
    missing = [name for name in ("boto3", "moto", "flask") if importlib.util.find_spec(name) is None]
    if missing:
        said = f"no {missing[0]}: pip install 'churnlib[dev]'"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{said}, and CI has to run over S3")
        pytest.skip(said)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = AwsServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def aws(aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """The server, up, and an environment with credentials for it and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-9Kd",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield aws_server
    if aws_server.server is None:  # for the next test
        aws_server.start()
