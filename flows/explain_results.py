"""What `churn explain` prints: a customer's risk over time, the reasons, and the whole lineage."""

from __future__ import annotations

from collections.abc import Sequence

from churnlib.records import Batch, Contact
from churnlib.usecases.explaining import CustomerScore, Explanation, Outcome, QuarantinedRow, ScoringVersion
from flows.output import print_json, print_table, say

_BARS = "▁▂▃▄▅▆▇█"


def explain_result(found: Explanation, *, as_json: bool) -> None:
    """All that is on record about one customer."""
    if as_json:
        return print_json(explain_json(found))
    say(_headline(found))
    if found.scores:
        _print_scores(found)
    for row in found.quarantined:
        say(f"Quarantined on {row.batch.as_of} in {row.batch.source}: {', '.join(row.reasons)}.")
    print_table("Contacts", [_contact_row(contact) for contact in found.contacts], empty="Never contacted.")
    return None


def sparkline(probabilities: Sequence[float]) -> str:
    """One bar a probability; the highest of them is as high as a bar can be, 0 is the bottom."""
    top = max(probabilities, default=0.0) or 1.0
    return "".join(_BARS[min(int(each / top * len(_BARS)), len(_BARS) - 1)] for each in probabilities)


def _headline(found: Explanation) -> str:
    counting = [score.probability for score in found.scores if score.counts]
    who = f"{found.customer_id}, a customer of {found.model}"
    if not counting:
        return f"{who}: no score that counts."
    if len(counting) == 1:
        return f"{who}: risk {counting[0]:.1%}, one score."
    return f"{who}: risk {counting[0]:.1%} {sparkline(counting)} {counting[-1]:.1%}, {len(counting)} scores."


def _print_scores(found: Explanation) -> None:
    print_table("Scores, oldest first", [_score_row(score) for score in found.scores])
    print_table("Where they come from", [_source_row(score, found.model) for score in found.scores])
    for version in found.versions:
        say(_version_line(version, found.model))


def _score_row(score: CustomerScore) -> dict[str, object]:
    beside = ", ".join(f"v{version} {each:.1%}" for version, each in sorted(score.beside.items()))
    return {
        "as of": f"{score.as_of}" if score.counts else f"{score.as_of} (superseded)",
        "risk": f"{score.probability:.1%}",
        "percentile": f"{score.percentile:.1f}",
        "decile": score.decile,
        "value at risk": None if score.value_at_risk is None else f"{score.value_at_risk:,.0f}",
        "in the shadow": beside,
        "became": _became(score.outcome),
        "why": "; ".join(score.reasons),
    }


def _source_row(score: CustomerScore, model: str) -> dict[str, object]:
    batch = score.batch
    return {
        "as of": str(score.as_of),
        "scored by": _scorer(batch.model, score.version, model),
        "batch": batch.batch_id[:8],
        "file": batch.source,
        "from": batch.origin,
        "run": score.run_id,
        "scored (UTC)": f"{score.scored_at:%Y-%m-%d %H:%M}",
    }


def _contact_row(contact: Contact) -> dict[str, object]:
    return {
        "on": str(contact.contacted_on),
        "campaign": contact.campaign_id[:8],
        "group": contact.group,
        "rank": contact.rank,
        "risk": f"{contact.probability:.1%}",
        "scores as of": str(contact.as_of),
        "batch": contact.batch_id[:8],
    }


def _scorer(scorer: str, version: int, model: str) -> str:
    """The version; of the model of the customer's slice, that model too."""
    return f"v{version}" if scorer in {"", model} else f"{scorer} v{version}"


def _version_line(version: ScoringVersion, model: str) -> str:
    learned = "whose dates are not known" if version.cutoff is None else f"up to {version.cutoff}"
    run = "" if version.run_id is None else f" (MLflow run {version.run_id})"
    return f"{_scorer(version.model, version.version, model)} learned from customers {learned}{run}."


def _became(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    return f"{'left' if outcome.churned else 'stayed'} (known {outcome.known_at})"


def explain_json(found: Explanation) -> dict[str, object]:
    """The customer's record for machines."""
    return {
        "model": found.model,
        "customer_id": found.customer_id,
        "scores": [_score_json(score) for score in found.scores],
        "quarantined": [_quarantined_json(row) for row in found.quarantined],
        "contacts": [contact.model_dump(mode="json", exclude={"model"}) for contact in found.contacts],
        "versions": [
            {
                "model": each.model or found.model,
                "version": each.version,
                "cutoff": _text(each.cutoff),
                "mlflow_run_id": each.run_id,
            }
            for each in found.versions
        ],
    }


def _score_json(score: CustomerScore) -> dict[str, object]:
    outcome = score.outcome
    return {
        "as_of": str(score.as_of),
        "counts": score.counts,
        "probability": score.probability,
        "percentile": score.percentile,
        "decile": score.decile,
        "value_at_risk": score.value_at_risk,
        "reasons": score.reasons,
        "model": score.batch.model,
        "version": score.version,
        "beside": score.beside,
        **_batch_json(score.batch),
        "run_id": score.run_id,
        "scored_at": score.scored_at.isoformat(),
        "outcome": outcome and {"churned": outcome.churned, "known_at": str(outcome.known_at)},
    }


def _quarantined_json(row: QuarantinedRow) -> dict[str, object]:
    return {"as_of": _text(row.batch.as_of), "reasons": row.reasons, **_batch_json(row.batch)}


def _batch_json(batch: Batch) -> dict[str, object]:
    return {
        "batch_id": batch.batch_id,
        "source": batch.source,
        "origin": batch.origin,
        "status": batch.status.value,
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
