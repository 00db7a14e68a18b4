"""What the champion learned from, as counts in bins: the reference that every later batch is held against."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import model_validator

from churnlib.features.expressions import derive
from churnlib.monitoring.divergences import Counts
from churnlib.records import Record
from churnlib.spec import Feature, Spec

SCORE = "score"
"""What the probability is called among the columns."""

MAX_BINS = 20
"""Bins of a number; its missing values have one more."""

MAX_VALUES = 50
"""Bins of a category, the commonest values; the others share one, so that rare ones do not pass for drift."""

MAX_KNOWN = 1000
"""Values remembered to tell a new one; a column with more is taken for free text."""

Numbers = npt.NDArray[np.float64]


class Profile(Record):
    """The distribution of one column over fixed bins.

    A number's bins are what lies at or below the first edge, between one edge (without it) and the next
    (with it), above the last, then missing. A category's or boolean's are one bin a value, all other
    values, then missing. Numbers that are not finite are missing.

    Attributes:
        counts: rows in each bin, missing last.
        known: values seen beside those with a bin of their own; None when there were more than `MAX_KNOWN`.
        distinct: different values seen, missing not counted.
        low: least value of a number; None without any.
        high: greatest value of a number.
        magnitude: median size of a number's values other than 0, without sign.
    """

    kind: Literal["number", "category", "boolean"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    counts: tuple[int, ...]
    known: tuple[str, ...] | None = ()
    distinct: int
    low: float | None = None
    high: float | None = None
    magnitude: float | None = None

    @model_validator(mode="after")
    def _bins_fit(self) -> Self:
        bins = len(self.edges) if self.kind == "number" else len(self.values)
        if len(self.counts) != bins + 2:
            raise ValueError(f"{len(self.counts)} counts for {bins + 2} bins")
        if any(left >= right for left, right in pairwise(self.edges)):
            raise ValueError("edges have to rise")
        return self

    @property
    def rows(self) -> int:
        """All rows, missing ones too."""
        return sum(self.counts)

    @property
    def missing(self) -> float:
        """Share of the rows without a value; 0 without rows."""
        return self.counts[-1] / max(self.rows, 1)

    @property
    def array(self) -> Counts:
        """The counts for arithmetic."""
        return np.array(self.counts, dtype=np.int64)

    def count(self, column: pl.Series) -> Counts:
        """Count another sample of the column in these bins."""
        if self.kind == "number":
            return self.count_numbers(finite(column), missing=len(column))
        texts = column.cast(pl.String).drop_nulls()
        places = {value: place for place, value in enumerate(self.values)}
        index = texts.replace_strict(places, default=len(places), return_dtype=pl.Int64).to_numpy()
        counted = np.bincount(index, minlength=len(places) + 1)
        return np.append(counted, column.null_count()).astype(np.int64)

    def count_numbers(self, numbers: Numbers, *, missing: int) -> Counts:
        """Count finite numbers; `missing` is the number of rows, those with a value among them."""
        index = np.searchsorted(np.array(self.edges), numbers, side="left")
        counted = np.bincount(index, minlength=len(self.edges) + 1)
        return np.append(counted, missing - numbers.size).astype(np.int64)

    def new_values(self, column: pl.Series) -> tuple[str, ...]:
        """Values of a category that the reference never had, sorted; none where it had too many to keep."""
        if self.kind == "number" or self.known is None:
            return ()
        present = column.cast(pl.String).drop_nulls().unique()
        return tuple(sorted(set(present.to_list()).difference(self.values, self.known)))


class Reference(Record):
    """The distributions a champion was fitted on. Kept in its release as JSON.

    Attributes:
        rows: rows behind every profile.
        features: by model feature, in the spec's order.
        score: of the champion's own probability on those rows.
    """

    rows: int
    features: dict[str, Profile]
    score: Profile


def add(first: Counts, second: Counts) -> Counts:
    """Counts of two parts of a sample in the same bins, as counts of the whole."""
    if first.shape != second.shape:
        raise ValueError(f"counts of {first.size} and of {second.size} bins cannot be added")
    return first + second


def fit_reference(accepted: pl.DataFrame, probability: pl.Series, spec: Spec) -> Reference:
    """Bin the rows that a champion learned from.

    Args:
        accepted: an accepted frame, one row per customer and `as_of`.
        probability: the champion's calibrated probability of those rows, in their order.
        spec: names the model's features.

    Raises:
        ValueError: there are no rows, or not one probability a row.
    """
    columns = model_columns(accepted, probability, spec)
    if accepted.is_empty():
        raise ValueError("a reference needs at least one row")
    features = {name: _fit(columns[name], feature) for name, feature in spec.model_features.items()}
    return Reference(rows=accepted.height, features=features, score=_fit_numbers(probability))


def model_columns(accepted: pl.DataFrame, probability: pl.Series, spec: Spec) -> pl.DataFrame:
    """The model's features of an accepted frame, derived ones too, in the spec's order; rows keep theirs.

    Raises:
        ValueError: there is not one probability a row.
    """
    if len(probability) != accepted.height:
        raise ValueError(f"{len(probability)} probabilities for {accepted.height} rows")
    return derive(accepted.lazy(), spec).select(*spec.model_features).collect()


def finite(column: pl.Series) -> Numbers:
    """The finite values of a number column, as float64."""
    numbers = column.cast(pl.Float64).drop_nulls().to_numpy()
    finite_numbers: Numbers = numbers[np.isfinite(numbers)]
    return finite_numbers


def magnitude(numbers: Numbers) -> float | None:
    """Median size of the values other than 0; None without any."""
    sizes = np.abs(numbers[numbers != 0])
    return float(np.median(sizes)) if sizes.size else None


def _fit(column: pl.Series, feature: Feature) -> Profile:
    return _fit_numbers(column) if feature.type == "number" else _fit_values(column, feature)


def _fit_numbers(column: pl.Series) -> Profile:
    numbers = finite(column)
    edges = _edges(numbers)
    empty = Profile(kind="number", edges=edges, counts=(0,) * (len(edges) + 2), distinct=0)
    if not numbers.size:
        return empty.model_copy(update={"counts": (0, len(column))})
    return empty.model_copy(
        update={
            "counts": tuple(empty.count_numbers(numbers, missing=len(column)).tolist()),
            "distinct": int(np.unique(numbers).size),
            "low": float(numbers.min()),
            "high": float(numbers.max()),
            "magnitude": magnitude(numbers),
        }
    )


def _edges(numbers: Numbers) -> tuple[float, ...]:
    """Unique quantiles; where many rows share the least value, what lies below it gets a bin of its own."""
    if not numbers.size:
        return ()
    levels = np.arange(1, MAX_BINS - 1) / (MAX_BINS - 1)
    edges = np.unique(np.quantile(numbers, levels, method="inverted_cdf"))
    if edges[0] == numbers.min():
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    return tuple(edges.tolist())


def _fit_values(column: pl.Series, feature: Feature) -> Profile:
    tally = column.cast(pl.String).drop_nulls().alias("value").value_counts(name="rows")
    ranked = tally.sort("rows", "value", descending=[True, False])["value"].to_list()
    values, others = ranked[:MAX_VALUES], ranked[MAX_VALUES:]
    known = tuple(sorted(others)) if len(ranked) <= MAX_KNOWN else None
    kind: Literal["category", "boolean"] = "boolean" if feature.type == "boolean" else "category"
    empty = Profile(kind=kind, values=tuple(values), counts=(0,) * (len(values) + 2), known=known, distinct=0)
    counts = tuple(empty.count(column).tolist())
    return empty.model_copy(update={"counts": counts, "distinct": len(ranked)})
