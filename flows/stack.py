"""The local stack as child processes: Prefect server, worker, watcher, MLflow, approvals; on loopback, by pid."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from churnlib.errors import ServiceUnavailable
from churnlib.settings import ROOT, Settings, child_environment
from flows.processes import is_alive, stop_family

START_SECONDS = 120.0
LOOPBACK = "127.0.0.1"


@dataclass
class Stack:
    """Five processes that live and die with this object.

    Used as a context manager: whatever was started is stopped when the block ends, however it ends.

    Attributes:
        settings: `home` decides where every state lies.
        poll_seconds: how often the worker looks for runs.
    """

    settings: Settings
    poll_seconds: int = 1
    prefect_port: int = 0
    mlflow_port: int = 0
    approvals_port: int = 0
    children: list[tuple[str, psutil.Popen]] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def prefect_url(self) -> str:
        """The Prefect UI."""
        return f"http://{LOOPBACK}:{self.prefect_port}"

    @property
    def prefect_api_url(self) -> str:
        """The Prefect API."""
        return f"{self.prefect_url}/api"

    @property
    def mlflow_url(self) -> str:
        """The MLflow UI."""
        return f"http://{LOOPBACK}:{self.mlflow_port}"

    @property
    def approvals_url(self) -> str:
        """The approvals service."""
        return f"http://{LOOPBACK}:{self.approvals_port}"

    def __enter__(self) -> Self:
        stop_leftovers(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_prefect(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Start Prefect's server and wait for it.

        Raises:
            ServiceUnavailable: the server ended or did not answer in time; names its log.
        """
        self.prefect_port, self.mlflow_port, self.approvals_port = _free_ports(3)
        say("starting the Prefect server")
        self._start("prefect", ["-m", "prefect", "server", "start"])
        self._wait("prefect", f"{self.prefect_api_url}/health")

    def start_workers(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Start the process worker and the approvals service; the work pool has to be there."""
        say("starting the worker and the approvals service")
        # no --limit: a run that is resumed before its suspended process has gone would take a second place,
        # and Prefect 3.8's worker dies of that ("this borrower is already holding one of this
        # CapacityLimiter's tokens")
        pool = ["--pool", "churn", "--type", "process", "--name", "local"]
        self._start("worker", ["-m", "prefect", "worker", "start", *pool])
        self._start("approvals", ["-m", "flows.cli", "approvals", "--port", str(self.approvals_port)])
        self._wait("approvals", f"{self.approvals_url}/health")

    def start_watcher(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Start the watcher, and with it whatever waits in the inbox; MLflow's database has to be there."""
        say("starting the watcher")
        self._start("watcher", ["-m", "flows.cli", "watch"])

    def start_mlflow(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Start MLflow's pages; its database has to be there, or two processes would create it at once."""
        say("starting MLflow's pages")
        self._start("mlflow", ["-m", "mlflow", "server", *self._mlflow_options()])

    def wait_for_mlflow(self) -> None:
        """Wait until MLflow's pages answer."""
        self._wait("mlflow", f"{self.mlflow_url}/health")

    def ended(self) -> str | None:
        """Name of a process that ended by itself, if any did."""
        return next((name for name, child in self.children if child.poll() is not None), None)

    def stop(self) -> None:
        """Stop everything that was started, with all that it started in turn; nothing starts afterwards."""
        self.is_stopped = True
        stop_family([child for _, child in self.children])
        stop_family(psutil.Process().children())  # a deployment that was under way
        self.children.clear()
        _record_path(self.settings).unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """What the children are told beyond this process's own environment."""
        return {
            "CHURN_HOME": str(self.settings.home.resolve()),
            "CHURN_ROOT": str(ROOT),
            "CHURN_PREFECT_API_URL": self.prefect_api_url,
            "PREFECT_API_URL": self.prefect_api_url,
            "PREFECT_HOME": str(self.settings.data / "prefect"),
            "PREFECT_SERVER_API_HOST": LOOPBACK,
            "PREFECT_SERVER_API_PORT": str(self.prefect_port),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
            "PREFECT_WORKER_QUERY_SECONDS": str(self.poll_seconds),
            "DO_NOT_TRACK": "1",
            "OMP_WAIT_POLICY": "passive",  # two runs at once spin on each other's cores otherwise
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 13 processes of its own that outlive it
            "PYTHONUNBUFFERED": "1",
            **self.settings.mlflow_environment,
        }

    def _mlflow_options(self) -> list[str]:
        place = self.settings.data / "mlflow"
        place.mkdir(parents=True, exist_ok=True)
        return [
            "--backend-store-uri",
            self.settings.tracking_uri,
            "--default-artifact-root",
            self.settings.artifact_root,
            "--host",
            LOOPBACK,
            "--port",
            str(self.mlflow_port),
            "--workers",
            "1",
            "--uvicorn-opts",
            "--log-level warning",
        ]

    def _start(self, name: str, arguments: list[str]) -> None:
        logs = self.settings.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        if self.is_stopped:
            raise ServiceUnavailable(f"{name} was not started: the stack is being stopped.", hint="Start again.")
        with (logs / f"{name}.log").open("ab") as log:
            child = psutil.Popen(
                [sys.executable, "-m", "flows.processes", sys.executable, *arguments],
                cwd=ROOT,
                env=child_environment(self.environment()),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children.append((name, child))
        _write_record(self.settings, self)

    def _wait(self, name: str, url: str) -> None:
        import httpx

        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).is_success:
                    return
            if dict(self.children)[name].poll() is not None:
                break
            time.sleep(0.2)
        log = self.settings.data / "logs" / f"{name}.log"
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise ServiceUnavailable(f"{name} did not start: {' '.join(last)}", hint=f"Its log is {log}.")


def running(settings: Settings) -> Mapping[str, str] | None:
    """The URLs of a stack that runs for this home, as its own record says; None when none does."""
    record = _read_record(settings)
    if record is None or not any(is_alive(pid, born) for pid, born in record["processes"]):
        return None
    return {str(name): str(url) for name, url in record["urls"].items()}


def stop_leftovers(settings: Settings) -> None:
    """Stop what an earlier stack of this home left behind, when it was killed before it could."""
    record = _read_record(settings)
    if record is None:
        return
    stop_family([psutil.Process(pid) for pid, born in record["processes"] if is_alive(pid, born)])
    _record_path(settings).unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _record_path(settings: Settings) -> Path:
    return settings.data / "stack.json"


def _write_record(settings: Settings, stack: Stack) -> None:
    urls = {
        "prefect": stack.prefect_url,
        "prefect_api": stack.prefect_api_url,
        "mlflow": stack.mlflow_url,
        "approvals": stack.approvals_url,
    }
    processes = [(child.pid, child.create_time()) for _, child in stack.children]
    text = json.dumps({"urls": urls, "processes": processes}, indent=2)
    temporary = _record_path(settings).with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(_record_path(settings))


def _read_record(settings: Settings) -> dict[str, Any] | None:
    try:
        record = json.loads(_record_path(settings).read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return record if isinstance(record, dict) else None
