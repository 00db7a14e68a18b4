"""The models of one spec: the base model, and those of slices that have one of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from churnlib.intake.stream import BatchStream
from churnlib.ports import CHAMPION
from churnlib.records import Batch, KnownVariant
from churnlib.spec import Spec
from churnlib.usecases.contenders import Contenders, contenders
from churnlib.usecases.flowing import Spill
from churnlib.usecases.services import Services
from churnlib.usecases.splitting import Kept, Parts, Split, label_of


class Family:
    """Who scores which rows of a delivered file.

    A slice whose model has a champion is scored by it; all others by the base model. A champion that reads
    other delivered columns than the base model's stays out: one check of a file cannot be several contracts.

    Attributes:
        parts: the base model's rows.
        label: the slice of each accepted row as text; None for a model without slices.
        quarantined: a folder for refused rows.
    """

    def __init__(
        self, services: Services, spec: Spec, base: Contenders, stream: BatchStream, folder: Path
    ) -> None:
        """Look who is there; nothing is read yet.

        Args:
            services: the ports.
            spec: of the family, as it is today.
            base: who scores with the base model.
            stream: the whole file.
            folder: an empty one.
        """
        self._services, self._spec, self._base = services, spec, base
        self.quarantined, slices = folder / "quarantined", folder / "slices"
        for each in (self.quarantined, slices):
            each.mkdir()
        columns = spec.variants.dimensions
        self.label: pl.Expr | None = label_of(columns) if columns else None
        self.parts: Parts = stream
        self._split: Split | None = None
        self._own: dict[str, Contenders] = {}
        if columns:
            self._own = self._contenders()
            self.parts = self._split = Split(stream, columns, stem=spec.name, models=self._own, folder=slices)

    def own_models(self) -> Iterator[tuple[str, Parts, Contenders, Spill]]:
        """Each slice that was taken out: model, rows, who scores, and where nothing will be set aside.

        To be asked after the base model's rows are through.
        """
        for model, spill in self._split.own.items() if self._split else ():
            if spill.rows:
                yield model, Kept(spill), self._own[model], Spill(self.quarantined)

    def known(self, batch: Batch) -> list[KnownVariant]:
        """Every slice that the file had, for the record."""
        assert batch.as_of is not None
        return [
            KnownVariant(
                model=variant.registered_model(self._spec.name),
                family=self._spec.name,
                dimensions=dict(variant.dimensions),
                first_as_of=batch.as_of,
            )
            for variant in (self._split.seen.values() if self._split else ())
            if variant.dimensions
        ]

    def _contenders(self) -> dict[str, Contenders]:
        champions = self._services.registry.all_with(CHAMPION)
        names = set(self._services.model_names())  # a spec of its own is no slice of this one
        stem = f"{self._spec.name}-"
        slices = {each: at for each, at in champions.items() if each.startswith(stem) and each not in names}
        found = {each: contenders(self._services, each, self._spec, champion=at) for each, at in slices.items()}
        delivered = self._base.releases[self._base.champion].spec.delivered
        return {
            model: own for model, own in found.items() if own.releases[own.champion].spec.delivered == delivered
        }
