"""Which labelled rows a model learns from, which stop it, and which judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.modelling.hashing import stable_hash
from churnlib.spec import AS_OF, ID, LABEL, Spec, Training


@dataclass(frozen=True)
class Split:
    """Labelled rows in three parts that share no row.

    Attributes:
        train: rows that the trees are grown on first.
        validation: rows that stop the growing and decide on the calibration.
        test: rows that nothing was fitted to.
        kind: `time` when the test is later than everything fitted, with a gap of one horizon;
            `hash` when customers were divided.
        text: how it was done, in words.
        cutoff: the last `as_of` among train and validation.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    kind: Literal["time", "hash"]
    text: str
    cutoff: date

    @property
    def fitted(self) -> pl.DataFrame:
        """Train and validation rows together: what the released model is grown on."""
        return pl.concat([self.train, self.validation])


def split(labelled: pl.DataFrame, spec: Spec) -> Split:
    """Divide labelled rows by time where there is enough of it, else by a hash of the customer's id.

    By time, three stretches: test is the latest dates, validation the latest dates whose horizon had
    passed at the first test date, train all dates whose horizon had passed at the first validation date,
    so that each part is what would have been known then. With too few dates for three, test is by
    time and validation by a hash of the ids before it. With too few for that, all is by hash: the same share of
    churners in each part, all rows of a customer in one part.
    A stretch of dates grows backwards until it holds enough of both classes to measure on.

    Raises:
        ChurnError: too few rows or churners, or a part would lack a class; counts and setting are named.
    """
    rows = _newest_snapshots(labelled, spec.training.max_snapshots)
    _check_size(rows, spec)
    parts = _by_time(rows, spec) or _by_time_and_hash(rows, spec) or _by_hash(rows, spec)
    for name, part in (("validation", parts.validation), ("test", parts.test), ("train", parts.train)):
        _check_classes(part, name, spec)
    return parts


