"""The reasons of stored predictions, as sentences for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from churnlib.errors import ChurnError
from churnlib.modelling.reasons import sentence
from churnlib.spec import ID, Feature, Spec
from churnlib.usecases.services import Services

_COLUMNS = r"^reason_\d+_(feature|value|log_odds|contribution)$"


def reasons_by_customer(
    services: Services, predictions: pl.LazyFrame, customers: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Sentences of some customers of one batch, strongest reason first; none for a row without reasons.

    Of all predictions only the rows and columns that this is about are in memory.
    """
    mine = pl.col(ID).is_in(list(customers))
    rows = predictions.filter(mine).select(ID, "model", "version", pl.col(_COLUMNS)).collect(engine="streaming")
    scored_by = rows.select("model", "version").unique().iter_rows()
    specs = {(model, version): worded_spec(services, model, version) for model, version in scored_by}
    return {row[ID]: sentences(specs[row["model"], row["version"]], row) for row in rows.iter_rows(named=True)}


def reason_count(predictions: pl.LazyFrame) -> int:
    """How many reasons a row can have."""
    return len(_numbers(predictions.collect_schema()))


def sentences(spec: Spec, row: Mapping[str, object]) -> tuple[str, ...]:
    """The reasons of one row of predictions, strongest first."""
    told = []
    for k in _numbers(row):
        feature, value = row[f"reason_{k}_feature"], row[f"reason_{k}_value"]
        log_odds = row.get(f"reason_{k}_log_odds")
        if log_odds is None:  # written before the column's name said its unit
            log_odds = row.get(f"reason_{k}_contribution")
        if isinstance(feature, str) and isinstance(log_odds, float):
            told.append(sentence(spec, feature, str(value), log_odds))
    return tuple(told)


def worded_spec(services: Services, model: str, version: int) -> Spec:
    """The spec of the version that scored, with what its features are called today.

    Where the version cannot be had any more, today's spec has to do.
    """
    today = services.spec(model)
    try:
        trained = services.release(model, version).spec
    except ChurnError:
        return today
    return trained.model_copy(update={"features": _relabelled(trained.features, today.features)})


def _relabelled(trained: Mapping[str, Feature], today: Mapping[str, Feature]) -> dict[str, Feature]:
    labels = {name: feature.label for name, feature in today.items() if feature.label is not None}
    return {
        name: feature.model_copy(update={"label": labels.get(name, feature.label)})
        for name, feature in trained.items()
    }


def _numbers(columns: Collection[str]) -> list[int]:
    return [k for k in range(1, len(columns)) if f"reason_{k}_feature" in columns]
