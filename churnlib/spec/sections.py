"""The tables of a spec, one class each: what every key means, and its default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of the spec's tables: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(Section):
    """Which columns of a delivered file mean what.

    Attributes:
        id: the customer's id; read as text.
        as_of: date the row describes the customer at; without it, the delivery's own date counts.
        label: churned or not, in files that carry it.
        positive: the label's value that means "churned".
        value: yearly value of the customer in money, for value at risk.
    """

    id: str
    as_of: str | None = None
    label: str | None = None
    positive: str | int | bool = 1
    value: str | None = None


class Input(Section):
    """How CSV files are written.

    Attributes:
        missing: texts that mean "no value", compared after surrounding blanks are removed.
        max_bad_share: above this share of quarantined rows the batch fails as a whole.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Literal["utf8", "latin-1"] = "utf8"
    missing: tuple[str, ...] = ("", "NA", "N/A", "NULL", "null", "NaN", "nan")
    max_bad_share: Share = 0.05


class Feature(Section):
    """One column: delivered, or derived by an SQL expression over delivered columns.

    Attributes:
        type: number, category, boolean, or date (dates serve expressions only).
        label: what people call it, for reasons in words: "support calls in 90 days".
        sql: expression over delivered columns; absent for a delivered column.
        required: the file must have the column; otherwise an absent column is all null.
        nullable: a row without a value is accepted.
        min: least accepted value, in the column's unit.
        max: greatest accepted value, in the column's unit.
        categories: the only accepted values; others are quarantined. Without it unseen values are
            accepted, scored as missing and counted.
        clock: ages by itself as time passes; it is watched but never raises an alarm.
        input_only: serves expressions but is no feature of the model.
    """

    type: Literal["number", "category", "boolean", "date"]
    label: str | None = None
    sql: str | None = None
    required: bool = True
    nullable: bool = True
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] | None = None
    clock: bool = False
    input_only: bool = False

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.type != "number" and (self.min is not None or self.max is not None):
            raise ValueError("min and max are for type = 'number'")
        if self.type != "category" and self.categories is not None:
            raise ValueError("categories are for type = 'category'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.type == "date" and (self.sql is not None or not self.input_only):
            raise ValueError("a date serves expressions only: say input_only = true, and no sql")
        if self.sql is not None and self.input_only:
            raise ValueError("a derived feature cannot be input_only")
        return self


class Training(Section):
    """How a model is fitted.

    Attributes:
        max_rounds: most boosting rounds; early stopping ends sooner.
        early_stopping_rounds: rounds without a better log loss on the validation slice.
        validation_share: share of customers for validation where the data has no time.
        test_share: share of customers for the test where the data has no time.
        min_rows: fewest labelled rows to train on.
        min_positives: fewest churned rows to train on.
        max_snapshots: newest `as_of` dates used; None for all.
        category_smoothing: rows of prior weight when categories are ordered by churn rate.
        probe_rows: rows stored in the release with their scores.
        device: what grows the trees; a release scores on the CPU, wherever it was trained.
        fallback_to_cpu: train on the CPU where there is no such GPU, on record, instead of refusing to train.
    """

    seed: int = 20260101
    max_rounds: Annotated[int, Field(ge=1, le=5000)] = 800
    early_stopping_rounds: Annotated[int, Field(ge=1)] = 30
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    max_depth: Annotated[int, Field(ge=1, le=10)] = 4
    min_child_weight: Annotated[float, Field(ge=0)] = 5.0
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] = 0.8
    reg_lambda: Annotated[float, Field(ge=0)] = 2.0
    max_bin: Annotated[int, Field(ge=2, le=256)] = 256
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    min_rows: Annotated[int, Field(ge=10)] = 200
    min_positives: Annotated[int, Field(ge=5)] = 30
    max_snapshots: Annotated[int, Field(ge=1)] | None = None
    category_smoothing: Annotated[float, Field(ge=0)] = 20.0
    probe_rows: Annotated[int, Field(ge=1, le=1000)] = 32
    device: Literal["cpu", "cuda"] = "cpu"
    fallback_to_cpu: bool = False


class Reasons(Section):
    """Which customers get reasons with their score.

    Attributes:
        top: how many reasons.
        top_share: share of the batch, from the highest risk down; 1 is everyone.
    """

    top: Annotated[int, Field(ge=1, le=10)] = 3
    top_share: Share = 1.0
