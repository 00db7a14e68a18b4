"""The commands about single customers; thin: the use cases do the work."""

from __future__ import annotations

from pathlib import Path

from churnlib.settings import Settings
from churnlib.variants import safe_name
from flows.commands import working


def campaign(
    name: str,
    batch: str | None,
    size: int | None,
    budget: float | None,
    out: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Choose whom to contact, record it, write the list."""
    from churnlib.usecases.campaign import make_campaign
    from flows.campaign_results import campaign_result

    with working() as (wired, run):
        made = make_campaign(
            wired,
            run,
            model=safe_name(name, what="model"),
            folder=Settings().data / "campaigns",
            batch=batch,
            size=size,
            budget=budget,
            out=out,
            force=force,
        )
    campaign_result(made, as_json=as_json)


def explain(name: str, customer_id: str, *, as_json: bool) -> None:
    """Show all that is on record about one customer."""
    from churnlib.usecases.explaining import explain as look_up
    from flows.explain_results import explain_result

    with working() as (wired, run):
        found = look_up(wired, run, model=safe_name(name, what="model"), customer_id=customer_id)
    explain_result(found, as_json=as_json)
