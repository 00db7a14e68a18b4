"""What scoring ten rows costs: the command from nothing, its imports, and the same in a process that is warm."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from churnlib.spec import ID, LABEL
from tests.bench.scoring import data
from tests.bench.scoring.measuring import environment, say

COMMAND = ("-c", "from flows.cli import main; main()")
ROWS = 10

_IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*([^.\s]+)")

WARM = """
import statistics, sys, time
from pathlib import Path
from churnlib.settings import Settings
from churnlib.usecases.scoring import score_file
from churnlib.usecases.services import Run
from flows.wiring import services
wired, found = services(Settings()), []
for path in map(Path, sys.argv[1:]):
    cpu, wall = time.process_time(), time.perf_counter()
    assert score_file(wired, Run("warm", "bench"), model=%r, path=path).state == "scored"
    found.append((time.perf_counter() - wall, time.process_time() - cpu))
print(found[0][0], *(statistics.median(column) for column in zip(*found[1:])))
"""


def cold(folder: Path, repeat: int) -> None:
    """Print wall and processor seconds of `churn score` on ten rows, and where the imports go."""
    files = [small(folder, number) for number in range(repeat + 12)]
    home = {**environment(), "CHURN_HOME": str(folder / "home"), "CHURN_USER": "bench"}
    spent = [command_seconds([*COMMAND, "score", data.MODEL, str(file)], home) for file in files[: repeat + 1]]
    helped = [command_seconds([*COMMAND, "--help"], home) for _ in range(repeat + 1)]
    # the first one finds the disk's cache cold
    for name, runs in (("churn score, ten rows", spent[1:]), ("churn --help", helped[1:])):
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        say(f"{name}: {wall:.2f} s wall, {cpu:.2f} cpu s (median of {len(runs)})")
    say_imports([*COMMAND, "score", data.MODEL, str(files[repeat + 1])], home)
    script = WARM % data.MODEL
    command = [sys.executable, "-c", script, *map(str, files[repeat + 2 : repeat + 12])]
    done = subprocess.run(command, env=home, check=True, capture_output=True, text=True)
    first, wall, cpu = (float(text) for text in done.stdout.split())
    say(f"score_file in one process: first {first:.2f} s, then {wall * 1000:.0f} ms wall, {cpu * 1000:.0f} cpu ms")


def small(folder: Path, seed: int) -> Path:
    """Ten rows, other ones for each seed, because the same are never scored twice."""
    path = folder / f"small-{seed}.parquet"
    frame = data.customers(ROWS, seed=1000 + seed)
    frame.drop(LABEL).rename({ID: "customer"}).write_parquet(path)
    return path


def command_seconds(arguments: list[str], home: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of a whole process, with its children."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def say_imports(arguments: list[str], home: dict[str, str], top: int = 10) -> None:
    """The time that modules themselves take to import, by the package they belong to."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, env=home, check=True, capture_output=True, text=True)
    packages: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        if found := _IMPORTED.match(line):
            packages[found[2]] += int(found[1])
    say(f"imports: {sum(packages.values()) / 1e6:.2f} s wall in {len(packages)} packages, timed one by one")
    say("  " + ", ".join(f"{name} {micros / 1e6:.2f}" for name, micros in packages.most_common(top)))
