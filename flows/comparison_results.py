"""A version's metrics, alone or beside the champion's, in words for people who are no statisticians."""

from __future__ import annotations

from churnlib.governance.evidence import WORST_SLICES, Evidence
from churnlib.modelling.metrics import MEANINGS, Metrics
from churnlib.ports import ModelVersion
from flows.output import counted, print_table, say


def print_metrics(version: ModelVersion, new: Metrics, *, old: Metrics | None, champion: int | None) -> None:
    """One row a metric: what it is called, its value, the champion's on the same rows, what it says."""
    chance = new.positives / new.rows
    ours, theirs = new.model_dump(), None if old is None else old.model_dump()
    print_table(
        f"On {new.rows:,} customers that it did not learn from, {new.positives:,} of whom churned",
        [
            {
                "measure": name,
                f"v{version.version}": ours[key],
                f"champion v{champion}": None if theirs is None else theirs[key],
                "what it says": text.format(chance=chance),
            }
            for key, (name, text) in MEANINGS.items()
        ],
    )
    low, high = (version.metrics.get(f"test.auc_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        say(f"AUC of v{version.version} with its 95% interval: {new.auc:.3f}, {low:.3f} to {high:.3f}.")


def print_evidence(evidence: Evidence) -> None:
    """How much better the challenger is, and for whom least."""
    gap, calls, share = evidence.difference, evidence.call_list, f"{evidence.confidence:.0%}"
    if gap is not None:
        span = f"{gap.low:+.3f} to {gap.high:+.3f} ({share} interval)"
        say(f"AUC against champion v{evidence.champion}: {gap.estimate:+.3f}, {span}.")
    if calls is not None:
        say(
            f"Of the {calls.listed:,} customers in the riskiest tenth {calls.entered:,} change, and "
            f"{calls.churned_challenger:,} of them churned (champion: {calls.churned_champion:,})."
        )
    judged = [(part, part.difference) for part in evidence.slices if part.difference is not None]
    worst = sorted(judged, key=lambda pair: pair[1].estimate)[:WORST_SLICES]
    if worst:
        print_table(
            f"AUC where v{evidence.challenger} gains least, of {counted(len(judged), 'group')} of customers",
            [
                {
                    "group": part.name,
                    "customers": part.rows,
                    f"v{evidence.challenger}": part.auc_challenger,
                    f"champion v{evidence.champion}": part.auc_champion,
                    "difference": f"{one.estimate:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
                }
                for part, one in worst
            ],
        )
