"""Where the rows of each model lie below a table: decided here, for every table that has folders."""

from __future__ import annotations

from pathlib import Path

from churnlib.ports import Ledger
from churnlib.usecases.services import known_variant
from churnlib.variants import Variant


class Folders:
    """A model's folder has its name; that of a slice lies below its family's: `subscription/geography-us`.

    A slice is on record before its model has rows, and stays so: what was found once is kept.
    """

    def __init__(self, ledger: Ledger, specs: Path) -> None:
        self._ledger, self._specs = ledger, specs
        self._known: dict[str, str] = {}

    def __call__(self, model: str) -> str:
        """The model's folder below a table, with slashes between folders."""
        if model not in self._known:
            known = known_variant(self._ledger, self._specs, model)
            if known is None:
                return model
            self._known[model] = Variant(dimensions=known.dimensions).folder(known.family)
        return self._known[model]
