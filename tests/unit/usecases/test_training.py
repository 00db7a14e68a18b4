"""The first version is champion; later ones have to win, and only a winner is put before a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.governance.evidence import Evidence
from churnlib.ports import CHALLENGER
from churnlib.records import Approval, ApprovalStatus
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.retraining import TrainResult, train_from_file
from tests import builders
from tests.loops import MODEL, Loop, as_delivered, outcomes_of, run, small_spec, week, write_spec


@dataclass
class Meanwhile:
    """A `Progress` during which somebody else tries to train too, once."""

    loop: Loop
    path: Path
    said: str = ""

    def step(self, text: str) -> None:
        if not self.said:
            with pytest.raises(ChurnError) as raised:
                train_from_file(self.loop.services, run("run-2"), model=MODEL, path=self.path)
            self.said = raised.value.message

    def advance(self, done: int, total: int, unit: str) -> None:
        pass


def labelled_file(loop: Loop, *, turned: bool = False, rows: int = 1500) -> Path:
    accepted = builders.accepted(rows, seed=77, as_of=week(-2))
    labelled = accepted.join(outcomes_of(accepted, turned=turned), on=[ID, AS_OF])
    path = loop.folder / f"labelled-{turned}-{rows}.csv"
    as_delivered(labelled).write_csv(path)
    return path


def train(loop: Loop, path: Path, run_id: str = "run-1") -> TrainResult:
    return train_from_file(loop.services, run(run_id), model=MODEL, path=path)


def approvals(loop: Loop) -> list[Approval]:
    with loop.services.ledger.begin() as tx:
        return tx.approvals(MODEL)


def test_the_first_version_becomes_champion_on_record(empty: Loop) -> None:
    result = train(empty, labelled_file(empty))
    assert (result.version.version, result.alias, empty.champion()) == (1, "champion", 1)
    assert result.metrics.auc > 0.7
    [entry] = empty.transitions()
    assert (entry.kind, entry.from_version, entry.to_version, entry.who) == ("initial", None, 1, "tester")
    [event] = empty.bus.sent
    assert (event.type.name, event.payload["version"]) == ("churn.champion.changed", 1)
    assert approvals(empty) == []


def test_the_same_run_trained_again_makes_one_version_and_one_record(empty: Loop) -> None:
    path = labelled_file(empty)
    assert train(empty, path).version.version == train(empty, path).version.version == 1
    assert len(empty.registry.versions(MODEL)) == 1
    assert len(empty.transitions()) == 1
    assert len(empty.bus.sent) == 1


def test_a_version_that_does_not_win_is_held_with_reasons_and_nobody_is_asked(loop: Loop) -> None:
    accepted = builders.accepted(1500, seed=77, as_of=week(-2))
    churned = outcomes_of(accepted)[LABEL]
    noise = accepted.with_columns(churned.shuffle(seed=3))
    path = loop.folder / "noise.csv"
    as_delivered(noise).write_csv(path)
    result = train(loop, path)
    assert result.gate is not None
    assert not result.gate.passed
    assert (result.alias, result.approval, approvals(loop)) == (None, None, [])
    assert (loop.champion(), loop.registry.by_alias(MODEL, CHALLENGER)) == (1, None)
    [event] = loop.bus.sent
    assert event.type.name == "churn.challenger.held"
    assert event.payload["reason"] == "; ".join(result.gate.reasons)
    tags = loop.registry.versions(MODEL)[0].tags
    assert tags["churn.gate"] == "held"
    assert tags["churn.gate_reasons"] == event.payload["reason"]


def test_a_version_that_wins_is_challenger_and_a_person_is_asked_once(loop: Loop) -> None:
    result = train(loop, labelled_file(loop, turned=True))
    challenger = loop.registry.by_alias(MODEL, CHALLENGER)
    assert challenger is not None
    assert (challenger.version, loop.champion(), result.alias) == (2, 1, "challenger")
    [approval] = approvals(loop)
    assert (approval.status, approval.challenger, approval.champion) == (ApprovalStatus.PENDING, 2, 1)
    assert approval.challenger_run_id == challenger.run_id
    evidence = Evidence.model_validate_json(approval.evidence)
    assert (evidence.champion, evidence.challenger, evidence.model) == (1, 2, MODEL)
    assert evidence.difference is not None
    assert evidence.difference.low > 0
    [event] = loop.bus.sent
    assert (event.type.name, event.payload["version"]) == ("churn.challenger.registered", 2)
    assert event.payload["approval_id"] == approval.approval_id
    assert loop.transitions() == []


def test_a_training_in_flight_blocks_another_and_frees_its_place(empty: Loop) -> None:
    path = labelled_file(empty)
    other = Meanwhile(empty, path)
    train_from_file(empty.services, run("run-1", progress=other), model=MODEL, path=path)
    assert other.said == "telly is being trained already, by run-1."
    assert len(empty.registry.versions(MODEL)) == 1
    train(empty, labelled_file(empty, rows=1400), "run-3")
    assert len(empty.registry.versions(MODEL)) == 2


def test_a_training_that_fails_frees_its_place(empty: Loop) -> None:
    few = labelled_file(empty, rows=100)
    for run_id in ("run-1", "run-2"):
        with pytest.raises(ChurnError, match="min_rows"):
            train(empty, few, run_id)
    assert empty.registry.versions(MODEL) == []


def test_a_column_that_the_champion_needs_cannot_just_be_dropped(loop: Loop) -> None:
    features = {name: feature.model_dump(exclude_defaults=True) for name, feature in small_spec().features.items()}
    kept = {name: feature for name, feature in features.items() if name != "autopay"}
    write_spec(loop.services.specs, small_spec(features=kept))
    with pytest.raises(ChurnError, match="'autopay'"):
        train(loop, labelled_file(loop))
    assert loop.champion() == 1


def test_what_is_registered_says_where_it_came_from(empty: Loop) -> None:
    result = train(empty, labelled_file(empty))
    version = empty.registry.version(MODEL, 1)
    assert version is not None
    assert version.tags["churn.spec"] == small_spec().fingerprint()
    assert version.tags["churn.data"] == result.rows.digest
    assert version.tags["churn.trigger"] == "hand"
    assert version.metrics["test.auc"] == pytest.approx(result.metrics.auc)
    lineage = empty.services.release(MODEL, 1).lineage
    assert (lineage.source, lineage.rows) == ("labelled-False-1500.csv", 1500)


def test_rows_that_break_the_contract_are_left_out_and_counted(empty: Loop) -> None:
    path = labelled_file(empty)
    text = pl.read_csv(path, infer_schema=False).with_columns(
        pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("many")).otherwise("tenure_months").alias("tenure_months")
    )
    text.write_csv(path)
    result = train(empty, path)
    assert result.rows.quarantined_by == {"tenure_months: not a number": 5}
    assert result.rows.frame.height == 1495
