"""Five hundred slices of a family scored and checked in one run, against a run for each of them.

python tests/bench/bench_fleet.py [--variants 500] [--rows 300] [--alone 4] [--workers 2]

Every measurement is a process of its own, with a real ledger and a real MLflow database in a temporary folder. A
run is `churn score` and then `churn drift`. Of the separate runs so many are measured, and the rest is reckoned by
their median; each of these models has a release, a spec and a file of its own, as a slice has. The family is run
twice: once with a model for each slice, once where all of them fall back to the base model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from churnlib.ports import Registration

ROOT = Path(__file__).resolve().parents[2]
FAMILY, FALLING = "telly", "falling"


@dataclass(frozen=True)
class Cost:
    """Seconds of some processes, with those of their children; `cpu` is user and system."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: int) -> Cost:
        return Cost(self.wall * times, self.cpu * times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=500)
    parser.add_argument("--rows", type=int, default=300, help="customers of each slice")
    parser.add_argument("--alone", type=int, default=4, help="separate runs that are measured")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare is not None:
        return prepare(given.prepare, given.variants, given.rows, given.alone)
    from tests.bench.scoring.measuring import say, say_machine

    say_machine()
    with tempfile.TemporaryDirectory(prefix="churn-fleet-") as folder:
        home = Path(folder)
        sizes = ["--variants", str(given.variants), "--rows", str(given.rows), "--alone", str(given.alone)]
        prepared, _ = process([str(Path(__file__).resolve()), "--prepare", folder, *sizes], home, given.workers)
        say(f"\nprepared {given.variants} models in {prepared.wall:.0f} s")
        compare(home, given.variants, given.rows, given.alone, given.workers)
    return None


def compare(home: Path, variants: int, rows: int, alone: int, workers: int) -> None:
    """Run the separate models and the families in turn, and print what they cost."""
    from tests.bench.scoring.measuring import say

    separate = [run(home, f"alone-{number}", f"alone-{number}.csv", workers) for number in range(alone)]
    typical = Cost(*(statistics.median(getattr(each, what) for each in separate) for what in ("wall", "cpu")))
    reckoned = typical * variants
    own, falling = (run(home, name, f"{name}.csv", workers) for name in (FAMILY, FALLING))
    listed, told = churn(home, ["models", "--json"], workers)
    models = len(json.loads(told)["models"])
    say(f"\n{variants} slices of {rows} customers, scored and checked; {workers} workers; load {load()}")
    say(f"{'':52}{'wall s':>10}{'cpu s':>10}{'a slice, ms':>13}{'ratio':>8}{'cpu':>7}")
    for name, cost in (
        (f"a run for each, from {alone}: {typical.wall:.1f} s wall", reckoned),
        ("one run, a model for each slice", own),
        ("one run, all fall back to the base model", falling),
    ):
        ratio, cpu = reckoned.wall / cost.wall, reckoned.cpu / cost.cpu
        each = cost.wall / variants * 1000
        say(f"{name:52}{cost.wall:10.1f}{cost.cpu:10.1f}{each:13.0f}{ratio:7.1f}x{cpu:6.1f}x")
    say(f"churn models --json lists {models} models in {listed.wall:.1f} s ({listed.cpu:.1f} s cpu)")


def run(home: Path, model: str, file: str, workers: int) -> Cost:
    """Score and check one file."""
    scored, _ = churn(home, ["score", model, str(home / file), "--json"], workers)
    checked, told = churn(home, ["drift", model, "--json"], workers)
    assert not json.loads(told).get("failed"), told
    return scored + checked


def churn(home: Path, arguments: list[str], workers: int) -> tuple[Cost, str]:
    """One command."""
    return process(["-m", "flows.cli", *arguments], home, workers)


def process(arguments: list[str], home: Path, workers: int) -> tuple[Cost, str]:
    """One Python process, measured from outside; returns its cost and what it printed."""
    from tests.bench.scoring.measuring import environment

    given = {**environment(), "CHURN_HOME": str(home), "CHURN_WORKERS": str(workers), "CHURN_USER": "bench"}
    given.pop("PREFECT_API_URL", None)
    before, began = os.times(), time.monotonic()
    done = subprocess.run([sys.executable, *arguments], env=given, cwd=ROOT, capture_output=True, text=True)
    wall, after = time.monotonic() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, cpu), done.stdout


def load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def prepare(home: Path, variants: int, rows: int, alone: int) -> None:
    """Specs, files and registered models, without a picture: none of that is measured."""
    import polars as pl

    from churnlib.modelling.release import load_release, write_release
    from churnlib.modelling.training import train
    from churnlib.records import KnownVariant
    from churnlib.settings import Settings
    from churnlib.spec import AS_OF, ID
    from churnlib.usecases.labelled import LabelledRows
    from churnlib.usecases.services import Run
    from churnlib.usecases.training import fit_and_register
    from churnlib.variants import Variant
    from flows.wiring import services
    from tests import builders
    from tests.families import became, customers, family_spec
    from tests.loops import as_delivered, small_spec, write_spec

    wired, who = services(Settings(home=home)), Run("bench", "bench")
    today = wired.clock().date()
    regions = pl.Series([f"R{number}" for number in range(variants)])

    def delivered(seed: int, many: int) -> pl.DataFrame:
        frame = builders.accepted(many * rows, seed=seed, as_of=today)
        return frame.with_columns(region=regions.gather(pl.int_range(many * rows, eager=True) % many))

    labelled = customers(-2, 6000)
    labelled = labelled.join(became(labelled), on=[ID, AS_OF], how="inner")
    made = LabelledRows(labelled, "synthetic", "0" * 64, {})
    family = family_spec()
    specs = [family, family.model_copy(update={"name": FALLING})]
    features = {**builders.FEATURES, "region": {"type": "category", "input_only": True}}
    lone = [small_spec(name=f"alone-{number}", features=features) for number in range(alone)]
    for number, spec in enumerate([*specs, *lone]):
        write_spec(home / "models", spec)
        _, version = fit_and_register(wired, who, spec, made, key=spec.name, trigger="hand")
        wired.registry.set_alias(spec.name, "champion", version.version)
        many = 1 if spec in lone else variants
        as_delivered(delivered(number, many)).write_csv(home / f"{spec.name}.csv")
    trained = train(labelled, family)
    pattern = load_release(wired.registry.fetch(FAMILY, 1))
    slices = [Variant(dimensions={"geography": region}) for region in regions]
    with wired.ledger.begin() as tx:
        tx.save_variants(
            [
                KnownVariant(
                    model=each.registered_model(FAMILY),
                    family=FAMILY,
                    dimensions=dict(each.dimensions),
                    first_as_of=today,
                )
                for each in slices
            ]
        )
    for each in slices:
        spec = family.of_variant(each)
        folder = home / "releases" / spec.name
        write_release(folder, replace(trained, spec=spec), lineage=pattern.lineage, parts=pattern.parts)
        wired.registry.register(registration(spec.name, spec.experiment, folder))
        wired.registry.set_alias(spec.name, "champion", 1)


def registration(model: str, experiment: str, release: Path) -> Registration:
    from churnlib.ports import Registration

    return Registration(
        model=model,
        experiment=experiment,
        key=model,
        release=release,
        plots=None,
        inputs={"plan": ("string", False)},
        params={},
        metrics={"test.auc": 0.8},
        tags={},
        source="bench",
        source_digest="0" * 64,
        training_rows=6000,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
