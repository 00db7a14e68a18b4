"""The spec: everything about one model that a data scientist decides, as TOML in `models/<name>.toml`."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from churnlib.errors import ChurnError, SpecError
from churnlib.variants import safe_name

ID, AS_OF, LABEL, KNOWN_AT = "customer_id", "as_of", "churned", "known_at"
"""Key, date, label and label date in every validated frame, whatever the file calls them."""

RESERVED = frozenset({ID, AS_OF, LABEL, KNOWN_AT})

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


class Reasons(Section):
    """Which customers get reasons with their score.

    Attributes:
        top: how many reasons.
        top_share: share of the batch, from the highest risk down.
    """

    top: Annotated[int, Field(ge=1, le=10)] = 3
    top_share: Share = 0.1


class DriftPolicy(Section):
    """When moved inputs or scores are an alarm.

    Attributes:
        psi: population stability index from which a column counts as moved.
        js: Jensen-Shannon distance (base 2, 0 to 1) from which a column counts as moved.
        persistence: moved in this many ...
        window: ... of the last so many distinct batches is an alarm.
        max_new_missing: rise in the share of missing values that means broken data.
        min_rows: smaller batches are measured but raise no alarm.
        report: when the page with pictures is made: always, only when something moved, or never.
    """

    psi: Annotated[float, Field(gt=0)] = 0.2
    js: Annotated[float, Field(gt=0, le=1)] = 0.2
    persistence: Annotated[int, Field(ge=1)] = 2
    window: Annotated[int, Field(ge=1)] = 3
    max_new_missing: Share = 0.25
    min_rows: Annotated[int, Field(ge=1)] = 500
    report: Literal["always", "moved", "never"] = "moved"

    @model_validator(mode="after")
    def _window_holds_persistence(self) -> Self:
        if self.persistence > self.window:
            raise ValueError(f"persistence {self.persistence} is more than window {self.window}")
        return self


class RetrainingPolicy(Section):
    """When a challenger is trained.

    Attributes:
        every_days: a scheduled retraining is due after so many days.
        cooldown_days: days between the ends of two trainings.
        min_new_snapshots: matured `as_of` dates since the first moved batch (or since the champion's
            cut-off): one to learn from, one to stop early on, one to be judged on.
        min_auc_drop: AUC below the lower end of the champion's own test interval less this is low.
        low_measurements: consecutive low measurements that count as degraded.
    """

    every_days: Annotated[int, Field(ge=1)] = 90
    cooldown_days: Annotated[int, Field(ge=0)] = 7
    min_new_snapshots: Annotated[int, Field(ge=1)] = 3
    min_auc_drop: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    low_measurements: Annotated[int, Field(ge=1)] = 2


class PromotionPolicy(Section):
    """What a challenger must show before a person is asked.

    Attributes:
        bootstrap_rounds: resamples behind every interval.
        confidence: of every interval.
        max_calibration_error: highest accepted expected calibration error.
        max_slice_loss: greatest accepted loss of AUC in any slice large enough to judge.
        min_slice_rows: smaller slices are shown but not judged.
    """

    bootstrap_rounds: Annotated[int, Field(ge=50, le=5000)] = 400
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    max_calibration_error: Annotated[float, Field(gt=0, le=1)] = 0.05
    max_slice_loss: Annotated[float, Field(ge=0, le=1)] = 0.02
    min_slice_rows: Annotated[int, Field(ge=50)] = 1000


class ApprovalPolicy(Section):
    """How long a person has to answer, and whether the Prefect form counts as an answer."""

    valid_hours: Annotated[float, Field(gt=0)] = 168.0
    prefect_form: bool = True


class Spec(Section):
    """One model. Validated frames name their columns `customer_id`, `as_of`, `churned`, then as here.

    Attributes:
        name: file name without `.toml`; the registered model of the base variant.
        horizon_days: a customer churned if they left within so many days after `as_of`.
        max_age_days: an `as_of` older than this when it is delivered is stale; None accepts any age.
    """

    name: str
    description: str = ""
    horizon_days: Annotated[int, Field(ge=1)] = 30
    max_age_days: Annotated[int, Field(ge=1)] | None = None
    columns: Columns
    input: Input = Input()
    features: dict[str, Feature]
    training: Training = Training()
    reasons: Reasons = Reasons()
    drift: DriftPolicy = DriftPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    promotion: PromotionPolicy = PromotionPolicy()
    approval: ApprovalPolicy = ApprovalPolicy()

    @property
    def delivered(self) -> dict[str, Feature]:
        """Columns that a file brings, in the spec's order."""
        return {name: feature for name, feature in self.features.items() if feature.sql is None}

    @property
    def derived(self) -> dict[str, Feature]:
        """Features that an SQL expression makes, in the spec's order."""
        return {name: feature for name, feature in self.features.items() if feature.sql is not None}

    @property
    def model_features(self) -> dict[str, Feature]:
        """What the booster sees, in the spec's order."""
        return {name: feature for name, feature in self.features.items() if not feature.input_only}

    @property
    def clocks(self) -> frozenset[str]:
        """Features that age by themselves."""
        return frozenset(name for name, feature in self.features.items() if feature.clock)

    def fingerprint(self) -> str:
        """SHA-256 of what the spec says, hex; comments and the order of keys do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        try:
            safe_name(self.name, what="model")
        except ChurnError as error:
            raise ValueError(f"{error.message} {error.hint}".removesuffix(".")) from error
        if not self.model_features:
            raise ValueError("no feature for the model: [features] needs at least one that is not input_only")
        own = {name for name in (self.columns.id, self.columns.as_of, self.columns.label) if name}
        taken = (RESERVED | own) & set(self.features)
        if taken:
            raise ValueError(f"{sorted(taken)[0]!r} is the id, date or label and cannot be a feature too")
        if self.columns.value is not None and self.columns.value not in self.delivered:
            raise ValueError(f"columns.value names {self.columns.value!r}, which is no delivered column")
        for name, feature in self.derived.items():
            self._check_expression(name, feature.sql or "")
        return self

    def _check_expression(self, name: str, sql: str) -> None:
        known = [*self.delivered, AS_OF]
        try:
            roots = pl.sql_expr(sql).meta.root_names()
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"features.{name}.sql does not parse: {error}") from error
        for root in roots:
            if root not in known:
                near = _nearest(root, known)
                raise ValueError(f"features.{name}.sql names {root!r}, which is not there{near}")


def load_spec(path: Path) -> Spec:
    """Read and check one spec.

    Raises:
        SpecError: no such file, not TOML, an unknown key (with the nearest valid name), or a value
            that cannot hold; the message names file and key.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        others = sorted(other.stem for other in path.parent.glob("*.toml"))
        known = f"There are: {', '.join(others)}." if others else "There is none yet."
        raise SpecError(
            f"No spec {path}.", hint=f"{known} `churn init FILE --id COLUMN --label COLUMN` writes one."
        ) from error
    except UnicodeDecodeError as error:
        said = f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}."
        raise SpecError(said, hint="Save it as UTF-8.") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not TOML: {error}.", hint="Mend the line it names.") from error
    return parse_spec({"name": path.stem, **content}, source=str(path))


def parse_spec(content: object, *, source: str) -> Spec:
    """Check a spec that was read already; `source` stands in the error.

    Raises:
        SpecError: as `load_spec`.
    """
    try:
        return Spec.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the spec"
        if first["type"] == "extra_forbidden":
            hint = f"Remove or rename it{_nearest(str(first['loc'][-1]), _keys_at(first['loc'][:-1]))}."
            raise SpecError(f"{source}: unknown key {where!r}.", hint=hint) from error
        said = first["msg"].removeprefix("Value error, ")
        raise SpecError(f"{source}: {where}: {said}.", hint="Correct it and try again.") from error


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Spec
    for part in location:
        if part == "features":
            section = Feature
        elif part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
    return list(section.model_fields)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}" if close else f"; known are {', '.join(known)}"
