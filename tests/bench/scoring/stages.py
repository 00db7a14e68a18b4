"""Where the processor's time goes while a file is scored, by stage.

python -m tests.bench.scoring.stages FOLDER FILE OUT --reasons all

While a batch is scored, polars encodes one chunk as the next is made, so that what a stage costs cannot be told
there. Here the stages come one after the other: chunks are made, kept, and then written.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from churnlib.adapters.parquet_table import ParquetTable
from churnlib.intake.delivery import Delivery
from churnlib.usecases.services import Services
from tests.bench.scoring.contestants import ours
from tests.bench.scoring.measuring import say, watched

OTHER = "all else"
ORDER = ("hash", "read", "contract", "encode", "margins", "rank", "snapshots write", "snapshots read")
LATER = ("contributions", "reasons as columns", "predictions write", "ledger", OTHER)


class Stages:
    """Processor seconds by stage; a stage within another one is not counted in the outer."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open = [OTHER]
        self._since = time.process_time()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the block."""
        self._settle()
        self._open.append(name)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Count every call of a method."""
        original = getattr(owner, attribute)
        setattr(owner, attribute, self._timed(original, name))

    def wrap_function(self, function: Callable[..., Any], name: str) -> None:
        """Count every call of a function, wherever in the library it is called."""
        put_everywhere(function, self._timed(function, name))

    def wrap_generator(self, function: Callable[..., Iterator[Any]], name: str) -> None:
        """Count the making of every item, wherever in the library it is asked for."""
        put_everywhere(function, lambda *given, **named: self.each(name, function(*given, **named)))

    def _timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            with self(name):
                return function(*given, **named)

        return timed

    def each(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        """The items, their making counted."""
        while True:
            with self(name):
                item = next(items, None)
            if item is None:
                return
            yield item

    def start(self) -> None:
        """Forget what was counted."""
        self.seconds.clear()
        self._since = time.process_time()

    def stop(self) -> dict[str, float]:
        """Seconds by stage."""
        self._settle()
        return dict(self.seconds)

    def _settle(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


@dataclass(frozen=True)
class Later:
    """Rows that are still to be made."""

    chunks: Callable[[], Iterator[pl.DataFrame]]


class SerialTable:
    """Makes all chunks, then writes them."""

    def __init__(self, table: Any, stages: Stages, name: str) -> None:
        self._table, self._stages, self._name = table, stages, name

    def replace(self, model: str, batch_id: str, as_of: date, frame: Any) -> str:
        """Write."""
        rows = pl.concat(frame.chunks()).lazy() if isinstance(frame, Later) else frame
        with self._stages(self._name):
            place: str = self._table.replace(model, batch_id, as_of, rows)
        return place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def put_everywhere(function: Callable[..., Any], other: Callable[..., Any]) -> None:
    """Let another function stand for one, under all its names in the library."""
    found = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("churnlib."):
            for attribute in [key for key, value in vars(module).items() if value is function]:
                setattr(module, attribute, other)
                found += 1
    assert found, function


def instrument(stages: Stages) -> None:
    """Count the stages of `score_file` wherever they are."""
    from churnlib.adapters.ledger import SqlLedger
    from churnlib.features.matrix import build_matrix, encode, model_frame
    from churnlib.intake.chunks import open_chunks
    from churnlib.intake.delivery import lazy
    from churnlib.intake.files import content_id
    from churnlib.intake.stream import BatchStream
    from churnlib.modelling.engine import Evaluator
    from churnlib.modelling.ranking import Ranking
    from churnlib.modelling.reasons import reason_columns
    from churnlib.usecases.flowing import sliced

    def opened(*given: Any, **named: Any) -> Delivery:
        with stages("read"):
            found = open_chunks(*given, **named)
        return replace(found, chunks=lambda: stages.each("read", found.chunks()))

    original_parts, original_begin = BatchStream.parts, SqlLedger.begin

    @contextmanager
    def begun(self: SqlLedger) -> Iterator[Any]:
        with stages("ledger"), original_begin(self) as transaction:
            yield transaction

    put_everywhere(open_chunks, opened)
    put_everywhere(lazy, lambda chunks, schema: Later(chunks))
    for function in (model_frame, encode, build_matrix):
        stages.wrap_function(function, "encode")
    stages.wrap_function(content_id, "hash")
    stages.wrap_function(reason_columns, "reasons as columns")
    stages.wrap_generator(sliced, "snapshots read")
    stages.wrap(Evaluator, "margins", "margins")
    stages.wrap(Evaluator, "top", "contributions")
    stages.wrap(Ranking, "add", "rank")
    stages.wrap(Ranking, "ranks", "rank")
    setattr(BatchStream, "parts", lambda self: stages.each("contract", original_parts(self)))  # noqa: B010
    setattr(SqlLedger, "begin", begun)  # noqa: B010


def serial(services: Services, stages: Stages) -> Services:
    """The same services, whose tables do one thing at a time."""
    snapshots = SerialTable(services.snapshots, stages, "snapshots write")
    predictions = SerialTable(services.predictions, stages, "predictions write")
    assert isinstance(services.predictions, ParquetTable)
    return replace(services, snapshots=snapshots, predictions=predictions)


def say_stages(folder: Path, rows: int) -> None:
    """Print a table of processor seconds by stage, with reasons for nobody and for everyone."""
    say(f"\nwhere the time goes, {rows:,} rows from Parquet, cpu s, stage after stage")
    found = {}
    for reasons in ("none", "all"):
        places = [str(folder), str(folder / f"{rows}.parquet"), str(folder / f"stages-{reasons}")]
        command = [sys.executable, "-m", "tests.bench.scoring.stages", *places, "--reasons", reasons]
        found[reasons] = json.loads(watched(command)[0])
    say(f"{'':22} {'scores':>10} {'with reasons':>14}")
    for name in (*ORDER, *LATER):
        values = [found[reasons].get(name, 0.0) for reasons in ("none", "all")]
        say(f"{name:22} {values[0]:10.2f} {values[1]:14.2f}")
    say(f"{'together':22} {sum(found['none'].values()):10.2f} {sum(found['all'].values()):14.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--reasons", choices=("all", "none"), required=True)
    given = parser.parse_args()
    stages = Stages()
    work = ours(
        given.folder,
        given.file,
        given.out,
        None,
        reasons=given.reasons,
        through=lambda services: serial(services, stages),
    )
    instrument(stages)
    stages.start()
    work()
    sys.stdout.write(json.dumps(stages.stop()) + "\n")


if __name__ == "__main__":
    main()
