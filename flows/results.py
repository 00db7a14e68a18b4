"""What commands print of what use cases return."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from churnlib.monitoring.measurement import FeatureDrift
from churnlib.records import Decision, Report
from churnlib.usecases.drift import DriftResult
from churnlib.usecases.inspecting import WrittenSpec
from churnlib.usecases.outcomes import OutcomesResult
from churnlib.usecases.retraining import TrainResult
from flows.comparison_results import print_evidence, print_metrics
from flows.output import counted, near, next_step, print_json, print_table, say

_SHOWN_FEATURES = 8


def init_result(made: WrittenSpec, file: Path, page: Path | None, *, as_json: bool) -> None:
    """A drafted spec: what it takes for what, and what a person should look at."""
    if as_json:
        return print_json(
            {
                "spec": str(made.spec),
                "model": made.spec.stem,
                "rows": made.rows,
                "features": made.features,
                "warnings": [dict(warning) for warning in made.warnings],
                "left_out": made.left_out,
                "report": None if page is None else str(page),
            }
        )
    when = f"dated by {made.as_of_column}" if made.as_of_column else "dated by the day of delivery"
    say(f"Wrote {near(made.spec)} from {counted(made.rows, 'row')}: {counted(made.features, 'feature')}.")
    say(f"  churned:  {made.label_column} = {made.positive} ({made.churn_share:.1%} of the rows)")
    say(f"  customer: {made.id_column}, {when}")
    if made.left_out:
        say(f"  left out: {', '.join(made.left_out)}")
    if made.warnings:
        print_table(
            "Look at these",
            [
                {
                    "column": warning["column"] or "(the file)",
                    "kind": warning["kind"].replace("_", " "),
                    "what was seen": warning["message"],
                }
                for warning in made.warnings
            ],
        )
    say("")
    if page is not None:
        say(f"Pictures of the data: {near(page)}")
    return next_step("train", made.spec.stem, "--data", file)


def train_result(result: TrainResult, *, as_json: bool) -> None:
    """A trained version: its metrics on the test rows, its alias, and what comes next."""
    version, metrics = result.version, result.metrics
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
                "metrics": metrics.model_dump(),
                "gate": gate,
                "approval_id": None if result.approval is None else result.approval.approval_id,
            }
        )
    rows = result.rows
    say(f"{version.model} v{version.version} learned from {rows.frame.height:,} customers ({rows.source}).")
    for reason, count in rows.quarantined_by.items():
        say(f"  left out: {counted(count, 'row')}, {reason}")
    if "split" in version.params:
        say(f"  held out: {version.params['split']}")
    if "trained_on.instead" in version.params:
        say(f"  trained on the {version.params['trained_on'].upper()}: {version.params['trained_on.instead']}")
    old = None if result.evidence is None else result.evidence.champion_metrics
    print_metrics(version, metrics, old=old, champion=result.evidence.champion if result.evidence else None)
    if result.evidence is not None:
        print_evidence(result.evidence)
    say("")
    return _say_what_follows(result, gate)


def _say_what_follows(result: TrainResult, gate: Sequence[str]) -> None:
    model, version = result.version.model, result.version.version
    if result.gate is None:
        say(f"v{version} is the first version and so the champion.")
        return next_step("score", model, "<FILE>")
    for reason in gate:
        say(f"  {'+' if result.gate.passed else '-'} {reason}")
    if result.approval is None:
        champion = "the base model" if result.evidence is None else f"champion v{result.evidence.champion}"
        return say(f"v{version} is not put forward; {champion} stays.")
    say(f"v{version} passed and waits for a person until {result.approval.expires_at:%Y-%m-%d %H:%M} UTC.")
    return next_step("approve", result.approval.approval_id[:8], note="   (or: churn reject)")


def wait_result(decision: Decision, *, as_json: bool) -> None:
    """The retraining policy said no."""
    if as_json:
        return print_json({"model": decision.model, "action": decision.action, "reasons": decision.reasons})
    say(f"{decision.model} was not retrained: {'; '.join(decision.reasons)}.")
    return next_step("outcomes", decision.model, "<FILE>", note="   (or: churn train, with a labelled file)")


def outcomes_result(result: OutcomesResult, *, as_json: bool) -> None:
    """A file of outcomes and the measurements that it made possible."""
    file = result.file
    if as_json:
        return print_json(
            {
                "model": file.model,
                "rows": file.rows,
                "duplicate": result.is_duplicate,
                "quarantined": dict(result.quarantined_by),
                "performance": [_performance(report) for report in result.reports],
                "failed": result.failed,
            }
        )
    dates = f"{file.first_as_of}"
    if file.last_as_of != file.first_as_of:
        dates += f" to {file.last_as_of}"
    known = " They were known before." if result.is_duplicate else ""
    say(f"{file.source}: {counted(file.rows, 'outcome')} for customers as of {dates}.{known}")
    for reason, count in result.quarantined_by.items():
        say(f"  in quarantine: {counted(count, 'row')}, {reason}")
    for model, why in result.failed.items():
        say(f"  {model} was not measured: {why}")
    is_alone = {report.model for report in result.reports} <= {file.model}
    nothing = f"No scores of {file.model} are dated {dates}, so there is nothing to measure."
    return print_table(
        "Scores against what happened",
        [
            {
                "as of": str(report.as_of),
                "scored by": f"v{report.version}" if is_alone else f"{report.model} v{report.version}",
                "known": int(report.values.get("matured") or 0),
                "AUC": report.values.get("auc"),
                "verdict": report.verdict,
                "why": report.reason,
            }
            for report in result.reports
        ],
        empty=nothing,
    )


def drift_result(result: DriftResult, *, as_json: bool) -> None:
    """Verdict and measurements, the most moved features first."""
    verdict, features, batch = result.verdict, result.measurement.features, result.batch
    if as_json:
        return print_json(
            {
                "model": batch.model,
                "batch_id": batch.batch_id,
                "verdict": verdict.verdict,
                "triage": verdict.triage,
                "reason": verdict.reason,
                "features": [feature.model_dump(mode="json") for feature in features],
                "report": None if result.page is None else str(result.page),
            }
        )
    ranked = sorted(features, key=lambda feature: (not feature.is_drifted, -feature.psi))
    most = max(_SHOWN_FEATURES, sum(feature.is_drifted for feature in features))
    say(f"{batch.model}: {verdict.verdict}. {verdict.reason[:1].upper()}{verdict.reason[1:]}.")
    print_table(
        f"{result.measurement.rows:,} customers as of {batch.as_of} against those v{batch.version} was tested on",
        [_drift_row(feature) for feature in ranked[:most]],
    )
    if len(ranked) > most:
        say(f"{counted(len(ranked) - most, 'more column')} moved less: PSI at most {ranked[most].psi:.3f}.")
    if result.page is not None:
        say(f"Report with pictures: {near(result.page)}")
    if verdict.verdict == "drifted":
        next_step("retrain", batch.model, "--reason", "drift")
    return None


def _drift_row(feature: FeatureDrift) -> dict[str, object]:
    notes = (("moved", feature.is_drifted), ("clock", feature.is_clock))
    return {
        "column": feature.name,
        "PSI": feature.psi,
        "JS": feature.js,
        "missing then": f"{feature.missing_reference:.1%}" if feature.missing_reference else "",
        "now": f"{feature.missing_current:.1%}" if feature.missing_current else "",
        "note": ", ".join(word for word, holds in notes if holds),
    }


def _performance(report: Report) -> dict[str, object]:
    return {
        "model": report.model,
        "as_of": str(report.as_of),
        "version": report.version,
        "verdict": report.verdict,
        "auc": report.values.get("auc"),
        "calibration_error": report.values.get("calibration_error"),
        "matured": report.values.get("matured"),
        "reason": report.reason,
    }
