"""The measurement that a release carries."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from churnlib.modelling.metrics import Metrics


class Evaluation(BaseModel):
    """The one measurement on the test part, and how that part was chosen.

    Attributes:
        test: None of a delivered model that came without labels: nothing was measured.
        auc_interval: bootstrap interval of the test AUC; None where there are too few rows for one.
        rounds: boosting rounds in the booster.
        split_kind: `delivered` is a labelled sample of which nobody knows whether the model learned from it.
        train_rows: None where it is not known; `validation_rows` likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test: Metrics | None
    auc_interval: tuple[float, float] | None
    rounds: int
    split_kind: Literal["time", "hash", "delivered"]
    split_text: str
    train_rows: int | None
    validation_rows: int | None
