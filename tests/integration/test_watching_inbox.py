"""`churn watch` as a process of its own: what arrives is on record within seconds, and it ends at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churnlib.events import Event
from churnlib.settings import ROOT, Settings
from flows.wiring import services
from tests.integration.conftest import MODEL

PATIENCE_SECONDS = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / "models" / f"{MODEL}.toml", tmp_path / "models")
    return tmp_path


@pytest.fixture
def watching(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, watching."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "PREFECT_"))}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "watch"],
            cwd=ROOT,
            env={**inherited, "CHURN_HOME": str(home), "CHURN_SETTLE_SECONDS": "0.5", "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until_said(home, "Watching")
        yield process
    finally:
        process.kill()
        process.wait(10)


def until_said(home: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in (log := (home / "log").read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)


def unsent(home: Path) -> list[Event]:
    """What waits for a Prefect that is not there."""
    with services(Settings(home=home, prefect_api_url=None)).ledger.begin() as tx:
        return tx.unsent()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_dropped_is_on_record_within_seconds_and_a_request_to_stop_is_heard_at_once(
    home: Path, watching: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    for name in ("week.csv", "outcomes/became.csv"):
        path = home / "data" / "incoming" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("customer\n1\n")
    until_said(home, f"{MODEL}: churn.outcomes.arrived outcomes/became.csv")
    assert sorted(str(event.payload["file"]) for event in unsent(home)) == ["outcomes/became.csv", "week.csv"]
    asked = time.monotonic()
    watching.send_signal(number)
    assert watching.wait(20) == 130
    assert time.monotonic() - asked < 5
    log = (home / "log").read_text()
    assert "Traceback" not in log
    assert "WARNING" not in log


def test_a_wrong_setting_ends_it_with_a_sentence(home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "watch"],
        cwd=ROOT,
        env={**os.environ, "CHURN_HOME": str(home), "CHURN_LEDGER_URL": "mysql://nobody"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "CHURN_LEDGER_URL is the URL of neither" in ended.stderr
