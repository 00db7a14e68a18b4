"""Processes measured from outside, and tables and ratios of what was found."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = ("polars", "numpy", "numba", "xgboost", "pandas", "mlflow", "sqlalchemy")
VECTORS = ("avx2", "avx512f", "avx512bw", "neon", "sve")

_SAMPLED_SECONDS = 0.01


@dataclass
class Found:
    """What the runs of one contestant cost.

    Attributes:
        runs: of each run, `cpu`, `wall`, `peak` and `anonymous` (MiB), `start_up_cpu`, `start_up_wall`.
        stages: of each run, processor seconds by stage, where it tells.
    """

    runs: list[dict[str, float]] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, name: str) -> float:
        return statistics.median(run[name] for run in self.runs)

    def stage(self, name: str) -> float:
        return statistics.median(stages[name] for stages in self.stages)


def environment() -> dict[str, str]:
    """Of every process: compiled bytecode as after any install, and threads that do not spin while they wait."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}


def run_contestant(
    name: str, folder: Path, file: Path, *options: str, into: Found, keep: Path | None = None
) -> None:
    """One run in a process of its own, in a folder that is thrown away (or kept, where one is given)."""
    with tempfile.TemporaryDirectory(dir=folder) as thrown:
        out = keep or Path(thrown)
        command = ["-m", "tests.bench.scoring.contestants", name, str(folder), str(file), str(out), *options]
        told, anonymous = watched([sys.executable, *command])
    answer = json.loads(told.splitlines()[-1])
    into.runs.append({**answer["found"], "anonymous": anonymous})
    into.stages.append(answer["stages"])


def watched(command: Sequence[str]) -> tuple[str, float]:
    """Standard output of a command, and the largest anonymous resident memory that was seen, in MiB."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(), cwd=ROOT
        ) as process,
    ):
        largest, status = 0.0, Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            largest = max(largest, anonymous(status))
            time.sleep(_SAMPLED_SECONDS)
        assert process.stdout is not None
        told = process.stdout.read()
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read()[-4000:]}")
    return told, largest


def anonymous(status: Path) -> float:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), 0.0)


def say(text: str = "", end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def say_machine() -> None:
    """The machine, as far as it decides on speed."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    facts = dict(line.split(":", 1) for line in info.split("\n\n")[0].splitlines() if ":" in line)
    named = {name.strip(): value.strip() for name, value in facts.items()}
    flags = named.get("flags", named.get("Features", "")).split()
    kind = f"{named.get('model name', platform.processor())} (family {named.get('cpu family', '?')})"
    memory = psutil.virtual_memory().total / 2**30
    vectors = " ".join(name for name in VECTORS if name in flags)
    say(f"machine: {kind}, {os.cpu_count()} cores, {vectors}, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    say(f"python {platform.python_version()}, {versions}")


def say_table(found: dict[str, Found], rows: int) -> None:
    """A line a contestant; start-up is imports and getting the model ready, `all` is both together."""
    say(f"{'':20}   cpu s  wall s rows/cpu-s | start-up cpu s  all cpu s  all wall s | ", end="")
    say("peak MiB anonymous | cpu of each")
    for name, one in found.items():
        cpu, wall, start = one["cpu"], one["wall"], one["start_up_cpu"]
        whole = f"{start + cpu:10.2f} {one['start_up_wall'] + wall:11.2f}"
        memory = f"{one['peak']:9.0f} {one['anonymous']:10.0f}"
        each = " ".join(f"{run['cpu']:.2f}" for run in one.runs)
        say(f"{name:20} {cpu:7.2f} {wall:7.2f} {rows / cpu:10,.0f} {start:16.2f} {whole} {memory}   {each}")


def say_aim(what: str, found: float, aim: float, *, at_most: bool = False, unit: str = "x") -> None:
    """One ratio beside its aim."""
    reached = found <= aim if at_most else found >= aim
    bound = "at most" if at_most else "at least"
    verdict = "reached" if reached else "NOT reached"
    say(f"  {what}: {found:,.2f}{unit} (aim: {bound} {aim:,g}{unit}) {verdict}")
