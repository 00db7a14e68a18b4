"""`churn compare`; thin: the use case does the work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from churnlib.errors import ChurnError


def compare(
    name: Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)],
    v1: Annotated[int, typer.Argument(help="Version that is compared with.", show_default=False)],
    v2: Annotated[int, typer.Argument(help="Version that is looked at.", show_default=False)],
    page: Annotated[
        Path | None, typer.Argument(help="With --html: where. Default: data/reports/.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Labelled file. Default: snapshots with outcomes.", show_default=False),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page for people, too: --html [PAGE].")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Show two versions side by side.

    On the same customers, whom neither learned from: metrics with intervals,
    calibration, groups, who is called. And what they look at, what differs in
    spec and data, size and speed. Kept with V2's run in MLflow.
    """
    from churnlib.usecases.comparing import compare_versions
    from churnlib.usecases.comparing_keeping import default_page
    from churnlib.variants import safe_name
    from flows.commands import working
    from flows.compare_results import compare_result

    if page is not None and not html:
        raise ChurnError(f"{page} is for a page that nobody asked for.", hint="Say --html before it.")
    model = safe_name(name, what="model")
    with working() as (wired, run):
        wanted = (page or default_page(wired, model, v1, v2)) if html else None
        compared = compare_versions(
            wired, run, model=model, first=v1, second=v2, timer=time.process_time, data=data, page=wanted
        )
    compare_result(compared, as_json=as_json)
