"""The tables of a spec that say what is done when: a class each, what every key means, and its default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from churnlib.spec.sections import Section, Share


class ChallengerPolicy(Section):
    """What the challenger does with a batch before it is champion.

    Attributes:
        share: share of customers who get the challenger's score; who they are, a hash of their id says.
        shadow: let the challenger score along even where the share is 0.
    """

    share: Share = 0.0
    shadow: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it scores at all. Then both versions score everyone, and what is not given out is kept."""
        return self.shadow or self.share > 0


class VariantsPolicy(Section):
    """One model for each slice of the customers that has enough matured outcomes for one.

    Attributes:
        dimensions: delivered column by dimension, as in `{geography = "Region"}`; a column with
            `input_only = true` serves this alone. Without any there is one model for everyone.
        experiment: stem of the MLflow experiments' names; default is the name of the spec.
    """

    dimensions: dict[str, str] = {}  # noqa: RUF012  pydantic gives every spec its own
    experiment: str | None = None


class CampaignPolicy(Section):
    """Whom a campaign contacts.

    Attributes:
        size: most customers on a list.
        rank_by: what the list is sorted by, highest first; value at risk needs `columns.value`.
        cost: of one contact, in the currency of the value column.
        budget: most money for a list; None for no limit but `size`.
        holdout_share: share of customers who are never contacted, so that the effect can be measured.
        rest_days: days after a contact in which a customer is left alone.
        seed: another seed is another holdout.
    """

    size: Annotated[int, Field(ge=1)] = 500
    rank_by: Literal["probability", "value_at_risk"] = "probability"
    cost: Annotated[float, Field(gt=0)] | None = None
    budget: Annotated[float, Field(gt=0)] | None = None
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    rest_days: Annotated[int, Field(ge=0)] = 60
    seed: int = 20260101

    @model_validator(mode="after")
    def _budget_has_a_cost(self) -> Self:
        if self.budget is not None and self.cost is None:
            raise ValueError("a budget needs the cost of one contact: set cost")
        return self


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
