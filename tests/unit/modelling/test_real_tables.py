"""The whole way from a public table to a measured model, with specs as a person would write them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.modelling.scoring import score
from churnlib.modelling.training import train
from churnlib.spec import AS_OF, ID, LABEL, Spec, parse_spec

pytestmark = pytest.mark.real_data


@dataclass(frozen=True)
class Table:
    """A public table and what it is known to allow."""

    path: str
    id: str
    label: str
    positive: str
    numbers: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def load(self, folder: Path) -> tuple[pl.DataFrame, Spec]:
        raw = pl.read_csv(folder / self.path, infer_schema=False)
        names = [name for name in raw.columns if name not in (self.id, self.label, *self.ignored)]
        features: dict[str, Any] = {
            name: {"type": "number" if name in self.numbers else "category"} for name in names
        }
        columns = {"id": self.id, "label": self.label, "positive": self.positive}
        given = parse_spec({"name": "real", "columns": columns, "features": features}, source=self.path)
        values = [
            pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) if name in self.numbers else pl.col(name)
            for name in names
        ]
        frame = raw.select(
            pl.col(self.id).alias(ID),
            pl.lit(date(2025, 1, 1)).alias(AS_OF),
            *values,
            (pl.col(self.label) == self.positive).alias(LABEL),
        )
        return frame, given


TELCO = Table(
    "telco/telco_customer_churn.csv", "customerID", "Churn", "Yes", ("tenure", "MonthlyCharges", "TotalCharges")
)
BANK = Table(
    "bank/churn_modelling.csv",
    "CustomerId",
    "Exited",
    "1",
    ("CreditScore", "Age", "Tenure", "Balance", "NumOfProducts", "EstimatedSalary"),
    ("RowNumber", "Surname"),
)


def mean_auc(table: Table, folder: Path) -> float:
    """Mean test AUC over three divisions of the customers."""
    frame, given = table.load(folder)
    found = []
    for seed in (1, 2, 3):
        training = given.training.model_copy(update={"seed": seed})
        found.append(train(frame, given.model_copy(update={"training": training})).test.auc)
    return sum(found) / len(found)


def test_telco_reaches_the_auc_of_independent_runs(real_data: Path) -> None:
    assert mean_auc(TELCO, real_data) > 0.822


def test_bank_reaches_the_auc_of_independent_runs(real_data: Path) -> None:
    assert mean_auc(BANK, real_data) > 0.843


def test_telco_is_calibrated_and_its_blank_charges_are_scored_as_missing(real_data: Path) -> None:
    frame, given = TELCO.load(real_data)
    assert frame["TotalCharges"].null_count() == 11
    model = train(frame, given)
    assert model.test.calibration_error < 0.05
    assert model.test.lift_top_decile > 2.3
    blanks = score(model, frame.filter(pl.col("TotalCharges").is_null()).drop(LABEL)).frame
    assert blanks["probability"].is_between(0, 1).all()
