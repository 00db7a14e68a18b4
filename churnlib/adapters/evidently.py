"""The drift report for people, made by Evidently; verdicts come from `churnlib.monitoring` alone."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from churnlib.errors import ServiceUnavailable

if TYPE_CHECKING:
    import pandas as pd
    from evidently.core.report import Snapshot


_LESS = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"


class EvidentlyReporter:
    """A `DriftReporter` that writes Evidently's page: one bar chart a column, PSI and Jensen-Shannon."""

    def __init__(self, *, psi: float = 0.2, js: float = 0.2) -> None:
        """Remember from when on the page marks a column.

        Args:
            psi: population stability index of a number.
            js: Jensen-Shannon distance of a category or boolean.
        """
        self._psi = psi
        self._js = js

    def write(self, reference: pl.DataFrame, current: pl.DataFrame, destination: Path) -> Path:
        """Write one self-contained HTML page about two samples with the same columns.

        Columns without a value in either sample cannot be drawn; a line on top of the page names them.
        The file appears whole or not at all.

        Raises:
            ValueError: the columns differ.
        """
        if reference.columns != current.columns:
            raise ValueError(f"columns {current.columns} do not match the reference's {reference.columns}")
        empty = [name for name in reference.columns if _is_empty(reference[name]) or _is_empty(current[name])]
        drawn = [name for name in reference.columns if name not in empty]
        page = self._page(reference.select(drawn), current.select(drawn)) if drawn else "<body></body>"
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_name(f".{destination.name}.partial")
        partial.write_text(_with_note(page, empty, current.height), encoding="utf-8")
        return partial.replace(destination)

    def _page(self, reference: pl.DataFrame, current: pl.DataFrame) -> str:
        with _quiet():
            page: str = self._snapshot(reference, current).get_html_str(as_iframe=False)
        return page

    def _snapshot(self, reference: pl.DataFrame, current: pl.DataFrame) -> Snapshot:
        try:
            from evidently import DataDefinition, Dataset, Report
            from evidently.presets import DataDriftPreset
        except ImportError as error:
            raise ServiceUnavailable(
                f"The drift report cannot be drawn: {error}.",
                hint='Install the extra `reports`, or say drift.report = "never" in the spec.',
            ) from error

        numbers = [_harmless(name) for name, dtype in reference.schema.items() if dtype.is_numeric()]
        definition = DataDefinition(
            numerical_columns=numbers,
            categorical_columns=[name for name in map(_harmless, reference.columns) if name not in numbers],
        )
        preset = DataDriftPreset(
            num_method="psi", cat_method="jensenshannon", num_threshold=self._psi, cat_threshold=self._js
        )
        # the current sample comes first
        return Report([preset], include_tests=True).run(
            Dataset.from_pandas(_to_pandas(current), data_definition=definition),
            Dataset.from_pandas(_to_pandas(reference), data_definition=definition),
        )


def _to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Numbers as float64, the rest as text: Evidently compares no booleans with missing values.

    Evidently puts names and values into a script unescaped, so that a `<` could end it.
    """
    numeric, text = pl.selectors.numeric(), ~pl.selectors.numeric()
    columns = frame.with_columns(
        numeric.cast(pl.Float64), text.cast(pl.String).str.replace_all("<", _LESS, literal=True)
    )
    return columns.rename(_harmless).to_pandas()


def _harmless(name: str) -> str:
    return name.replace("<", _LESS)


def _is_empty(column: pl.Series) -> bool:
    present = column.drop_nulls()
    return present.is_empty() or (present.dtype.is_float() and not bool(present.is_finite().any()))


def _with_note(page: str, empty: list[str], rows: int) -> str:
    said = [f"A sample of {rows:,} rows; the verdict rests on all of them."]
    if empty:
        said.append(f"Not shown, because a sample has no value: {', '.join(empty)}.")
    note = f'<p style="font-family: sans-serif; margin: 1em">{html.escape(" ".join(said))}</p>'
    return page.replace("<body>", f"<body>{note}", 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of Evidently and its libraries about themselves off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
