"""The commands that work on one model; thin: the use cases do the work."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from churnlib.errors import ChurnError, FileRefused
from churnlib.records import ApprovalStatus
from churnlib.settings import Settings
from churnlib.usecases.services import Run, Services
from churnlib.variants import safe_name, slug
from flows.output import progress
from flows.stack import running
from flows.wiring import services


def open_services(settings: Settings) -> Services:
    """The services of this home; events go to its running stack, or wait in the outbox."""
    stack = running(settings)
    if settings.prefect_api_url is None and stack is not None:
        settings = settings.model_copy(update={"prefect_api_url": stack["prefect_api"]})
    return services(settings)


def user(settings: Settings, who: str | None = None) -> str:
    """Who is at the keyboard, for the record."""
    try:
        return who or settings.user or getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user often has no name
        raise ChurnError(
            "Nobody knows who is at the keyboard.", hint="Set CHURN_USER to your name, for the record."
        ) from error


@contextmanager
def working(who: str | None = None) -> Iterator[tuple[Services, Run]]:
    """Services and a run whose progress is shown on standard error while the block runs."""
    settings = Settings()
    with progress() as shown:
        run = Run(run_id=f"cli-{secrets.token_hex(6)}", who=user(settings, who), progress=shown)
        yield open_services(settings), run


def init(
    file: Path,
    id_column: str,
    label: str,
    name: str | None,
    as_of: str | None,
    positive: str | None,
    *,
    report: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the spec that a file suggests."""
    from churnlib.usecases.inspecting import write_spec
    from flows.results import init_result

    settings = Settings()
    model = model_name(file, name)
    page = settings.data / "reports" / model / "data.html" if report else None
    with progress() as shown:
        shown.step(f"looking at {file.name}")
        made = write_spec(
            file,
            settings.specs / f"{model}.toml",
            id_column=id_column,
            label_column=label,
            as_of_column=as_of,
            positive=positive,
            page=page,
            replace=force,
        )
    init_result(made, file, page, as_json=as_json)


def model_name(file: Path, name: str | None) -> str:
    """The name given, else the file's without its suffixes; blanks and the like become hyphens there.

    Raises:
        ChurnError: the name given could leave its folder, or nothing is left of the file's.
    """
    if name is not None:
        return safe_name(name, what="model")
    stem = file.name.split(".")[0]
    try:
        return safe_name(stem, what="model")
    except ChurnError:
        return safe_name(slug(stem), what="model")


def train(name: str, data: Path, who: str | None, *, force: bool, as_json: bool) -> None:
    """Train on a labelled file, unless that would make a version again that is there."""
    from churnlib.usecases.fleet_training import could_have_models
    from churnlib.usecases.retraining import train_from_file
    from churnlib.usecases.unchanged import Unchanged
    from flows.fleet_results import more_models
    from flows.lifecycle_results import unchanged_result
    from flows.results import train_result

    model = safe_name(name, what="model")
    try:
        with working(who) as (wired, run):
            result = train_from_file(wired, run, model=model, path=data, force=force)
            more = could_have_models(result.rows, wired.spec(model))
    except Unchanged as unchanged:
        return unchanged_result(unchanged.decision, unchanged.version, as_json=as_json)
    train_result(result, as_json=as_json)
    return None if as_json else more_models(model, data, more)


def retrain(name: str, reason: str, *, force: bool, as_json: bool) -> None:
    """Train on the history of scored batches."""
    from churnlib.usecases.retraining import retrain as ask_and_train
    from flows.results import train_result, wait_result

    with working() as (wired, run):
        result = ask_and_train(
            wired,
            run,
            model=safe_name(name, what="model"),
            trigger="hand",
            reason=reason,
            key=f"hand:{run.run_id}",
            force=force,
        )
    if result.trained is not None:
        return train_result(result.trained, as_json=as_json)
    return wait_result(result.decision, as_json=as_json)


def score(name: str, file: Path | None, as_of: str | None, *, as_json: bool) -> None:
    """Score one file, or all that wait.

    Raises:
        ChurnError: the file was refused; of several that wait, at least one was, and the others are scored.
    """
    from churnlib.usecases.highlights import highlights
    from churnlib.usecases.scoring import score_file
    from flows.score_results import inbox_results, score_result

    model = safe_name(name, what="model")
    with working() as (wired, run):
        delivered_on = _delivered_on(wired, as_of)
        if file is not None:
            result = score_file(wired, run, model=model, path=file, as_of=delivered_on)
            seen = None if as_json or result.state == "busy" else highlights(wired, result.batch)
        else:
            results, refused = [], {}
            for path in _waiting(wired, model):
                try:
                    results.append(score_file(wired, run, model=model, path=path, as_of=delivered_on))
                except FileRefused as error:
                    refused[path.name] = error
    if file is not None:
        return score_result(result, seen, as_json=as_json)
    return inbox_results(model, results, refused, as_json=as_json)


def outcomes(name: str, file: Path, *, as_json: bool) -> None:
    """Take in a file of outcomes."""
    from churnlib.usecases.outcomes import take_outcomes
    from flows.results import outcomes_result

    with working() as (wired, run):
        result = take_outcomes(wired, run, model=safe_name(name, what="model"), path=file)
    outcomes_result(result, as_json=as_json)


def drift(name: str, batch: str | None, *, as_json: bool) -> None:
    """Check the drift of one batch."""
    from churnlib.usecases.drift import check_family, find_batch
    from flows.fleet_results import checked_result
    from flows.results import drift_result

    with working() as (wired, run):
        model = safe_name(name, what="model")
        wired.spec(model)
        found = check_family(wired, run, model=model, batch_id=find_batch(wired, model, batch))
    if len(found.done) + len(found.failed) == 1:
        return drift_result(found.only(), as_json=as_json)
    return checked_result(model, found, as_json=as_json)


def answer(approval: str | None, who: str | None, reason: str | None, *, approve: bool, as_json: bool) -> None:
    """Answer a request for approval, or list what waits."""
    from churnlib.usecases.bundles import conclude_together, settle_together, together
    from flows.approval_results import answer_result, open_approvals

    settings = Settings()
    wired = open_services(settings)
    if approval is None:
        with wired.ledger.begin() as tx:
            return open_approvals(tx.approvals(status=ApprovalStatus.PENDING), as_json=as_json)
    name = user(settings, who)
    with progress() as shown:
        settled = settle_together(wired, approval, approve=approve, who=name, source="cli", reason=reason)
        if settled[0].flow_run_id is None or running(settings) is None:
            shown.step(f"moving the champion of {settled[0].model}" if approve else "recording the answer")
            run = Run(run_id=f"cli-{secrets.token_hex(6)}", who=name, progress=shown)
            conclude_together(wired, run, settled[0].approval_id)
            settled = together(wired, settled[0].approval_id)
    return answer_result(settled, as_json=as_json)


def _waiting(wired: Services, model: str) -> Sequence[Path]:
    wired.spec(model)
    paths = wired.inbox.pending(model)
    if not paths:
        raise ChurnError(f"No file waits in data/incoming/{model}/.", hint=f"Name one: churn score {model} FILE.")
    return paths


def _delivered_on(wired: Services, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        given = date.fromisoformat(text)
    except ValueError as error:
        raise ChurnError(f"--as-of {text!r} is no date.", hint="Write it like 2026-11-30.") from error
    today = wired.clock().date()
    if given > today:
        raise ChurnError(f"--as-of {given} is in the future (today is {today}).", hint="Name the day of delivery.")
    return given
