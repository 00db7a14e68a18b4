"""Which versions score a batch: the champion, and the challenger for a share or in the shadow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from churnlib.modelling.hashing import stable_hash
from churnlib.modelling.release import Release
from churnlib.ports import CHALLENGER
from churnlib.spec import ID, Spec
from churnlib.usecases.services import Services

_SEED = 0x5EED_AB
"""Of the hash that gives customers to the challenger: the same customers week after week."""


@dataclass(frozen=True)
class Contenders:
    """The versions that score a batch.

    Attributes:
        champion: version whose scores everyone gets but the challenger's share.
        challenger: version that scores along; None where the spec asks for none, or there is none.
        share: of the customers whose score is the challenger's.
        releases: by version.
    """

    champion: int
    challenger: int | None
    share: float
    releases: Mapping[int, Release]

    @property
    def versions(self) -> tuple[int, ...]:
        """Champion first."""
        return (self.champion,) if self.challenger is None else (self.champion, self.challenger)

    def served_by_challenger(self, accepted: pl.DataFrame) -> np.ndarray:
        """Which rows get the challenger's score, Boolean: a customer stays on one side while the share stays."""
        if self.challenger is None or not self.share:
            return np.zeros(accepted.height, dtype=bool)
        place = stable_hash(accepted.get_column(ID), seed=_SEED) / 2.0**64
        return np.asarray(place < self.share)


def contenders(services: Services, model: str, spec: Spec, *, champion: int | None = None) -> Contenders:
    """The champion, and the challenger where today's spec wants one to score along.

    Columns and features are those that a release was trained on; how files are written and who gets reasons
    is as the spec says today. A challenger that reads other delivered columns than the champion stays out:
    one check of a file cannot be both contracts.

    Args:
        services: the ports.
        model: registered model name.
        spec: of the family, as it is today.
        champion: its version, where the caller knows it; else the registry is asked.

    Raises:
        NoChampion: nothing to score with.
        ReleaseCorrupt: a release does not verify.
    """
    if champion is None:
        champion = services.champion(model).version
    releases = {champion: _as_of_today(services.release(model, champion), spec)}
    found = services.registry.by_alias(model, CHALLENGER) if spec.challenger.is_active else None
    if found is None or found.version == champion:
        return Contenders(champion, None, 0.0, releases)
    other = _as_of_today(services.release(model, found.version), spec)
    if other.spec.delivered != releases[champion].spec.delivered:
        return Contenders(champion, None, 0.0, releases)
    return Contenders(champion, found.version, spec.challenger.share, {**releases, found.version: other})


def _as_of_today(release: Release, spec: Spec) -> Release:
    return replace(release, spec=release.spec.model_copy(update={"input": spec.input, "reasons": spec.reasons}))
