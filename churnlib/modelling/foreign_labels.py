"""What a delivered model is held against: who of the sample churned, and the scores that its maker published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from churnlib.errors import FileRefused
from churnlib.intake.cells import given, value
from churnlib.intake.inspection_checks import snake_case
from churnlib.intake.labels import check_two_classes, classes_of, plain_class, plain_classes
from churnlib.intake.wording import lacking_text, listed
from churnlib.modelling.foreign_sample import Layout, Sample, texts
from churnlib.modelling.foreign_spec import Label

TOLERANCE = 1e-6
"""By which a published score may differ: they are written with six digits or more."""

_LABELS = ("churned", "churn", "exited", "left", "label", "target", "y")

_SCORES = ("prediction", "predictions", "probability", "score", "proba", "pred", "expected")

_CHURNED = ("1", "churn", "churned", "exited", "left", "lost", "gone", "cancelled", "canceled")


@dataclass(frozen=True)
class Answers:
    """Who of the sample churned.

    Attributes:
        churned: Boolean by row of the sample; null where nobody says.
        joined: `by id` or `in their order`.
    """

    label: Label
    source: str
    churned: pl.Series
    joined: str

    @property
    def known(self) -> np.ndarray:
        """Places of the sample's rows with an answer."""
        return np.flatnonzero(self.churned.is_not_null().to_numpy())


def label_column(labels: Sample, asked: str | None, features: Sequence[str]) -> str:
    """Which column says who churned: the one named, one called so, or the only one that can.

    Raises:
        FileRefused: there is no such column, or several could be it.
    """
    spare = [name for name in labels.raw.columns if name not in set(features)]
    if asked is not None:
        if asked not in labels.raw.columns:
            raise FileRefused(
                f"{labels.source} has no column {lacking_text([asked], spare)}.",
                hint="Name the label with --label.",
            )
        return asked
    known = [name for name in spare if snake_case(name).strip("_") in _LABELS]
    if len(known) == 1:
        return known[0]
    if len(labels.raw.columns) == 1:
        return labels.raw.columns[0]
    shown = listed([repr(name) for name in (known or spare)[:8]], total=len(known or spare))
    raise FileRefused(
        f"{labels.source}: which column says who churned? It has {shown}.", hint="Name it with --label."
    )


def read_answers(labels: Sample, column: str, sample: Sample, layout: Layout, positive: str | None) -> Answers:
    """Bring labels to the sample's rows: by the customer's id where both have it, otherwise in their order.

    Args:
        labels: the rows with the label; may be the sample itself.
        column: the label.
        sample: the rows that are scored.
        layout: says which column is the id.
        positive: the label's value for churned; None takes 1, yes, true, or a word for it.

    Raises:
        FileRefused: not two classes, neither of which is plainly the one that churned; the rows do not match.
    """
    missing = labels.input.missing
    classes = classes_of(labels.raw, column, missing)
    check_two_classes(classes, column, labels.source, setting="--label")
    wanted = (
        [plain_class(positive)] if positive is not None else [name for name in _CHURNED if name in classes.plain]
    )
    if len(wanted) != 1 or wanted[0] not in classes.plain:
        shown = " and ".join(repr(name) for name in classes.rows)
        raise FileRefused(
            f"{labels.source}: which value of {column!r} means churned? It has {shown}.",
            hint="Write it as 1 and 0.",
        )
    given_class = plain_classes(column, labels.raw.schema[column], missing)
    churned = labels.raw.select(churned=given_class == wanted[0]).to_series()
    aligned, joined = _align(churned, labels, sample, layout)
    written = list(classes.rows)[classes.plain.index(wanted[0])]
    return Answers(Label(column, written), labels.source, aligned, joined)


def read_scores(published: Sample, sample: Sample, layout: Layout) -> np.ndarray:
    """Published scores of the sample's rows, float64, NaN where a row has none.

    Raises:
        FileRefused: no column, or several, can be the scores; they are no numbers; the rows do not match.
    """
    raw = published.raw
    named = [name for name in raw.columns if snake_case(name).strip("_") in _SCORES]
    spare = [name for name in raw.columns if name != layout.id_column]
    column = named[0] if len(named) == 1 else spare[0] if len(spare) == 1 else None
    if column is None:
        shown = listed([repr(name) for name in raw.columns[:8]], total=raw.width)
        raise FileRefused(
            f"{published.source}: which column is the score? It has {shown}.",
            hint="Call it 'prediction', and deliver nothing else but the id.",
        )
    cell = given(column, raw.schema[column], "number", published.input.missing)
    numbers = raw.select(score=value(cell, raw.schema[column], "number")).to_series()
    if not numbers.count():
        raise FileRefused(f"{published.source}: {column!r} holds no numbers.", hint="Deliver the model's scores.")
    aligned, _ = _align(numbers, published, sample, layout)
    scores: np.ndarray = aligned.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return scores


def first_miss(published: np.ndarray, scored: np.ndarray) -> int | None:
    """Row of the first score that is not as published, to `TOLERANCE`; None where all are."""
    known = ~np.isnan(published)
    off = np.flatnonzero(known & ~(np.abs(published - scored) <= TOLERANCE))
    return int(off[0]) if len(off) else None


def _align(values: pl.Series, other: Sample, sample: Sample, layout: Layout) -> tuple[pl.Series, str]:
    """Values of another file by row of the sample."""
    if layout.has_id and layout.id_column in other.raw.columns:
        return _by_id(values, other, sample, layout.id_column), "by id"
    if other.raw.height == sample.raw.height:
        return values, "in their order"
    raise FileRefused(
        f"{other.source} has {other.raw.height:,} rows, {sample.source} {sample.raw.height:,}; they share no id.",
        hint="Deliver the same rows in the same order, or give both files the customer's id (--id COLUMN).",
    )


def _by_id(values: pl.Series, other: Sample, sample: Sample, id_column: str) -> pl.Series:
    keys = texts(other, id_column)
    again = len(keys) - keys.n_unique()
    if again:
        raise FileRefused(
            f"{other.source}: {again:,} rows repeat {id_column!r} of another row.",
            hint="Deliver one row a customer.",
        )
    found = (
        texts(sample, id_column)
        .alias("id")
        .to_frame()
        .join(
            pl.DataFrame({"id": keys, "value": values}).drop_nulls("id"),
            on="id",
            how="left",
            maintain_order="left",
        )
        .get_column("value")
    )
    if not found.count():
        raise FileRefused(
            f"{other.source} has no {id_column!r} of {sample.source}.",
            hint="Deliver the labels of these very customers.",
        )
    return found
