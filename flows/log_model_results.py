"""What `churn log-model` prints: what was registered, what was checked, what comes next."""

from __future__ import annotations

from churnlib.modelling.metrics import MEANINGS
from churnlib.usecases.log_model import Logged
from churnlib.usecases.log_model_findings import checks, notes
from flows.comparison_results import print_evidence
from flows.output import near, next_step, print_json, print_table, say

_FEW = 50  # rows whose scores are worth printing


def log_model_result(logged: Logged, *, as_json: bool) -> None:
    """A delivered version: its checks, its metrics where labels came, its alias, and what comes next."""
    if as_json:
        return print_json(_content(logged))
    version, seen = logged.version, logged.seen
    done = "Registered" if logged.is_new else "This delivery was registered before, as"
    say(f"{done} {version.model} v{version.version}.")
    print_table("Checked", [{"what": what, "found": found} for what, found in checks(seen).items()])
    _print_metrics(logged)
    if logged.placed.evidence is not None:
        print_evidence(logged.placed.evidence)
    say("")
    for note in (*notes(seen), *logged.remarks):
        say(f"  ! {note}.")
    wrote = "Wrote" if seen.spec_text is not None else "It fits"
    say(f"{wrote} {near(logged.spec_file)}.")
    return _say_what_follows(logged)


def _print_metrics(logged: Logged) -> None:
    test = logged.seen.evaluation.test
    if test is None:
        return
    values, chance = test.model_dump(), test.positives / test.rows
    print_table(
        f"On {logged.seen.evaluation.split_text}",
        [
            {
                "measure": name,
                f"v{logged.version.version}": values[key],
                "what it says": text.format(chance=chance),
            }
            for key, (name, text) in MEANINGS.items()
        ],
    )


def _say_what_follows(logged: Logged) -> None:
    placed, version, name = logged.placed, logged.version, _asked_by(logged)
    for reason in () if placed.gate is None else placed.gate.reasons:
        say(f"  {'+' if placed.gate and placed.gate.passed else '-'} {reason}")
    if placed.approval is not None:
        until = f"{placed.approval.expires_at:%Y-%m-%d %H:%M} UTC"
        say(f"v{version.version} passed and waits for a person until {until}.")
        return next_step("approve", placed.approval.approval_id[:8], note="   (or: churn reject)")
    if placed.gate is not None:
        return say(f"v{version.version} is not put forward; champion v{placed.champion} stays.")
    if placed.waits is not None:
        state = "is challenger and waits" if placed.alias else "waits"
        say(f"v{version.version} {state}: it was not compared with champion v{placed.champion}, {placed.waits}.")
        return next_step(
            "log-model",
            logged.spec_file.stem,
            "...",
            "--labels",
            "<FILE>",
            note="   (the same files, and who churned)",
        )
    if placed.alias == "champion":
        say(f"v{version.version} is champion.")
        return next_step("score", name, "<FILE>")
    say(f"v{version.version} is {placed.alias or 'neither champion nor challenger'}.")
    return next_step("history", name)


def _asked_by(logged: Logged) -> str:
    """The name under which batches are scored: the spec's, where it splits them by the variant's dimensions."""
    spec = logged.seen.spec
    return spec.family if set(spec.variant.dimensions) <= set(spec.variants.dimensions) else spec.name


def _content(logged: Logged) -> dict[str, object]:
    placed, seen, version = logged.placed, logged.seen, logged.version
    test = seen.evaluation.test
    return {
        "model": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "is_new": logged.is_new,
        "alias": placed.alias,
        "spec": str(logged.spec_file),
        "spec_written": seen.spec_text is not None,
        "sha256": version.tags.get("churn.model_sha256"),
        "checks": checks(seen),
        "notes": [*notes(seen), *logged.remarks],
        "engine": seen.engine,
        "trees": seen.scored.trees,
        "rows": seen.rows.height,
        "probabilities": seen.scored.probability.tolist() if seen.rows.height <= _FEW else None,
        "metrics": None if test is None else test.model_dump(),
        "auc_interval": seen.evaluation.auc_interval,
        "gate": () if placed.gate is None else placed.gate.reasons,
        "waits": placed.waits,
        "approval_id": None if placed.approval is None else placed.approval.approval_id,
    }
