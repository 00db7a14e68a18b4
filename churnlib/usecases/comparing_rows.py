"""Rows that two versions can be compared on: both have their columns, and neither learned from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import takewhile

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.modelling.hashing import stable_hash
from churnlib.modelling.release import Release
from churnlib.records import Batch
from churnlib.spec import AS_OF, ID, LABEL, Spec
from churnlib.usecases.outcomes import known_outcomes
from churnlib.usecases.services import Services
from churnlib.usecases.slices import counting_batches, kept_rows

MAX_ROWS = 100_000
"""Rows are enough for any interval that matters; more only take longer."""


class NothingToCompareOn(ChurnError):
    """There are no rows that both versions can be measured on; says what is missing."""


@dataclass(frozen=True)
class Side:
    """One of the two versions."""

    version: int
    release: Release

    @property
    def honest_from(self) -> date:
        """First `as_of` whose outcome it cannot have learned, with the horizon between.

        A delivered model does not say what it learned from; it cannot have known what came after its delivery.
        """
        if self.release.cutoff is None:
            return self.release.lineage.created_at.date()
        return self.release.cutoff + timedelta(days=self.release.spec.horizon_days)


@dataclass(frozen=True)
class CommonRows:
    """Rows for both, in the same order.

    Attributes:
        first: accepted rows as the first version's spec types them; `second` likewise.
        churned: outcomes; None where they are not known (yet).
        source: in words.
        are: what they are, for people: `later customers`.
        cutoff: last `as_of` that the second version learned from, where the rows are later than that.
        notes: what limits them, in sentences.
    """

    first: pl.DataFrame
    second: pl.DataFrame
    churned: np.ndarray | None
    source: str
    are: str
    cutoff: date | None = None
    notes: tuple[str, ...] = ()

    @property
    def both(self) -> pl.DataFrame:
        """The second's columns, and those that only the first reads."""
        return self.second.hstack(self.first.select(pl.exclude(self.second.columns)))


def later_rows(services: Services, spec: Spec, first: Side, second: Side) -> CommonRows:
    """The newest snapshots with matured outcomes that are later than what both versions learned from.

    Raises:
        NothingToCompareOn: there are none, or none has the columns of both.
    """
    since = max(first.honest_from, second.honest_from)
    until = services.clock().date() - timedelta(days=spec.horizon_days)
    outcomes = known_outcomes(services, spec.family, since=since, until=until)
    dates = _dates(outcomes)
    batches = [batch for batch in counting_batches(services, spec) if batch.as_of in dates]
    if outcomes is None or not batches:
        raise _none_yet(services, spec, first, second, since)
    known = outcomes.select(ID, AS_OF, LABEL)
    found = _newest(services, spec, batches, (first, second), known)
    churned = found.get_column(LABEL).to_numpy()
    rows = found.drop(LABEL)
    days = rows.get_column(AS_OF).n_unique()
    return CommonRows(
        first=_columns_of(rows, first),
        second=_columns_of(rows, second),
        churned=churned,
        source="1 snapshot" if days == 1 else f"{days} snapshots",
        are="later customers",
        cutoff=second.release.cutoff,
        notes=tuple(_unknown(first, second)),
    )


def newest_rows(services: Services, spec: Spec, first: Side, second: Side) -> CommonRows:
    """The newest snapshot, whether or not outcomes are known: enough for call lists and speed.

    Raises:
        NothingToCompareOn: none is kept, or it lacks a column of either.
    """
    batches = [batch for batch in counting_batches(services, spec) if batch.as_of is not None]
    if not batches:
        raise NothingToCompareOn(
            f"No batch of {spec.name} has been scored yet.",
            hint=f"Score one (churn score {spec.family} FILE), or name a labelled file: --data FILE.",
        )
    newest = max(batch.as_of for batch in batches if batch.as_of is not None)
    rows = _newest(services, spec, [batch for batch in batches if batch.as_of == newest], (first, second), None)
    return CommonRows(
        _columns_of(rows, first), _columns_of(rows, second), None, "the newest snapshot", "customers"
    )


def lacking(columns: pl.Schema, sides: Sequence[Side]) -> tuple[Side, str] | None:
    """The first column that a version reads and that is not there, or is of another kind; None if all fit."""
    for side in sides:
        for name, feature in side.release.spec.delivered.items():
            found = columns.get(name)
            is_odd = found != pl.Null and (found == pl.String) != (feature.type == "category")
            if found is None or is_odd:
                return side, name
    return None


def _dates(outcomes: pl.LazyFrame | None) -> frozenset[date]:
    if outcomes is None:
        return frozenset()
    return frozenset(outcomes.select(pl.col(AS_OF).unique()).collect().get_column(AS_OF).to_list())


