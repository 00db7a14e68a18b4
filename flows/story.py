"""The demo's story at the end: what happened each week, and what it was good for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from churnlib.errors import ChurnError
from churnlib.events import BATCH_SCORED, DRIFT_DETECTED, event_key
from churnlib.records import Batch, Decision, Report, ReportKind, Transition
from churnlib.simulation.world import Week
from churnlib.usecases.hindsight import Hindsight, compare_weeks
from churnlib.usecases.services import Services
from flows.output import print_json, print_table, say


def tell(
    services: Services,
    model: str,
    week: Callable[[int], Week],
    prefect_url: str,
    *,
    first_change: int,
    as_json: bool,
) -> None:
    """Print the table of weeks, and how much the new champion is better than the old one would have been."""
    with services.ledger.begin() as tx:
        batches = [batch for batch in tx.batches(model) if batch.scored_at is not None]
        drift = {report.batch_id: report for report in tx.reports(model, ReportKind.DRIFT)}
        performance = {report.batch_id: report for report in tx.reports(model, ReportKind.PERFORMANCE)}
        decisions = {decision.key: decision for decision in tx.decisions(model)}
        moves = tx.transitions(model)
    rows = [
        _row(number, batch, drift.get(batch.batch_id), performance.get(batch.batch_id), decisions, prefect_url)
        for number, batch in enumerate(batches, start=1)
    ]
    after = _after(services, model, week, moves, first_change, len(batches))
    if as_json:
        return print_json({"weeks": rows, "after_the_change": [asdict(each) for each in after]})
    print_table("The quarter", [{name: row[name] for name in row if name not in {"run", "link"}} for row in rows])
    for row in rows:
        if row["link"] is not None:
            say(f"Week {row['week']}, {row['run']}: {row['link']}")
    for move in moves:
        start = "" if move.from_version is None else f"v{move.from_version} to "
        say(f"{move.kind.capitalize()}: {start}v{move.to_version} by {move.who} ({move.why})")
    return _print_after(after, first_change)


def _row(
    number: int,
    batch: Batch,
    drift: Report | None,
    performance: Report | None,
    decisions: dict[str, Decision],
    prefect_url: str,
) -> dict[str, object]:
    is_drifted = drift is not None and drift.verdict == "drifted"
    decision = decisions.get(event_key(DRIFT_DETECTED, model=batch.model, subject=batch.batch_id))
    run = decision.run_id if decision is not None else batch.run_id
    is_live = run is not None and len(run) == len("00000000-0000-0000-0000-000000000000")
    return {
        "week": number,
        "as of": str(batch.as_of),
        "rows": batch.accepted,
        "champion": f"v{batch.version}",
        "AUC": _auc(performance),
        "drift": "" if drift is None else drift.verdict,
        "event": (DRIFT_DETECTED if is_drifted else BATCH_SCORED).name.removeprefix("churn."),
        "decision": "" if decision is None else decision.action,
        "run": "at speed" if not is_live else "scoring" if decision is None else "retraining",
        "link": f"{prefect_url}/runs/flow-run/{run}" if is_live else None,
    }


def _auc(performance: Report | None) -> str:
    value = None if performance is None else performance.values.get("auc")
    return "pending" if value is None else f"{value:.3f}"


def _after(
    services: Services,
    model: str,
    week: Callable[[int], Week],
    moves: Sequence[Transition],
    first_change: int,
    last: int,
) -> list[Hindsight]:
    promoted = [move for move in moves if move.kind == "promotion" and move.from_version is not None]
    if not promoted:
        return []
    old, new = promoted[-1].from_version, promoted[-1].to_version
    assert old is not None
    cutoff = services.release(model, new).cutoff
    numbers = [number for number in range(first_change, last + 1) if cutoff is None or week(number).as_of > cutoff]
    if not numbers:
        raise ChurnError("No week is left that the new champion did not learn from.", hint="Play more weeks.")
    truths = [week(number).truth for number in numbers]
    return compare_weeks(services, model, old=old, new=new, truths=truths)


def _print_after(after: Sequence[Hindsight], first_change: int) -> None:
    if not after:
        say("No new champion: the old one scores on.")
        return
    print_table(
        f"Since prices rose in week {first_change}, on weeks that neither version learned from",
        [
            {
                "as of": str(each.as_of),
                "left": each.leavers,
                "AUC old": each.auc_old,
                "AUC new": each.auc_new,
                "leavers among the tenth called: old": each.caught_old,
                "new": each.caught_new,
            }
            for each in after
        ],
    )
    old, new = sum(each.caught_old for each in after), sum(each.caught_new for each in after)
    share = (new - old) / max(old, 1)
    say(f"Calling the riskiest tenth reaches {new:,} leavers instead of {old:,} ({share:+.0%}).")
