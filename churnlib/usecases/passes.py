"""A batch on its way through the models, in two passes, so that it is never in memory as a whole.

The first pass checks the delivered rows and keeps each one's margin. Then the ranks are known, and the second
reads the accepted rows back and makes the predictions. In memory are a chunk of rows, and a few bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import chain

import numpy as np
import polars as pl

from churnlib.intake.delivery import CHUNK_ROWS
from churnlib.intake.sorting import Sorted
from churnlib.intake.stream import Totals
from churnlib.modelling.calibration import logit
from churnlib.modelling.engine import Evaluator, evaluator
from churnlib.modelling.ranking import Ranking, Ranks
from churnlib.modelling.scoring import explained_rows, margins_of, predictions_of
from churnlib.ports import Progress
from churnlib.spec import AS_OF, ID, Spec
from churnlib.usecases.contenders import Contenders
from churnlib.usecases.flowing import Spill, sliced
from churnlib.usecases.splitting import Parts
from churnlib.usecases.summary import Summary

_MORE_PARTS = 16

_SLOW_ROWS = 8_192
"""Rows at a time where XGBoost explains them, so that the claim on the batch is renewed in time."""


class Passes:
    """Both passes of one batch.

    Attributes:
        totals: of the contract, after the first pass.
        summary: after the second.
        quarantined: refused rows with their reasons, after the first.
    """

    def __init__(
        self,
        stream: Parts,
        models: Contenders,
        quarantined: Spill,
        record: Mapping[str, pl.Expr],
        *,
        slices: pl.Expr | None,
        progress: Progress,
        holding: Callable[[], None],
    ) -> None:
        """Begin; nothing is read before `as_of` is asked for.

        Args:
            stream: the delivered rows, and their contract.
            models: who scores.
            quarantined: where refused rows are set aside.
            record: columns that say where a prediction comes from; the same in every row.
            slices: of the accepted rows, the slice of each; None for a model without slices.
            progress: told how many rows are done.
            holding: called for every chunk; raises where the batch is another run's by now.
        """
        self.quarantined = quarantined
        self.summary = Summary()
        self._stream, self._models, self._record = stream, models, record
        self._slices, self._progress, self._holding = slices, progress, holding
        self._begun: Iterator[Sorted] | None = None
        self._margins: dict[int, list[np.ndarray]] = {}
        self._ranking = Ranking()

    @property
    def rows(self) -> int:
        """Accepted so far."""
        return self._ranking.rows

    @property
    def totals(self) -> Totals:
        """Of the contract, once the first pass is over."""
        return self._stream.totals

    def begin(self) -> date | None:
        """Read up to the first accepted row, whose date is the batch's; None where there is no such row.

        Raises:
            FileRefused: the file cannot be used, which may show here already.
        """
        parts, aside = self._stream.parts(), list[Sorted]()
        for part in parts:
            aside.append(part)
            if part.accepted.height:
                break
            self.quarantined.add(part.quarantined)
            aside.clear()
        self._begun = chain(aside, parts)
        return aside[0].accepted.item(0, AS_OF) if aside else None

    def accepted(self) -> Iterator[pl.DataFrame]:
        """The first pass: accepted rows, an accepted frame a chunk.

        Raises:
            FileRefused: the file as a whole cannot be used, known at its end.
        """
        parts, self._begun = self._begun, None
        if parts is None:  # a writer starts again
            self.quarantined.clear()
            parts = self._stream.parts()
        self._margins = {version: [] for version in self._models.versions}
        self._ranking, self.summary, done = Ranking(), Summary(), 0
        for part in parts:
            self._holding()
            self.quarantined.add(part.quarantined)
            if part.accepted.height:
                self._evaluate(part.accepted)
                yield part.accepted
            done += part.accepted.height + part.quarantined.height
            self._progress.advance(done, 0, "rows checked")

    def predictions(self, accepted: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """The second pass: predictions in the order of the accepted rows, a chunk at a time."""
        margins, total = self._joined(), self._ranking.rows
        champion = self._models.releases[self._models.champion]
        explained = explained_rows(champion.spec, total)
        engines = self._engines(total, explained)
        self.summary.restart()
        self.summary.engine, done = engines[self._models.champion].name, 0
        is_fast = not explained or all(engine.explains for engine in engines.values())
        rows_needed = accepted if explained else accepted.select(self._without_reasons(champion.spec))
        for chunk in sliced(rows_needed, step=CHUNK_ROWS if is_fast else _SLOW_ROWS):
            self._holding()
            rows = slice(done, done + chunk.height)
            ranks = self._ranking.ranks(rows.start, rows.stop)
            frame = self._predicted(engines, chunk, {v: m[rows] for v, m in margins.items()}, ranks, explained)
            self.summary.add(frame)
            if self._slices is not None:
                frame = frame.hstack(chunk.select(variant=self._slices))
            yield frame.with_columns(**self._record)
            done += chunk.height
            self._progress.advance(done, total, "customers scored")

    def beside(self, accepted: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """The scores that were not given out: each customer's by the other version."""
        margins, done = self._joined(), 0
        champion, challenger = self._models.versions
        for chunk in sliced(accepted.select(ID, AS_OF), step=CHUNK_ROWS):
            rows = slice(done, done + chunk.height)
            served = self._models.served_by_challenger(chunk)
            margin = np.where(served, margins[champion][rows], margins[challenger][rows]).astype(np.float64)
            probability = np.where(served, self._probable(champion, margin), self._probable(challenger, margin))
            yield chunk.with_columns(
                probability=pl.Series(probability),
                margin=pl.Series(margin),
                version=pl.Series(np.where(served, champion, challenger), dtype=pl.Int64),
            ).with_columns(**self._record)
            done += chunk.height

    def _evaluate(self, accepted: pl.DataFrame) -> None:
        spec = self._models.releases[self._models.champion].spec
        # how large the file is shows at its end only; a part that is nearly full promises more
        expected = accepted.height * (1 if accepted.height < CHUNK_ROWS // 2 else _MORE_PARTS)
        engines = self._engines(expected, explained_rows(spec, expected))
        found = {}
        for version, engine in engines.items():
            found[version], unseen = margins_of(self._models.releases[version], engine, accepted)
            self._margins[version].append(found[version].astype(np.float32))
            if version == self._models.champion:
                self.summary.unseen.update(unseen)
        self._ranking.add(self._comparable(found, accepted))

    def _comparable(self, margins: Mapping[int, np.ndarray], accepted: pl.DataFrame) -> np.ndarray:
        """What the batch is ranked by: the margin; where two versions serve, what their probabilities say."""
        champion, challenger = self._models.champion, self._models.challenger
        if challenger is None or not self._models.share:
            return margins[champion]
        served = self._models.served_by_challenger(accepted)
        mine, other = (self._probable(version, margins[version]) for version in (champion, challenger))
        return logit(np.where(served, other, mine))

    def _predicted(
        self,
        engines: Mapping[int, Evaluator],
        chunk: pl.DataFrame,
        margins: Mapping[int, np.ndarray],
        ranks: Ranks,
        explained: int,
    ) -> pl.DataFrame:
        served = self._models.served_by_challenger(chunk)
        parts = []
        for version, engine in engines.items():
            mine = served if version == self._models.challenger else ~served
            if not mine.any():
                continue
            part = predictions_of(
                self._models.releases[version],
                engine,
                chunk if mine.all() else chunk.filter(mine),
                margins[version][mine].astype(np.float64),
                ranks.filter(mine),
                explained=explained,
            )
            parts.append(part.with_columns(pl.lit(version, pl.Int64).alias("version"), row=np.flatnonzero(mine)))
        return pl.concat(parts).sort("row").drop("row") if len(parts) > 1 else parts[0].drop("row")

    def _without_reasons(self, spec: Spec) -> list[str]:
        """Columns that the second pass reads where nobody's features are looked at again."""
        wanted = {ID, AS_OF, spec.columns.value}
        if self._slices is not None:
            wanted |= set(self._slices.meta.root_names())
        return [name for name in (ID, AS_OF, *spec.delivered) if name in wanted]

    def _engines(self, rows: int, explained: int) -> dict[int, Evaluator]:
        releases = self._models.releases.items()
        return {
            version: evaluator(release.booster, rows=rows, explained=explained) for version, release in releases
        }

    def _probable(self, version: int, margin: np.ndarray) -> np.ndarray:
        return self._models.releases[version].calibration.apply(margin)

    def _joined(self) -> dict[int, np.ndarray]:
        for version, parts in self._margins.items():
            self._margins[version] = [np.concatenate(parts)]
        return {version: parts[0] for version, parts in self._margins.items()}
