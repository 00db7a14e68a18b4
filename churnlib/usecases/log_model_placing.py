"""Where a delivered version goes: champion of a model that has none, otherwise challenger, compared or waiting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.governance.comparison import Evidence, compare
from churnlib.governance.gates import GateResult, judge
from churnlib.modelling.delivered import typed
from churnlib.modelling.scoring import probabilities
from churnlib.ports import CHALLENGER, CHAMPION, ModelVersion
from churnlib.records import Approval, ApprovalStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.lifecycle import Noting, challenge, champion_or_first, crown
from churnlib.usecases.log_model_examining import Examined
from churnlib.usecases.proposing import propose
from churnlib.usecases.services import Run, Services
from churnlib.usecases.situation import GATE_TAG

WAITING = "waiting"
"""Value of the gate's tag of a version that could not be compared yet."""

ROWS_ARE = "delivered customers, from whom it may have learned"


@dataclass(frozen=True)
class Placed:
    """Where a version went.

    Attributes:
        alias: champion, challenger, or None for one that did not pass the gates.
        champion: version that it was held against, or would have to be; None without one.
        waits: why there is no comparison yet; None where there is one, or nobody to compare with.
    """

    alias: str | None
    champion: int | None = None
    evidence: Evidence | None = None
    gate: GateResult | None = None
    approval: Approval | None = None
    waits: str | None = None


def place(services: Services, run: Run, version: ModelVersion, seen: Examined, key: str) -> Placed:
    """Crown it, propose it or let it wait; repeating it under the same key changes nothing.

    Raises:
        AliasBusy: another run moves this model's aliases.
        NoChampion: the model had champions, and nothing has the alias now.
    """
    champion = champion_or_first(services, run, version.model)
    if champion is None or champion.version == version.version:
        why = "first version of this model, delivered from elsewhere"
        crown(services, run, version, why=why, closing=_done(services, key, f"champion v{version.version}"))
        return Placed(CHAMPION)
    run.progress.step(f"comparing version {version.version} with the champion {champion.version}")
    try:
        evidence = _evidence(services, version, champion, seen)
    except ChurnError as error:
        return _wait(services, run, version, champion, error.message.rstrip("."), key)
    if evidence is None:
        return _wait(services, run, version, champion, "no labels were delivered", key)
    gate = judge(evidence, seen.spec.promotion)
    approval = propose(services, run, seen.spec, version, champion, evidence, gate, key)
    alias = CHALLENGER if gate.passed else None
    return Placed(alias, champion.version, evidence, gate, approval)


def _evidence(
    services: Services, version: ModelVersion, champion: ModelVersion, seen: Examined
) -> Evidence | None:
    """Both versions on the labelled rows of the sample, as far as it has the champion's columns too."""
    if seen.answers is None:
        return None
    known = seen.answers.known
    release = services.release(champion.model, champion.version)
    today = seen.rows.get_column(AS_OF)[0]
    theirs = typed(seen.sample.raw[known], release.spec, today)
    ours = seen.rows[known]
    return compare(
        churned=seen.answers.churned.drop_nulls().to_numpy(),
        champion_probability=_scores(probabilities(release, theirs)),
        challenger_probability=seen.scored.probability[known],
        rows=ours.select(ID, AS_OF, *seen.spec.delivered),
        spec=seen.spec,
        champion=champion.version,
        challenger=version.version,
        cutoff=None,
    ).model_copy(update={"rows_are": ROWS_ARE})


def _scores(probability: pl.Series) -> np.ndarray:
    scores: np.ndarray = probability.to_numpy()
    return scores


def _wait(
    services: Services, run: Run, version: ModelVersion, champion: ModelVersion, why: str, key: str
) -> Placed:
    """Challenger without a comparison, unless one that has won its own is before a person."""
    reason = f"not compared with champion v{champion.version}: {why}"
    services.registry.tag(version.model, version.version, {GATE_TAG: WAITING, "churn.gate_reasons": reason[:500]})
    rival = services.registry.by_alias(version.model, CHALLENGER)
    if rival is not None and rival.version != version.version and _is_asked_about(services, rival):
        return Placed(None, champion.version, waits=f"{why}, and v{rival.version} is before a person")
    challenge(services, run, version, why=reason, closing=_done(services, key, f"challenger v{version.version}"))
    return Placed(CHALLENGER, champion.version, waits=why)


def _done(services: Services, key: str, result: str) -> Noting:
    return lambda tx: tx.finish(key, result=result, now=services.clock())


def _is_asked_about(services: Services, version: ModelVersion) -> bool:
    with services.ledger.begin() as tx:
        pending = tx.approvals(version.model, status=ApprovalStatus.PENDING)
    return any(each.challenger == version.version and each.expires_at > services.clock() for each in pending)
