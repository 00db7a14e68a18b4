"""What commands print of what use cases return."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.governance.evidence import markdown
from churnlib.records import Approval
from churnlib.usecases.drift import DriftResult
from churnlib.usecases.outcomes import OutcomesResult
from churnlib.usecases.retraining import TrainResult
from churnlib.usecases.scoring import ScoreResult
from flows.output import print_json, print_markdown, print_table, say


def train_result(result: TrainResult, *, as_json: bool) -> None:
    """A trained version: its metrics on the test rows, its alias, and what comes next."""
    version, metrics = result.version, result.metrics.model_dump()
    gate = () if result.gate is None else result.gate.reasons
    if as_json:
        return print_json(
            {
                "model": version.model,
                "version": version.version,
                "run_id": version.run_id,
                "alias": result.alias,
                "rows": result.rows.frame.height,
                "quarantined": dict(result.rows.quarantined_by),
                "metrics": metrics,
                "gate": gate,
                "approval_id": None if result.approval is None else result.approval.approval_id,
            }
        )
    print_table(
        f"{version.model} v{version.version}, on rows it did not learn from",
        [{"metric": name, "value": value} for name, value in metrics.items()],
    )
    for reason, count in result.rows.quarantined_by.items():
        say(f"Left out: {count:,} rows, {reason}")
    if result.evidence is not None:
        print_markdown(markdown(result.evidence))
    if result.gate is None:
        return say(f"It is the champion. Next: churn score {version.model} FILE")
    for reason in gate:
        say(f"Gate: {reason}")
    if result.approval is not None:
        return say(f"It waits for a person: churn approve {result.approval.approval_id[:8]}")
    return say("It was not put forward; the champion stays.")


def score_results(results: Sequence[ScoreResult], *, as_json: bool) -> None:
    """Scored batches; one object for one file, `batches` for several."""
    if as_json:
        rows = [_score_json(result) for result in results]
        return print_json(rows[0] if len(rows) == 1 else {"batches": rows})
    for result in results:
        batch = result.batch
        if result.state == "busy":
            say(f"{batch.source} is being scored by another run.")
            continue
        if result.state == "duplicate":
            when = f"on {batch.scored_at:%Y-%m-%d %H:%M}" if batch.scored_at else "before"
            say(f"{batch.source}: this content was scored {when} already, as {batch.source}; nothing was done.")
            continue
        say(
            f"{batch.source}: {batch.accepted:,} of {batch.rows:,} customers as of {batch.as_of} scored by "
            f"{batch.model} v{batch.version} in {batch.seconds:.1f} s"
        )
        for reason, count in batch.quarantined_by.items():
            say(f"  quarantined: {count:,} rows, {reason}")
        for feature, count in result.unseen.items():
            say(f"  scored as missing: {count:,} values of {feature} that the model has not seen")
        if result.extra_columns:
            say(f"  ignored columns: {', '.join(result.extra_columns)}")
        if result.absent_columns:
            say(f"  absent columns, scored as missing: {', '.join(result.absent_columns)}")
        say(f"  predictions: {batch.output}")
    return None


def outcomes_result(result: OutcomesResult, *, as_json: bool) -> None:
    """A file of outcomes and the measurements that it made possible."""
    rows = [
        {
            "as_of": str(report.as_of),
            "version": report.version,
            "verdict": report.verdict,
            "auc": report.values.get("auc"),
            "calibration_error": report.values.get("calibration_error"),
            "matured": report.values.get("matured"),
            "reason": report.reason,
        }
        for report in result.reports
    ]
    if as_json:
        return print_json(
            {
                "model": result.file.model,
                "rows": result.file.rows,
                "duplicate": result.is_duplicate,
                "quarantined": dict(result.quarantined_by),
                "performance": rows,
            }
        )
    say(f"{result.file.source}: {result.file.rows:,} outcomes{' (known before)' if result.is_duplicate else ''}")
    return print_table("Scores against outcomes", rows)


def drift_result(result: DriftResult, *, as_json: bool) -> None:
    """Verdict and measurements, the most moved features first."""
    verdict, features = result.verdict, result.measurement.features
    if as_json:
        return print_json(
            {
                "model": result.batch.model,
                "batch_id": result.batch.batch_id,
                "verdict": verdict.verdict,
                "triage": verdict.triage,
                "reason": verdict.reason,
                "features": [feature.model_dump(mode="json") for feature in features],
                "report": None if result.page is None else str(result.page),
            }
        )
    shown = sorted(features, key=lambda feature: -(feature.psi or 0.0))
    print_table(
        f"{result.batch.model}, batch of {result.batch.as_of}, against v{result.batch.version}'s reference",
        [
            {
                "feature": feature.name,
                "PSI": feature.psi,
                "JS": feature.js,
                "missing then": feature.missing_reference,
                "missing now": feature.missing_current,
                "moved": "yes" if feature.is_drifted else "",
                "clock": "yes" if feature.is_clock else "",
            }
            for feature in shown
        ],
    )
    say(f"{verdict.verdict}: {verdict.reason}")
    if result.page is not None:
        say(f"Report: {result.page}")
    return None


def open_approvals(approvals: Sequence[Approval], *, as_json: bool) -> None:
    """What waits for a person."""
    if as_json:
        return print_json(
            {"approvals": [each.model_dump(mode="json", exclude={"evidence"}) for each in approvals]}
        )
    rows = [
        {
            "id": each.approval_id[:8],
            "model": each.model,
            "proposed": f"v{each.challenger}",
            "champion": "" if each.champion is None else f"v{each.champion}",
            "summary": each.summary,
            "until": f"{each.expires_at:%Y-%m-%d %H:%M} UTC",
        }
        for each in approvals
    ]
    return print_table("Waiting for approval", rows)


def _score_json(result: ScoreResult) -> dict[str, object]:
    batch = result.batch
    return {
        "batch_id": batch.batch_id,
        "model": batch.model,
        "version": batch.version,
        "as_of": str(batch.as_of),
        "state": result.state,
        "rows": batch.rows,
        "accepted": batch.accepted,
        "quarantined": batch.quarantined,
        "quarantined_by": batch.quarantined_by,
        "duplicate_of": batch.batch_id if result.state == "duplicate" else None,
        "unseen": result.unseen,
        "extra_columns": result.extra_columns,
        "absent_columns": result.absent_columns,
        "output": batch.output,
        "seconds": batch.seconds,
    }
