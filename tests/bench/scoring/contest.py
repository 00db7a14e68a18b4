"""Who scores a file at which cost: contestants in turn, their ratios, and the aims they are held to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from tests.bench.bench_postgres import NO_SERVER, binaries, fresh, postgres
from tests.bench.scoring import data
from tests.bench.scoring.measuring import Found, run_contestant, say, say_aim, say_table

FLOOR, NONE, ALL, USUAL = "a XGBoost's floor", "b ours, scores", "c ours, all reasons", "d usual way"
SLOW = "d' pred_contribs"
NAMES = {FLOOR: "floor", NONE: "none", ALL: "all", USUAL: "usual", SLOW: "contributions"}
EXPLAINED = 500  # rows that XGBoost explains; it takes milliseconds for each

Case = Callable[[Found], None]


def case(name: str, folder: Path, file: Path, *options: str) -> Case:
    """One run of a contestant."""
    return lambda found: run_contestant(NAMES[name], folder, file, *options, into=found)


def in_turns(cases: Mapping[str, Case], repeat: int) -> dict[str, Found]:
    """Run everyone once a round, each round starting with another one, so that noise falls on all."""
    found = {name: Found() for name in cases}
    for number in range(repeat):
        shift = number % len(cases)
        for name in [*list(cases)[shift:], *list(cases)[:shift]]:
            cases[name](found[name])
    return found


def parquet_contest(folder: Path, rows: int, repeat: int) -> None:
    """Everyone on the same Parquet file."""
    file = folder / f"{rows}.parquet"
    cases = {name: case(name, folder, file) for name in (FLOOR, NONE, ALL, USUAL)}
    cases[SLOW] = case(SLOW, folder, file, "--rows", str(EXPLAINED))
    found = in_turns(cases, repeat)
    each = found.pop(SLOW)["cpu"] / EXPLAINED
    say(f"\n{rows:,} rows x 40 features from Parquet, {data.TREES} trees of depth {data.DEPTH}")
    say_table(found, rows)
    usual = found[USUAL]
    stages = ", ".join(f"{name} {usual.stage(name):.1f}" for name in usual.stages[0])
    say(f"d by stage, cpu s: {stages}")
    say(f"d with reasons is extrapolated to {usual['cpu'] + each * rows:,.0f} cpu s: pred_contribs of its model")
    say(f"explains {1 / each:,.0f} rows/cpu-s, measured on {EXPLAINED} rows")
    say_ratios(found, each * rows)


def say_ratios(found: Mapping[str, Found], explaining: float) -> None:
    """Print the ratios that have aims; `explaining` is what the usual way pays for reasons, in cpu s."""
    floor, none, both, usual = (found[name] for name in (FLOOR, NONE, ALL, USUAL))
    say("aims are for 1,000,000 rows, that in seconds for 2 quiet cores:")
    say_aim("b / a, cpu", none["cpu"] / floor["cpu"], 0.5, at_most=True)
    say_aim("d / b, cpu", usual["cpu"] / none["cpu"], 8)
    say_aim("d / b, peak memory", usual["peak"] / none["peak"], 5)
    say_aim("d / c, cpu, both with all reasons", (usual["cpu"] + explaining) / both["cpu"], 150)
    say_aim("c, wall", both["wall"], 8, at_most=True, unit=" s")
    whole = {name: one["start_up_cpu"] + one["cpu"] for name, one in found.items()}
    slow = whole[USUAL] + explaining
    say("  with start-up, cpu:")
    say(f"    b / a {whole[NONE] / whole[FLOOR]:.2f}x, d / b {whole[USUAL] / whole[NONE]:.1f}x, ", end="")
    say(f"d / c with reasons {slow / whole[ALL]:.0f}x; c {both['start_up_wall'] + both['wall']:.1f} s wall")
    scored = usual["cpu"] - usual.stage("to_sql")
    say(f"  d without to_sql, its rows left in memory: d / b {scored / none['cpu']:.1f}x, cpu")


def csv_contest(folder: Path, rows: int, repeat: int) -> None:
    """Ours and the usual way on the same rows as CSV."""
    file = folder / f"{rows}.csv"
    found = in_turns({name: case(name, folder, file) for name in (NONE, USUAL)}, repeat)
    say(f"\nthe same rows from CSV ({file.stat().st_size / 1e6:,.0f} MB)")
    say_table(found, rows)
    for what, aim in (("cpu", 8), ("peak", 5)):
        say_aim(f"d / b, {what}", found[USUAL][what] / found[NONE][what], aim)


def postgres_contest(folder: Path, rows: int) -> None:
    """Ours and the usual way from Parquet into PostgreSQL; the server's own seconds are not counted here."""
    if binaries() is None:
        say(f"\n{NO_SERVER}")
        return
    file = folder / f"{rows}.parquet"
    found = {NONE: Found(), USUAL: Found()}
    with postgres() as (url, _):
        for name, one in found.items():
            run_contestant(NAMES[name], folder, file, "--url", fresh(url, "bench"), into=one)
    say("\nthe same rows from Parquet into PostgreSQL, one run (its server's seconds are not counted)")
    say_table(found, rows)
    for what in ("cpu", "wall"):
        say(f"  d / b, {what}: {found[USUAL][what] / found[NONE][what]:.1f}x")


def check_same(folder: Path, rows: int) -> None:
    """Compare what floor and ours wrote: the same columns, and margins of the same bits."""
    floor = kept(FLOOR, folder, rows, "floor.parquet")
    both = kept(ALL, folder, rows, f"data/predictions/{data.MODEL}/*/*.parquet")
    is_same = floor.get_column("margin").equals(both.get_column("margin"))
    odd = sorted(set(floor.columns) ^ set(both.columns))
    told = both.get_column("reason_1_feature").count() / both.height
    bits = "the same bits" if is_same else "DIFFERENT"
    say(f"margins of a and c: {bits}; columns of one alone: {odd or 'none'}; with reasons: {told:.1%}")


def kept(name: str, folder: Path, rows: int, pattern: str) -> pl.DataFrame:
    """What a contestant wrote."""
    out = folder / f"kept-{NAMES[name]}"
    out.mkdir()
    run_contestant(NAMES[name], folder, folder / f"{rows}.parquet", into=Found(), keep=out)
    frame = pl.concat([pl.read_parquet(path) for path in sorted(out.glob(pattern))])
    shutil.rmtree(out)
    return frame


def scale(folder: Path, sizes: Sequence[int]) -> None:
    """Print cost a row and peak memory against rows."""
    say("\ncost by rows, from Parquet, one run each")
    for name in (NONE, ALL):
        first = 0.0
        for rows in sizes:
            found = Found()
            run_contestant(NAMES[name], folder, folder / f"{rows}.parquet", into=found)
            micros = found["cpu"] / rows * 1e6
            first = first or micros
            say(
                f"{name:20} {rows:12,} rows: {micros:6.2f} cpu µs a row ({micros / first:4.2f}x the first), "
                f"{found['wall']:6.2f} s wall, peak {found['peak']:5.0f} MiB, anonymous {found['anonymous']:5.0f}"
            )
            if rows >= 10_000_000:
                say_aim("peak memory", found["peak"], 1024, at_most=True, unit=" MiB")