def _newest(
    services: Services, spec: Spec, batches: Sequence[Batch], sides: tuple[Side, Side], known: pl.LazyFrame | None
) -> pl.DataFrame:
    """Rows of the newest dates, at most `MAX_ROWS` or one date; a larger date is thinned by a hash of the ids."""
    fitting, refused = [], None
    for as_of in _few_dates(batches):
        of_date = [batch for batch in batches if batch.as_of == as_of]
        frames = kept_rows(services, spec, of_date)
        odd = next((odd for frame in frames if (odd := lacking(frame.collect_schema(), sides))), None)
        if odd is not None:
            refused = refused or (as_of, *odd)
            continue
        thinned = _thinned(frames, sum(batch.accepted for batch in of_date), spec.training.seed)
        fitting += [_joined(frame, sides, known) for frame in thinned]
    rows = pl.concat(fitting, how="vertical_relaxed").sort(ID, AS_OF).collect() if fitting else None
    if rows is not None and not rows.is_empty():
        return rows
    if refused is not None:
        raise _lacks(spec, *refused, sides)
    raise NothingToCompareOn(
        f"No kept rows of {spec.name} go with the outcomes that are known.",
        hint="Name a labelled file: --data FILE.",
    )


def _few_dates(batches: Sequence[Batch]) -> Iterator[date]:
    """The newest dates, as many as make up `MAX_ROWS`, one at least."""
    dates = sorted({batch.as_of for batch in batches if batch.as_of is not None}, reverse=True)
    rows = np.cumsum([sum(batch.accepted for batch in batches if batch.as_of == as_of) for as_of in dates])
    most = max(1, len(list(takewhile(lambda total: total <= MAX_ROWS, rows))))
    yield from dates[:most]


def _thinned(frames: Sequence[pl.LazyFrame], rows: int, seed: int) -> list[pl.LazyFrame]:
    one_in = -(-rows // MAX_ROWS)
    if one_in <= 1:
        return list(frames)

    def is_drawn(ids: pl.Series) -> pl.Series:
        return pl.Series(stable_hash(ids, seed=seed) % np.uint64(one_in) == 0)

    return [frame.filter(pl.col(ID).map_batches(is_drawn, return_dtype=pl.Boolean)) for frame in frames]


def _joined(frame: pl.LazyFrame, sides: tuple[Side, Side], known: pl.LazyFrame | None) -> pl.LazyFrame:
    names = dict.fromkeys(name for side in reversed(sides) for name in side.release.spec.delivered)
    rows = frame.select(ID, AS_OF, *names)
    return rows if known is None else rows.join(known, on=[ID, AS_OF], how="inner")


def _columns_of(rows: pl.DataFrame, side: Side) -> pl.DataFrame:
    return rows.select(ID, AS_OF, *side.release.spec.delivered)


def _unknown(first: Side, second: Side) -> Iterator[str]:
    for side in (first, second):
        if side.release.cutoff is None:
            yield (
                f"Nobody here knows what v{side.version} learned from; it was delivered on {side.honest_from}, "
                f"and the rows are of that day or later."
            )


def _none_yet(services: Services, spec: Spec, first: Side, second: Side, since: date) -> NothingToCompareOn:
    known = _dates(known_outcomes(services, spec.family))
    newest = f"the newest known ones are of {max(known)}" if known else "none are known yet"
    who = first if first.honest_from >= second.honest_from else second
    learned = who.release.cutoff
    why = (
        f"v{who.version} was delivered on {since}"
        if learned is None
        else f"v{who.version} learned up to {learned}, and the horizon is {who.release.spec.horizon_days} days"
    )
    return NothingToCompareOn(
        f"Neither version may have learned from the rows that judge them, so outcomes of customers of {since} or "
        f"later are needed ({why}); {newest}.",
        hint=f"Deliver outcomes (churn outcomes {spec.family} FILE), or name a labelled file: --data FILE.",
    )


def _lacks(spec: Spec, as_of: date, side: Side, name: str, sides: tuple[Side, Side]) -> NothingToCompareOn:
    other = sides[0] if side is sides[1] else sides[1]
    alone = "" if name in other.release.spec.delivered else f" and v{other.version} does not"
    return NothingToCompareOn(
        f"The snapshot of {as_of} lacks {name!r}, which v{side.version} reads{alone}; "
        "rows need the columns of both.",
        hint=f"Name a labelled file that has it (--data FILE), or put it back into models/{spec.family}.toml "
        "(input_only = true keeps it out of the model) and score again.",
    )


def without_outcomes(rows: CommonRows) -> CommonRows:
    """The same rows for what needs no outcomes."""
    return replace(rows, churned=None)
