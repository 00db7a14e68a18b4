"""The commands about versions; thin: the use cases do the work."""

from __future__ import annotations

from churnlib.errors import ChurnError
from churnlib.settings import Settings
from churnlib.variants import safe_name
from flows import lifecycle_results
from flows.commands import open_services, working


def history(name: str, *, as_json: bool) -> None:
    """Every move of the model's aliases."""
    from churnlib.usecases.history import history_of

    services = open_services(Settings())
    model = safe_name(name, what="model")
    services.spec(model)
    lifecycle_results.history_result(model, history_of(services, model), as_json=as_json)


def champion(name: str, at: str | None, *, as_json: bool) -> None:
    """Who is champion, or was."""
    from churnlib.usecases.history import champion_then, moment_of

    services = open_services(Settings())
    model = safe_name(name, what="model")
    services.spec(model)
    then = champion_then(services, model, moment_of(at, services.clock()))
    lifecycle_results.champion_result(then, is_now=at is None, as_json=as_json)


def search(text: str, where: str, *, as_json: bool) -> None:
    """Versions that have the words and fit the question."""
    from churnlib.usecases.searching import search as find
    from flows.search_results import search_result

    with working() as (wired, run):
        found = find(wired, text=text, where=where, progress=run.progress)
    search_result(found, where, as_json=as_json)


def rollback(name: str, reason: str, to: int | None, who: str | None, *, as_json: bool) -> None:
    """Return to an earlier champion."""
    from churnlib.usecases.by_hand import rollback as roll

    model = safe_name(name, what="model")
    with working(who) as (wired, run):
        wired.spec(model)
        run.progress.step(f"returning to an earlier champion of {model}")
        moved = roll(wired, run, model=model, reason=reason, to=to)
    lifecycle_results.moved_result(moved, as_json=as_json)


def promote(name: str, version: int, reason: str, who: str | None, *, sure: bool, as_json: bool) -> None:
    """Make a version champion by hand."""
    from churnlib.usecases.switching import promote as switch

    model = safe_name(name, what="model")
    with working(who) as (wired, run):
        wired.spec(model)
        run.progress.step(f"moving the champion of {model}")
        moved = switch(wired, run, model=model, version=version, reason=reason, sure=sure)
    lifecycle_results.moved_result(moved, as_json=as_json)


def archive(name: str, version: int, reason: str, who: str | None, *, undo: bool, as_json: bool) -> None:
    """Archive a version, or take it out."""
    from churnlib.usecases.by_hand import archive as put_away

    model = safe_name(name, what="model")
    with working(who) as (wired, run):
        wired.spec(model)
        moved = put_away(wired, run, model=model, version=version, reason=reason, undo=undo)
    lifecycle_results.moved_result(moved, as_json=as_json)


def alias(name: str, reason: str, who: str | None, *, adopt: bool, revert: bool, as_json: bool) -> None:
    """Show what was moved by hand, or settle it.

    Raises:
        ChurnError: both ways are asked for at once.
    """
    from churnlib.usecases.alias_watch import look, settle_aliases

    if adopt and revert:
        raise ChurnError("--adopt and --revert exclude each other.", hint="Keep the move, or undo it.")
    model = safe_name(name, what="model")
    with working(who) as (wired, run):
        wired.spec(model)
        if not (adopt or revert):
            edits, settled = look(wired, run, model), False
        else:
            why = reason or ("" if adopt else "set back to the record")
            edits, settled = settle_aliases(wired, run, model=model, adopt=adopt, reason=why), True
        aliases = {name: version.version for version in wired.registry.versions(model) for name in version.aliases}
    lifecycle_results.alias_result(model, aliases, edits, is_settled=settled, adopted=adopt, as_json=as_json)
