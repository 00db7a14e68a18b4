"""The commands that work on one model; thin: the use cases do the work."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.records import ApprovalStatus
from churnlib.settings import Settings
from churnlib.usecases.services import Run, Services
from churnlib.variants import safe_name
from flows.output import print_json, print_table, progress, say
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
    return who or settings.user or getpass.getuser()


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

    settings = Settings()
    model = safe_name(name or file.name.split(".")[0], what="model")
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
    if as_json:
        return print_json(
            {
                "spec": str(made.spec),
                "model": model,
                "rows": made.rows,
                "features": made.features,
                "warnings": [dict(warning) for warning in made.warnings],
                "report": None if page is None else str(page),
            }
        )
    say(f"Wrote {made.spec}: {made.features} features from {made.rows:,} rows.")
    if made.warnings:
        print_table("Look at these", made.warnings)
    if page is not None:
        say(f"Pictures of the data: {page}")
    return say(f"Next: churn train {model} --data {file}")


def train(name: str, data: Path, who: str | None, *, as_json: bool) -> None:
    """Train on a labelled file."""
    from churnlib.usecases.retraining import train_from_file
    from flows.results import train_result

    with working(who) as (wired, run):
        result = train_from_file(wired, run, model=safe_name(name, what="model"), path=data)
    train_result(result, as_json=as_json)


def retrain(name: str, reason: str, *, as_json: bool) -> None:
    """Train on the history of scored batches."""
    from churnlib.usecases.retraining import retrain as ask_and_train
    from flows.results import train_result

    with working() as (wired, run):
        result = ask_and_train(
            wired,
            run,
            model=safe_name(name, what="model"),
            trigger="hand",
            reason=reason,
            key=f"hand:{run.run_id}",
        )
    if result.trained is not None:
        return train_result(result.trained, as_json=as_json)
    if as_json:
        return print_json({"model": name, "action": "wait", "reasons": result.decision.reasons})
    return say(f"Not trained: {'; '.join(result.decision.reasons)}")


def score(name: str, file: Path | None, as_of: str | None, *, as_json: bool) -> None:
    """Score one file, or all that wait."""
    from churnlib.usecases.scoring import score_file
    from flows.results import score_results

    model = safe_name(name, what="model")
    delivered_on = _date(as_of)
    with working() as (wired, run):
        paths = [file] if file is not None else list(wired.inbox.pending(model))
        if not paths:
            raise ChurnError(
                f"Nothing waits in data/incoming/{model}/.", hint=f"Name a file: churn score {model} FILE."
            )
        results = [score_file(wired, run, model=model, path=path, as_of=delivered_on) for path in paths]
    score_results(results, as_json=as_json)


def outcomes(name: str, file: Path, *, as_json: bool) -> None:
    """Take in a file of outcomes."""
    from churnlib.usecases.outcomes import take_outcomes
    from flows.results import outcomes_result

    with working() as (wired, run):
        result = take_outcomes(wired, run, model=safe_name(name, what="model"), path=file)
    outcomes_result(result, as_json=as_json)


def drift(name: str, batch: str | None, *, as_json: bool) -> None:
    """Check the drift of one batch."""
    from churnlib.usecases.drift import check_drift, find_batch
    from flows.results import drift_result

    with working() as (wired, run):
        model = safe_name(name, what="model")
        wired.spec(model)
        result = check_drift(wired, run, model=model, batch_id=find_batch(wired, model, batch))
    drift_result(result, as_json=as_json)


def answer(approval: str | None, who: str | None, reason: str | None, *, approve: bool, as_json: bool) -> None:
    """Answer a request for approval, or list what waits."""
    from churnlib.usecases.promotion import conclude, settle
    from flows.results import open_approvals

    settings = Settings()
    wired = open_services(settings)
    if approval is None:
        with wired.ledger.begin() as tx:
            return open_approvals(tx.approvals(status=ApprovalStatus.PENDING), as_json=as_json)
    name = user(settings, who)
    settled = settle(wired, approval, approve=approve, who=name, source="cli", reason=reason)
    if settled.flow_run_id is None or running(settings) is None:
        run = Run(run_id=f"cli-{secrets.token_hex(6)}", who=name)
        settled = conclude(wired, run, settled.approval_id)
    if as_json:
        return print_json(settled.model_dump(mode="json", exclude={"evidence"}))
    after = settled.outcome or "the waiting run acts on it within seconds"
    return say(f"{settled.model} v{settled.challenger}: {settled.status.value} by {name}; {after}.")


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ChurnError(f"--as-of {text!r} is no date.", hint="Write it as 2026-11-30.") from error
