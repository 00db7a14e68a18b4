"""The commands that run or reach services."""

from __future__ import annotations

from typing import Annotated

import typer


def deploy(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Apply prefect.yaml to a Prefect server; can be repeated.

    Checks the file first: every event, parameter and flow that it names has to
    be there.
    """
    from flows import services_commands

    services_commands.deploy(as_json=as_json)


def up() -> None:
    """Run the local stack: Prefect, worker, watcher, MLflow, approvals."""
    from flows import services_commands

    services_commands.up()


def watch(
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between looks where nothing tells of arrivals.", min=1, show_default=False),
    ] = None,
) -> None:
    """Announce files that arrive, within seconds.

    Tells Prefect of every new file in data/incoming/, once it is written
    completely, and of every new object in S3: by its queue, or by listing.
    Default of --every: 10, and 300 where a queue tells.
    """
    from flows import services_commands

    services_commands.watch(every)


def approvals(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8765) -> None:
    """Run the approvals service alone.

    It resumes the runs whose answer is in, and closes requests that expired.
    """
    from flows import services_commands

    services_commands.approvals(port)


def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Answer the approval as demo-approver.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up at the end until Ctrl-C.")] = False,
    customers: Annotated[int, typer.Option(help="Customers a week.", min=2000)] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated business.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Play a quarter of a subscription business, for real.

    Quiet weeks, then prices rise: drift, retraining, an approval, a new
    champion. Takes a few minutes.
    """
    from flows.demo import play

    play(yes=yes, keep=keep, customers=customers, seed=seed, as_json=as_json)
