"""What `churn score` prints: what was scored, who is at risk and why, and where the predictions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from churnlib.errors import ChurnError, FileRefused
from churnlib.records import BatchStatus
from churnlib.usecases.highlights import Highlights
from churnlib.usecases.scoring import ScoreResult
from flows.output import counted, near, next_step, print_json, print_table, say


def score_result(result: ScoreResult, seen: Highlights | None, *, as_json: bool) -> None:
    """One scored file."""
    if as_json:
        return print_json(score_json(result))
    for line in score_lines(result):
        say(line)
    if seen is not None:
        print_highlights(seen)
    if result.batch.output is not None:
        say("")
        say(f"Predictions, one row a customer: {near(result.batch.output)}")
    if result.state == "scored":
        next_step("drift", result.batch.model)
    return None


def inbox_results(
    model: str, results: Sequence[ScoreResult], refused: Mapping[str, FileRefused], *, as_json: bool
) -> None:
    """All files that waited, the refused ones too.

    Raises:
        ChurnError: a file was refused; in JSON it stands among the others, under `refused`.
    """
    if as_json:
        told = [{"file": name, "error": error.message, "hint": error.hint} for name, error in refused.items()]
        content: dict[str, object] = {"batches": [score_json(result) for result in results], "refused": told}
        if refused:  # one object, and it is a refusal too
            content |= {"error": _refused_text(refused), "hint": _refused_hint(model, refused)}
        print_json(content)
        if refused:
            raise SystemExit(ChurnError.exit_code)
        return
    for result in results:
        for line in score_lines(result):
            say(line)
        if result.state == "scored":
            say(f"  predictions: {near(result.batch.output or '')}")
    if refused:
        raise ChurnError(_refused_text(refused), hint=_refused_hint(model, refused))
    next_step("drift", model)


def score_lines(result: ScoreResult) -> list[str]:
    """What came of one file: a sentence, then what a person should know of its rows."""
    batch = result.batch
    if result.state == "busy":
        return [f"{batch.source} is being scored by another run."]
    by = f"{batch.model} v{batch.version}"
    if result.state == "duplicate":
        known_as = f" It came as {batch.source}." if batch.source else ""
        return [f"This content was scored by {by} on {batch.scored_at:%Y-%m-%d %H:%M} UTC already.{known_as}"]
    share = f"{batch.accepted:,} of {counted(batch.rows, 'customer')}"
    lines = [f"{by} scored {share} of {batch.source} as of {batch.as_of} (batch {batch.batch_id[:8]})."]
    if result.slices:
        rows = sum(each.accepted for each in result.slices)
        lines.append(
            f"  {counted(rows, 'more customer')} by the own models of {counted(len(result.slices), 'slice')}"
        )
    if batch.status is BatchStatus.SUPERSEDED:
        lines.append(f"  does not count: {batch.reason}")
    lines += [
        f"  in quarantine: {counted(count, 'row')}, {reason}" for reason, count in batch.quarantined_by.items()
    ]
    lines += [
        f"  unknown to the model: {counted(count, 'value')} of {feature}, scored as missing"
        for feature, count in result.unseen.items()
    ]
    if result.absent_columns:
        lines.append(f"  not delivered, scored as missing: {', '.join(result.absent_columns)}")
    if result.extra_columns:
        lines.append(f"  not used: {', '.join(result.extra_columns)}")
    return lines


def print_highlights(seen: Highlights) -> None:
    """How many will churn, and the customers at highest risk, each with why."""
    share = seen.expected / seen.customers
    say(
        f"About {seen.expected:,.0f} of these customers ({share:.1%}) can be expected to churn; the riskiest "
        f"tenth are {seen.tenth:,} customers with a risk of {seen.tenth_from:.1%} or more."
    )
    print_table(
        "At highest risk",
        [
            {
                "customer": each.customer_id,
                "risk": f"{each.probability:.1%}",
                "value at risk": None if each.value_at_risk is None else f"{each.value_at_risk:,.0f}",
                "why": "; ".join(each.reasons),
            }
            for each in seen.riskiest
        ],
    )


def score_json(result: ScoreResult) -> dict[str, object]:
    """One file for machines."""
    batch = result.batch
    return {
        "batch_id": batch.batch_id,
        "model": batch.model,
        "version": batch.version,
        "as_of": None if batch.as_of is None else str(batch.as_of),
        "state": result.state,
        "rows": batch.rows,
        "accepted": batch.accepted,
        "quarantined": batch.quarantined,
        "quarantined_by": batch.quarantined_by,
        "duplicate_of": batch.batch_id if result.state == "duplicate" else None,
        "unseen": result.unseen,
        "engine": result.engine,
        "extra_columns": result.extra_columns,
        "absent_columns": result.absent_columns,
        "output": batch.output,
        "seconds": batch.seconds,
    }


def _refused_text(refused: Mapping[str, FileRefused]) -> str:
    name, error = next(iter(refused.items()))
    more = f" {len(refused) - 1} more files were refused." if len(refused) > 1 else ""
    said = error.message if error.message.startswith(name) else f"{name}: {error.message}"
    return f"Refused: {said}{more}"


def _refused_hint(model: str, refused: Mapping[str, FileRefused]) -> str:
    error = next(iter(refused.values()))
    return f"{error.hint} Refused files are in data/failed/{model}/, each with its reason."
