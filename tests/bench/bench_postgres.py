"""Predictions into PostgreSQL, with the primary key on: ours against pandas and against row inserts.

python tests/bench/bench_postgres.py [--rows 100000 1000000] [--peer-rows 100000] [--repeat 3]

Every measurement is a process of its own against one server that this run starts, with its settings as they
come (fsync on). Peers get their rows ready in memory; ours reads them from Parquet while it writes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

ROOT = Path(__file__).resolve().parents[2]
AS_OF = date(2026, 3, 2)
NO_SERVER = "no PostgreSQL server here: install postgresql, or pip install pgserver"
AIM = 15  # times as fast as `to_sql`
MODEL, BATCH, RUN = "telco", "5f" * 32, "3f2b8c1e-8f6e-4b77-9f0f-6a5f2c0c9a11"
TYPES = {"String": "text", "Float64": "double precision", "Int8": "smallint", "Int64": "bigint", "Date": "date"}


def predictions(rows: int) -> pl.DataFrame:
    """Predictions as scoring makes them, with reasons for everyone; customers in no order."""
    draw = np.random.default_rng(rows)
    probability = draw.random(rows)
    columns: dict[str, Any] = {
        "customer_id": pl.Series(draw.permutation(rows)).cast(pl.String).str.zfill(9),
        "as_of": pl.repeat(AS_OF, rows, eager=True),
        "probability": probability,
        "margin": np.log(probability / (1 - probability)),
        "percentile": draw.random(rows) * 100,
        "decile": pl.Series(draw.integers(1, 11, rows), dtype=pl.Int8),
        "value_at_risk": probability * 50,
    }
    for k in (1, 2, 3):
        columns[f"reason_{k}_feature"] = pl.Series(draw.integers(0, 40, rows)).cast(pl.String) + "_charges"
        columns[f"reason_{k}_value"] = pl.Series((draw.random(rows) * 100).round(2)).cast(pl.String)
        columns[f"reason_{k}_log_odds"] = draw.normal(size=rows)
    scored_at = pl.lit(datetime(2026, 3, 2, 9, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    constants = {"model": MODEL, "version": pl.lit(7, pl.Int64), "run_id": RUN, "batch_id": BATCH}
    literals = {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in constants.items()}
    return pl.DataFrame(columns).with_columns(**literals, scored_at=scored_at)


def binaries() -> Path | None:
    """The folder with PostgreSQL's programs; None where there are none."""
    wheel = importlib.util.find_spec("pgserver")
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    places += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def postgres() -> Iterator[tuple[str, psutil.Process]]:
    """URL and main process of a server of our own; PostgreSQL refuses to run as root, so not as root."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="churn-bench-"))
    user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody", "nogroup")

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **user)

    call("initdb", "-U", "churn", "-A", "trust", "-E", "UTF8", "--no-locale")
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=", "start")
    try:
        main = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        yield f"postgresql://churn@/postgres?host={folder}", psutil.Process(main)
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def ours(url: str, file: Path) -> Callable[[], object]:
    """What the product does."""
    from churnlib.adapters.postgres_table import PostgresTable

    table = PostgresTable(url)
    table.remove(MODEL, BATCH)
    return lambda: table.replace(MODEL, BATCH, AS_OF, pl.scan_parquet(file))


def to_sql(url: str, file: Path) -> Callable[[], object]:
    """What most do: `DataFrame.to_sql` into a table with that key, its defaults otherwise."""
    from sqlalchemy import create_engine

    frame = pl.read_parquet(file)
    prepare_peer(url, frame)
    rows, engine = frame.to_pandas(), create_engine(url.replace("postgresql", "postgresql+psycopg", 1))
    return lambda: rows.to_sql("peer", engine, if_exists="append", index=False)


def row_inserts(url: str, file: Path) -> Callable[[], object]:
    """Psycopg 3 without pandas: `executemany`, which sends rows in a pipeline, in one transaction."""
    import psycopg

    frame = pl.read_parquet(file)
    prepare_peer(url, frame)
    rows, marks = frame.rows(), ", ".join(["%s"] * frame.width)

    def write() -> None:
        with psycopg.connect(url) as connection:
            connection.cursor().executemany(f"INSERT INTO peer VALUES ({marks})".encode(), rows)

    return write


PATHS = {"ours": ours, "to_sql": to_sql, "row_inserts": row_inserts}


def prepare_peer(url: str, frame: pl.DataFrame) -> None:
    """An empty table with the same columns and the same primary key, its columns in the same order."""
    import psycopg

    columns = [f"{name} {TYPES.get(str(dtype), 'timestamptz')}" for name, dtype in frame.schema.items()]
    key = "PRIMARY KEY (customer_id, model, batch_id, version)"
    with psycopg.connect(url) as connection:
        connection.execute(b"DROP TABLE IF EXISTS peer")
        connection.execute(f"CREATE TABLE peer ({', '.join([*columns, key])})".encode())


def measure(name: str, url: str, file: Path) -> dict[str, float]:
    """One write in this process: seconds of wall, seconds of this process's processor, peak memory in MiB."""
    write = PATHS[name](url, file)
    cpu, wall = time.process_time(), time.perf_counter()
    write()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**seconds, "peak": peak()}


