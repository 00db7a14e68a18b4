"""The commands that run or reach services: deploy, up, watch, approvals."""

from __future__ import annotations

import logging
import time
from functools import partial

from churnlib.errors import ServiceUnavailable
from churnlib.settings import Settings
from flows import deployments, interrupts
from flows.commands import open_services
from flows.output import console, print_json, progress, say
from flows.stack import LOOPBACK, Stack, running
from flows.wiring import arrivals_queue


def deploy(*, as_json: bool) -> None:
    """Apply prefect.yaml and the automations."""
    settings = Settings()
    stack = running(settings)
    url = settings.prefect_api_url or (stack["prefect_api"] if stack else None)
    if url is None:
        raise ServiceUnavailable(
            "No Prefect server is known.",
            hint="Start the local stack with `churn up`, or set CHURN_PREFECT_API_URL to a server's API.",
        )
    with progress() as shown:
        shown.step("applying prefect.yaml")
        done = deployments.apply(url)
    if as_json:
        return print_json({"prefect_api_url": url, "applied": done})
    for line in done:
        say(line)
    return None


def up() -> None:
    """Run the stack until Ctrl-C."""
    settings = Settings()
    interrupts.install()
    with Stack(settings, poll_seconds=2) as stack:
        with progress() as shown:
            stack.start_prefect(shown.step)
            shown.step("applying prefect.yaml")
            deployments.apply(stack.prefect_api_url)
            stack.start_workers(shown.step)
            open_services(settings).registry.models()
            stack.start_watcher(shown.step)
            stack.start_mlflow(shown.step)
            shown.step("waiting for MLflow")
            stack.wait_for_mlflow()
        wait_for_end(stack)


def wait_for_end(stack: Stack) -> None:
    """Print the URLs, then wait for Ctrl-C or for a process that ends by itself.

    Raises:
        ServiceUnavailable: a process of the stack ended; names it and its log.
    """
    out = console()
    out.print(f"\n[bold]Prefect[/]    {stack.prefect_url}")
    out.print(f"[bold]MLflow[/]     {stack.mlflow_url}")
    out.print(f"[bold]Approvals[/]  {stack.approvals_url}/approvals")
    out.print("Ctrl-C stops all of it.")
    while (ended := stack.ended()) is None:
        time.sleep(1)
    log = stack.settings.data / "logs" / f"{ended}.log"
    raise ServiceUnavailable(f"{ended} ended by itself.", hint=f"Its log is {log}.")


def watch(every: float | None) -> None:
    """Announce what arrives until Ctrl-C.

    Raises:
        ChurnError: a setting is wrong; a service that is down is waited for.
    """
    from flows.watcher import Watcher

    settings = Settings()
    interrupts.install()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("churn").setLevel(logging.INFO)
    watcher = Watcher(
        partial(open_services, settings),
        [settings.data / "incoming", settings.specs],
        queue=arrivals_queue(settings),
        look_seconds=every,
        settle_seconds=settings.settle_seconds,
    )
    say(f"Watching {settings.store_url or settings.data / 'incoming'}; Ctrl-C ends it.")
    watcher.run()


def approvals(port: int) -> None:
    """Serve approvals on loopback."""
    from flows.approvals import serve

    serve(open_services(Settings()), host=LOOPBACK, port=port)
