"""A batch scored from the inbox to the stores, against XGBoost's floor and the usual way, within one run.

python tests/bench/bench_scoring.py [--rows 1000000] [--repeat 3] [--parts parquet csv postgres stages cold]
python tests/bench/bench_scoring.py --parts scale --scale 100000 1000000 10000000

Every measurement is a process of its own. Seconds are of the processor, user and system, of the process and its
children, medians of so many rounds, contestants in turn. What a process does before it has its model loaded and
its code compiled is start-up and counted apart. Data lies in a temporary folder that is removed (TMPDIR).

  a  XGBoost's floor: read the Parquet file, predict on a matrix that is ready, write the same columns
  b  ours from the inbox to the stores and the ledger, scores alone
  c  the same with reasons for every customer
  d  the usual way: pandas, one-hot columns, pyfunc of MLflow, to_sql
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("parquet", "csv", "postgres", "stages", "cold", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-1])
    parser.add_argument(
        "--scale", type=int, nargs="+", default=[100_000, 1_000_000], help="rows, for the part scale"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
        run_parts(Path(folder), given.parts, given.rows, given.repeat, given.scale)


def run_parts(folder: Path, parts: list[str], rows: int, repeat: int, sizes: list[int]) -> None:
    """Make what the parts need and print them in turn."""
    from tests.bench.scoring import cold, contest, measuring, stages

    measuring.say_machine()
    wanted = [rows, *(sizes if "scale" in parts else [])]
    command = [sys.executable, "-m", "tests.bench.scoring.prepare", str(folder)]
    suffixes = ["parquet", *(["csv"] if "csv" in parts else [])]
    measuring.watched([*command, "--rows", *map(str, dict.fromkeys(wanted)), "--suffixes", *suffixes])
    if "parquet" in parts:
        contest.parquet_contest(folder, rows, repeat)
        contest.check_same(folder, rows)
    if "csv" in parts:
        contest.csv_contest(folder, rows, repeat)
    if "postgres" in parts:
        contest.postgres_contest(folder, rows)
    if "stages" in parts:
        stages.say_stages(folder, rows)
    if "cold" in parts:
        cold.cold(folder, max(repeat, 5))
    if "scale" in parts:
        contest.scale(folder, sizes)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
