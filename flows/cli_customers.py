"""The commands about single customers: whom to contact, and what is on record about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)]


def campaign(
    name: Name,
    batch: Annotated[
        str | None, typer.Option(help="Id of the batch, or its beginning. Default: the newest.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Most customers. Default: size in the spec.", show_default=False)
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Most money, at the spec's cost of a contact.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: below data/campaigns/.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of other content.")] = False,
    as_json: Json = False,
) -> None:
    """Write the list of customers to contact, best first, with reasons.

    Leaves out a random share that is never contacted, so that the effect can be
    measured, and who was contacted lately (see campaign in the spec). Contacts
    are recorded once: the same command again writes the same list.
    """
    from flows import customer_commands

    customer_commands.campaign(name, batch, size, budget, out, force=force, as_json=as_json)


def explain(
    name: Name,
    customer_id: Annotated[str, typer.Argument(help="As in the delivered files.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show every score of a customer, why, and what came of it.

    Each with its reasons, the version that gave it, the file and run it came
    from; contacts, outcomes and rows in quarantine too.
    """
    from flows import customer_commands

    customer_commands.explain(name, customer_id, as_json=as_json)
