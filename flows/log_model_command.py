"""`churn log-model`: what somebody else trained becomes a version; thin: the use case does the work."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class TreesOption(StrEnum):
    """Which trees score, as one writes it."""

    ALL = "all"
    BEST = "best"


def log_model(
    name: Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)],
    model: Annotated[str, typer.Option(help="XGBoost model, JSON or UBJSON.", show_default=False)],
    sample: Annotated[
        str, typer.Option(help="Rows as the model gets them: CSV, JSON, Parquet.", show_default=False)
    ],
    features: Annotated[
        str | None, typer.Option(help="Feature names in order. Default: the model's own.", show_default=False)
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Who of the sample churned; may be the sample.", show_default=False)
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The label's column, there or in the sample.", show_default=False)
    ] = None,
    scores: Annotated[
        str | None, typer.Option(help="Scores of the sample that it has to reproduce.", show_default=False)
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="Column with the customer's id.", show_default=False)
    ] = None,
    geography: Annotated[
        str | None, typer.Option(help="Where its customers are, such as US.", show_default=False)
    ] = None,
    company: Annotated[
        str | None, typer.Option(help="Whose customers they are, such as ClientA.", show_default=False)
    ] = None,
    trees: Annotated[
        TreesOption | None,
        typer.Option(help="After early stopping: all trees, or up to the best one.", show_default=False),
    ] = None,
    who: Annotated[
        str | None,
        typer.Option("--as", help="Your name, for the record. Default: CHURN_USER.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Register a model that someone else trained.

    Files are paths or s3:// addresses; a model in geography-us/ there is that
    slice's, once it is known. Checks that they belong together, writes
    models/NAME.toml unless one is there that fits, and registers a version with
    probe, drift reference and lineage. Pickles are refused, unopened. The first
    version becomes champion; a later one is compared where labels are given.
    """
    from churnlib.settings import Settings
    from churnlib.usecases.log_model import Delivery, log_model
    from flows.commands import working
    from flows.log_model_results import log_model_result
    from flows.wiring import fetcher

    dimensions = {"geography": geography, "company": company}
    delivery = Delivery(
        name=name,
        model=model,
        sample=sample,
        features=features,
        labels=labels,
        scores=scores,
        id_column=id_column,
        label=label,
        trees=None if trees is None else trees.value,
        dimensions={dimension: value for dimension, value in dimensions.items() if value},
    )
    with working(who) as (wired, run):
        logged = log_model(wired, run, delivery, fetch=fetcher(Settings()))
    log_model_result(logged, as_json=as_json)
