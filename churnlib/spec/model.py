"""One model as its spec says it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Self

import polars as pl
from pydantic import Field, model_validator

from churnlib.errors import ChurnError
from churnlib.spec.names import AS_OF, RESERVED, nearest
from churnlib.spec.policies import (
    ApprovalPolicy,
    CampaignPolicy,
    ChallengerPolicy,
    DriftPolicy,
    PromotionPolicy,
    RetrainingPolicy,
    VariantsPolicy,
)
from churnlib.spec.sections import (
    Columns,
    Feature,
    Input,
    Reasons,
    Section,
    Training,
)
from churnlib.variants import BASE, Variant, safe_name


class Spec(Section):
    """One model. Validated frames name their columns `customer_id`, `as_of`, `churned`, then as here.

    Attributes:
        name: file name without `.toml`; the registered model of the base variant.
        horizon_days: a customer churned if they left within so many days after `as_of`.
        variant: the slice whose model this is; the base variant where it was read from a file.
        max_age_days: an `as_of` older than this when it is delivered is stale; None accepts any age.
    """

    name: str
    description: str = ""
    horizon_days: Annotated[int, Field(ge=1)] = 30
    max_age_days: Annotated[int, Field(ge=1)] | None = None
    variant: Variant = BASE
    variants: VariantsPolicy = VariantsPolicy()
    columns: Columns
    input: Input = Input()
    features: dict[str, Feature]
    training: Training = Training()
    reasons: Reasons = Reasons()
    challenger: ChallengerPolicy = ChallengerPolicy()
    campaign: CampaignPolicy = CampaignPolicy()
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

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.variant.experiment(self.variants.experiment or self.family)

    @property
    def family(self) -> str:
        """Name of the spec that the variant is of; its own for the base variant."""
        return self.name if not self.variant.dimensions else self.name.removesuffix(self.variant.suffix)

    def of_variant(self, variant: Variant) -> Spec:
        """The spec of one slice: the same but for the name, which is its registered model's."""
        return self.model_copy(update={"name": variant.registered_model(self.family), "variant": variant})

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
        for dimension, column in self.variants.dimensions.items():
            if column not in self.delivered:
                raise ValueError(f"variants.dimensions.{dimension} names {column!r}, which is no delivered column")
        if self.campaign.rank_by == "value_at_risk" and self.columns.value is None:
            raise ValueError("campaign.rank_by = 'value_at_risk' needs columns.value, the customer's yearly value")
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
                near = nearest(root, known)
                raise ValueError(f"features.{name}.sql names {root!r}, which is not there{near}")