def peak() -> float:
    """Largest resident memory in MiB since this program began; `ru_maxrss` would count its parent's as well."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def fresh(url: str, name: str) -> str:
    """URL of an empty database of that name."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(b"CHECKPOINT")
    return url.replace("/postgres?", f"/{name}?")


def in_child(url: str, server: psutil.Process, name: str, file: Path) -> dict[str, float]:
    """Measure in a process of its own, into an empty database; `server` is its connections' processor seconds."""
    command = [sys.executable, __file__, "--one", name, "--file", str(file), "--url", fresh(url, "bench")]
    before = served(server)
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return {**measured, "server": served(server) - before}


def served(server: psutil.Process) -> float:
    """Processor seconds of all connections that have ended."""
    time.sleep(0.3)
    times = server.cpu_times()
    return float(times.children_user + times.children_system)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def median_of(measured: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in measured) for key in measured[0]}


def compare(url: str, server: psutil.Process, folder: Path, sizes: list[int], peer_rows: int, repeat: int) -> None:
    """Print a line a measurement and the ratios, in rows per second, at the sizes of each."""
    cases = [("to_sql", peer_rows), ("row_inserts", peer_rows), *(("ours", size) for size in sizes)]
    for size in {rows for _, rows in cases}:
        predictions(size).write_parquet(folder / f"{size}.parquet", row_group_size=131_072)
    found: dict[tuple[str, int], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(repeat):  # in turns, so that a slow minute of the machine falls on all
        for name, rows in cases:
            found[name, rows].append(in_child(url, server, name, folder / f"{rows}.parquet"))
    say(f"{'':12}       rows  wall s client s server cpu s    MiB    rows/s  rows/cpu-s")
    rates = {case: report(*case, measured) for case, measured in found.items()}
    for peer in ("to_sql", "row_inserts"):
        for at, unit in enumerate(("wall", "cpu")):
            ratios = {size: rates["ours", size][at] / rates[peer, peer_rows][at] for size in sizes}
            told = ", ".join(f"{ratio:.1f}x at {size:,} rows" for size, ratio in ratios.items())
            aim = f" (aim: at least {AIM}x)" if peer == "to_sql" else ""
            say(f"ours against {peer} at {peer_rows:,} rows, {unit}: {told}{aim}")


def report(name: str, rows: int, measured: list[dict[str, float]]) -> tuple[float, float]:
    """Print the medians; rows per second, and per processor second of client and server together."""
    one = median_of(measured)
    rates = rows / one["wall"], rows / (one["cpu"] + one["server"])
    numbers = f"{one['wall']:7.2f} {one['cpu']:7.2f} {one['server']:12.2f} {one['peak']:6.0f}"
    rounds = " ".join(f"{each['wall']:.2f}" for each in measured)
    say(f"{name:12} {rows:10,} {numbers} {rates[0]:9,.0f} {rates[1]:11,.0f}  wall of each round: {rounds}")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", choices=PATHS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        say(json.dumps(measure(given.one, given.url, given.file)))
        return
    if binaries() is None:
        say(NO_SERVER)
        return
    with postgres() as (url, server), tempfile.TemporaryDirectory() as folder:
        say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {predictions(1).width} columns")
        compare(url, server, Path(folder), given.rows, given.peer_rows, given.repeat)


if __name__ == "__main__":
    main()