def _newest_snapshots(labelled: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    if limit is None:
        return labelled
    newest = labelled.get_column(AS_OF).unique().sort(descending=True).head(limit)
    return labelled.filter(pl.col(AS_OF).is_in(newest.implode()))


def _check_size(rows: pl.DataFrame, spec: Spec) -> None:
    left = _churned(rows)
    for what, count, setting, least in (
        ("labelled rows", rows.height, "min_rows", spec.training.min_rows),
        ("customers who churned", left, "min_positives", spec.training.min_positives),
        ("customers who stayed", rows.height - left, "min_positives", spec.training.min_positives),
    ):
        if count < least:
            raise ChurnError(
                f"There are {count} {what}; training.{setting} of {spec.name!r} asks for {least}.",
                hint=f"Bring more labelled rows, or lower training.{setting} in the spec.",
            )


def _check_classes(part: pl.DataFrame, name: str, spec: Spec) -> None:
    left = _churned(part)
    if left in (0, part.height):
        raise ChurnError(
            f"The {name} part has {part.height} rows of which {left} churned; it needs both kinds.",
            hint=f"Bring more labelled rows, or raise training.{name}_share of {spec.name!r}."
            if name != "train"
            else "Bring more labelled rows.",
        )


def _churned(rows: pl.DataFrame) -> int:
    return int(rows.get_column(LABEL).sum())


def _by_time(rows: pl.DataFrame, spec: Spec) -> Split | None:
    """Three stretches of time with a gap of one horizon between them; None when time is too short."""
    settings, counts, gap = spec.training, _counts(rows), timedelta(days=spec.horizon_days)
    test_from = _stretch(counts, settings, settings.test_share, rows)
    if test_from is None:
        return None
    known = counts.filter(pl.col(AS_OF) + gap <= test_from)
    validation_from = _stretch(known, settings, settings.validation_share, rows)
    if validation_from is None:
        return None
    train = rows.filter(pl.col(AS_OF) + gap <= validation_from)
    if (
        not _is_enough(_counts(train), settings, settings.validation_share, rows)
        or train.height < settings.min_rows / 2
    ):
        return None
    validation = rows.filter(pl.col(AS_OF) >= validation_from, pl.col(AS_OF) + gap <= test_from)
    test = rows.filter(pl.col(AS_OF) >= test_from)
    text = (
        f"By time with gaps of {spec.horizon_days} days: train {_span(train)}, validation {_span(validation)}, "
        f"test {_span(test)}."
    )
    return Split(train, validation, test, "time", text, _last(validation))


def _by_time_and_hash(rows: pl.DataFrame, spec: Spec) -> Split | None:
    """Test by time, validation a share of the customers before the gap; None when time is too short."""
    settings, counts, gap = spec.training, _counts(rows), timedelta(days=spec.horizon_days)
    test_from = _stretch(counts, settings, settings.test_share, rows)
    if test_from is None:
        return None
    known = rows.filter(pl.col(AS_OF) + gap <= test_from)
    enough = _is_enough(_counts(known), settings, settings.validation_share + settings.test_share, rows)
    if not enough or known.height < settings.min_rows / 2:
        return None
    train, validation = _divide(known, (settings.validation_share,), settings.seed)
    test = rows.filter(pl.col(AS_OF) >= test_from)
    text = (
        f"Test by time after a gap of {spec.horizon_days} days ({_span(test)}); too few dates before it for "
        f"a second gap, so validation is {settings.validation_share:.0%} of the customers of {_span(known)} "
        f"by a hash of their id."
    )
    return Split(train, validation, test, "time", text, _last(known))


def _by_hash(rows: pl.DataFrame, spec: Spec) -> Split:
    """Customers divided by a hash of their id, for data without time."""
    settings = spec.training
    train, validation, test = _divide(rows, (settings.validation_share, settings.test_share), settings.seed)
    dates = rows.get_column(AS_OF).n_unique()
    why = (
        "one date" if dates == 1 else f"{dates} dates, too close or too thin for a gap of {spec.horizon_days} days"
    )
    text = (
        f"By a hash of the id, with the same share of churners in each part, because the rows have {why}: "
        f"{settings.validation_share:.0%} validation, {settings.test_share:.0%} test. "
        f"No part is later than another."
    )
    return Split(train, validation, test, "hash", text, _last(rows))


def _counts(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per `as_of`, latest first: `left` and `stayed`."""
    left = pl.col(LABEL).sum().cast(pl.Int64)
    return rows.group_by(AS_OF).agg(left=left, stayed=pl.len().cast(pl.Int64) - left).sort(AS_OF, descending=True)


def _stretch(counts: pl.DataFrame, settings: Training, share: float, rows: pl.DataFrame) -> date | None:
    """Return the first date of the shortest latest stretch that is enough; None when all is not."""
    if not _is_enough(counts, settings, share, rows):
        return None
    quota = _quota(settings, share, rows)
    running = counts.with_columns(pl.col("left", "stayed").cum_sum())
    enough = running.filter((pl.col("left") >= quota[0]) & (pl.col("stayed") >= quota[1]))
    return enough.get_column(AS_OF).to_list()[0]  # type: ignore[no-any-return]


def _is_enough(counts: pl.DataFrame, settings: Training, share: float, rows: pl.DataFrame) -> bool:
    quota = _quota(settings, share, rows)
    return bool(counts.get_column("left").sum() >= quota[0] and counts.get_column("stayed").sum() >= quota[1])


def _quota(settings: Training, share: float, rows: pl.DataFrame) -> tuple[int, int]:
    """How many who left and who stayed a stretch needs: `min_positives`, or its share where that is fewer."""
    left = _churned(rows)
    least = settings.min_positives
    return max(1, min(least, int(left * share))), max(1, min(least, int((rows.height - left) * share)))


def _divide(rows: pl.DataFrame, shares: Sequence[float], seed: int) -> tuple[pl.DataFrame, ...]:
    """Divide customers into the rest and one part per share, each with the same share of churners.

    Customers who ever churned and those who never did are ranked by their hash apart; which
    part one is in hardly changes when others come and go.
    """
    customers = rows.group_by(ID).agg(pl.col(LABEL).any()).sort(ID)
    hashed = customers.with_columns(hash=pl.Series(stable_hash(customers.get_column(ID), seed=seed)))
    place = ((pl.col("hash").rank("ordinal").over(LABEL) - 0.5) / pl.len().over(LABEL)).alias("place")
    edges = np.cumsum(shares).tolist()
    part = pl.lit(0)
    for number, edge in reversed(list(enumerate(edges, start=1))):
        part = pl.when(pl.col("place") < edge).then(number).otherwise(part)
    with_part = rows.join(hashed.select(ID, place).select(ID, part=part), on=ID, how="left", maintain_order="left")
    return tuple(with_part.filter(pl.col("part") == number).drop("part") for number in range(len(shares) + 1))


def _span(rows: pl.DataFrame) -> str:
    first, last = rows.get_column(AS_OF).min(), _last(rows)
    return str(last) if first == last else f"{first!s} to {last}"


def _last(rows: pl.DataFrame) -> date:
    last = rows.get_column(AS_OF).max()
    assert isinstance(last, date)
    return last
