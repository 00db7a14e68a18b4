"""Why a customer's score is what it is: the features that moved it most, with the customer's own values."""

from __future__ import annotations

import numpy as np
import polars as pl

from churnlib.spec import Spec

MISSING = "missing"
"""Text of a value that is not there."""

_DIGITS = 4

_YES_NO = {"true": "yes", "false": "no"}


def reason_schema(top: int) -> dict[str, type[pl.DataType]]:
    """Return names and types of the reason columns: feature, value and log-odds for each of `top`."""
    schema: dict[str, type[pl.DataType]] = {}
    for k in range(1, top + 1):
        schema |= {f"reason_{k}_feature": pl.String, f"reason_{k}_value": pl.String}
        schema |= {f"reason_{k}_log_odds": pl.Float64}
    return schema


def reason_columns(places: np.ndarray, log_odds: np.ndarray, values: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Return the strongest reasons of each row as columns, strongest first.

    Args:
        places: columns of `values`, shape (rows, reasons), strongest first; -1 where there is no further.
        log_odds: their contributions to the margin, of the same shape.
        values: the same rows' model features, as `model_frame` gives them.
        spec: says how many reasons.

    Returns:
        The columns of `reason_schema`, null where there is no reason. Positive log-odds raise the risk.
    """
    none = len(values.columns)
    chosen = np.where(places < 0, none, places).astype(np.min_scalar_type(none)).T
    names = pl.Series([*values.columns, None], dtype=pl.String)
    texts = _texts(chosen.ravel(), values)
    columns = []
    for k, (place, odds) in enumerate(zip(chosen, log_odds.T, strict=True)):
        moved = pl.Series(odds.astype(np.float64))
        columns += [names.gather(place), texts[k * len(place) : (k + 1) * len(place)]]
        columns.append(pl.select(pl.when(pl.Series(place != none)).then(moved)).to_series())
    schema = reason_schema(spec.reasons.top)
    absent = [pl.repeat(None, values.height, dtype=dtype, eager=True) for dtype in schema.values()]
    columns += absent[len(columns) :]
    return pl.DataFrame([column.alias(name) for name, column in zip(schema, columns, strict=True)])


def sentence(spec: Spec, feature: str, value: str, log_odds: float) -> str:
    """Say one reason to people, such as "support calls in 90 days: 7, raises the risk".

    Args:
        spec: says what people call the feature; without a label, or for a feature that it no longer has, the
            name has to do.
        feature: as in `reason_k_feature`.
        value: as in `reason_k_value`.
        log_odds: as in `reason_k_log_odds`; above 0 raises the risk.
    """
    known = spec.features.get(feature)
    name = known.label if known is not None and known.label is not None else feature.replace("_", " ")
    said = _YES_NO.get(value, value) if known is not None and known.type == "boolean" else value
    return f"{name}: {said}, {'raises' if log_odds > 0 else 'lowers'} the risk"


def _texts(chosen: np.ndarray, values: pl.DataFrame) -> pl.Series:
    """The text of a value for each column that was chosen, in the rows' order over and over.

    Only chosen values become text, column by column; then all go to where they belong.
    """
    by_column = np.argsort(chosen, kind="stable")  # so short numbers are sorted by radix
    stops = np.cumsum(np.bincount(chosen, minlength=values.width + 1))
    rows = (by_column % max(values.height, 1)).astype(np.uint32)
    parts = [
        _as_text(column.gather(rows[start:stop]))
        for column, start, stop in zip(values.iter_columns(), [0, *stops], stops[:-1], strict=False)
    ]
    parts.append(pl.repeat(None, int(stops[-1] - stops[-2]), dtype=pl.String, eager=True))
    back = np.empty(len(chosen), dtype=np.uint32)
    back[by_column] = np.arange(len(chosen), dtype=np.uint32)
    return pl.concat(parts, rechunk=True).gather(back)


def _as_text(values: pl.Series) -> pl.Series:
    if not values.dtype.is_numeric():
        return values.cast(pl.String).fill_null(MISSING)
    value = pl.col(values.name)
    fraction = pl.when(value.abs() < 1).then(value.round_sig_figs(_DIGITS)).otherwise(value.round(_DIGITS))
    text = pl.when(fraction == 0).then(pl.lit("0")).otherwise(fraction.cast(pl.String).str.strip_suffix(".0"))
    return values.to_frame().select(text.fill_null(MISSING)).to_series()
