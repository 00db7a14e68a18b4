"""The commands about versions: who is, was and will be champion, and which there are."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import compare_command

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="Name of the model: models/NAME.toml.", show_default=False)]
Version = Annotated[int, typer.Argument(help="Number of the version.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False)]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Your name, for the record. Default: CHURN_USER.", show_default=False),
]


def models(
    family: Annotated[
        str | None,
        typer.Option("--family", help="All slices of that model. Default: the first of each.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every model: champion, age, AUC, last batch, drift.

    What needs attention stands first; slices stand below their base model.
    """
    from flows import overview

    overview.models(family, as_json=as_json)


def history(name: Name, as_json: Json = False) -> None:
    """Show who was champion since when, by whose word and why.

    Below the champions stand challengers and what was archived.
    """
    from flows import lifecycle_commands

    lifecycle_commands.history(name, as_json=as_json)


def champion(
    name: Name,
    at: Annotated[
        str | None,
        typer.Option("--at", help="A date (its end), or a time, UTC. Default: now.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say who is champion, or was at a date, and by whose word."""
    from flows import lifecycle_commands

    lifecycle_commands.champion(name, at, as_json=as_json)


def search(
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Words in name, alias, tags or params; v3 is a version.", show_default=False),
    ] = None,
    where: Annotated[
        str, typer.Option("--where", help="A question, such as: auc > 0.8 and alias = champion.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find versions of all models.

    A question compares metrics (auc is that of the test rows), tags, params,
    model, version, alias, created and run by = != < <= > >=, joined by and, or,
    not and parentheses. A version that lacks what is asked is not found.
    """
    from flows import lifecycle_commands

    lifecycle_commands.search(" ".join(text or ()), where, as_json=as_json)


def rollback(
    name: Name,
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option("--to", help="An earlier champion. Default: the last before it.", show_default=False),
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Return to the champion before the present one.

    As the record has it; a second rollback goes one further back. The release
    is loaded and scores its probe first. Batches that are being scored keep
    their version.
    """
    from flows import lifecycle_commands

    lifecycle_commands.rollback(name, reason, to, who, as_json=as_json)


def promote(
    name: Name,
    version: Version,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Although the gates never let it pass.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Make a version champion, with no fresh comparison.

    Answers its open request where there is one; otherwise nothing says that it
    is better than the champion (churn approve moves on evidence).
    """
    from flows import lifecycle_commands

    lifecycle_commands.promote(name, version, reason, who, sure=yes, as_json=as_json)


def alias(
    name: Name,
    adopt: Annotated[bool, typer.Option("--adopt", help="Keep it, on record.")] = False,
    revert: Annotated[bool, typer.Option("--revert", help="Set it back to the record.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False)] = "",
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Show or settle an alias that was moved by hand in MLflow.

    Until it is settled the version that MLflow names scores, and every batch
    says so; churn rollback and churn promote wait.
    """
    from flows import lifecycle_commands

    lifecycle_commands.alias(name, reason, who, adopt=adopt, revert=revert, as_json=as_json)


def archive(
    name: Name,
    version: Version,
    reason: Reason,
    undo: Annotated[bool, typer.Option("--undo", help="Take it out of the archive.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Tag a version as out of play; nothing is deleted."""
    from flows import lifecycle_commands

    lifecycle_commands.archive(name, version, reason, who, undo=undo, as_json=as_json)


WATCHING, DECIDING = (
    (models, history, champion, search),
    (compare_command.compare, promote, rollback, alias, archive),
)
"""The commands by the panel of `churn --help` that they stand in."""
