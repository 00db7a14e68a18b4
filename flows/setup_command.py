"""`churn setup`: everything that an installation needs, prepared; thin: the use case does the work."""

from __future__ import annotations

from typing import Annotated

import typer


def setup(
    create_bucket: Annotated[
        bool, typer.Option("--create-bucket", help="Make the S3 bucket where it is missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Prepare databases, MLflow, bucket and inbox; can be repeated.

    Makes what is missing of what the settings name, and tries what is there. A
    line a part: done, was there, or what is wrong and how to mend it; the
    others go on. Exit code 3 where a service does not answer, 2 where something
    is to mend.
    """
    from churnlib.settings import Settings
    from churnlib.usecases.setting_up import exit_code, set_up
    from flows.output import progress
    from flows.setup_results import setup_result
    from flows.wiring import preparations

    parts, scrub = preparations(Settings(), create_bucket=create_bucket)
    with progress() as shown:
        reports = set_up(parts, shown, scrub=scrub)
    setup_result(reports, as_json=as_json)
    if code := exit_code(reports):
        raise typer.Exit(code)
