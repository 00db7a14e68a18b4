"""A challenger scores along, for a share of the customers or in the shadow, before anyone decides about it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.modelling.scoring import score
from churnlib.ports import CHALLENGER
from churnlib.records import ReportKind
from churnlib.spec import AS_OF, ID, Spec
from churnlib.usecases.batches import scores_of
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import ScoreResult, score_file
from tests import builders
from tests.loops import (
    MODEL,
    Loop,
    as_delivered,
    batch_frame,
    make_loop,
    outcomes_of,
    run,
    small_spec,
    week,
    write_spec,
)


@pytest.fixture(scope="module")
def other_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that learned from other customers, so that its scores differ."""
    return trained(tmp_path_factory.mktemp("other"), small_spec())


def trained(folder: Path, spec: Spec) -> Path:
    loop = make_loop(folder, spec=spec)
    accepted = builders.accepted(1500, seed=7, as_of=week(-2))
    labelled = accepted.join(outcomes_of(accepted), on=[ID, AS_OF], how="inner")
    path = loop.folder / "labelled.csv"
    as_delivered(labelled).write_csv(path)
    made = train_from_file(loop.services, run(), model=MODEL, path=path)
    return loop.registry.fetch(MODEL, made.version.version)


@pytest.fixture
def challenged(loop: Loop, other_release: Path) -> Loop:
    """A loop whose version 1 is champion and whose version 2 is challenger."""
    loop.register(other_release, key="second", alias=CHALLENGER)
    return loop


def scored(loop: Loop, number: int = 0, **challenger: object) -> ScoreResult:
    write_spec(loop.services.specs, small_spec(challenger=challenger))
    loop.clock.set_to(week(number))
    path = loop.deliver(batch_frame(number), f"{number}.csv")
    return score_file(loop.services, run(f"run-{number}"), model=MODEL, path=path)


def rows(table: pl.LazyFrame | None) -> pl.DataFrame:
    assert table is not None
    return table.sort(ID).collect()


def served(loop: Loop, result: ScoreResult) -> pl.DataFrame:
    return rows(loop.services.predictions.scan_batch(MODEL, result.batch.batch_id))


def beside(loop: Loop, result: ScoreResult) -> pl.DataFrame:
    return rows(loop.services.shadows.scan_batch(MODEL, result.batch.batch_id))


def alone(loop: Loop, version: int) -> pl.DataFrame:
    accepted = batch_frame(0)
    return score(loop.services.release(MODEL, version), accepted).frame.sort(ID)


def test_without_a_word_in_the_spec_the_challenger_scores_nothing(challenged: Loop) -> None:
    result = scored(challenged)
    assert result.batch.challenger is None
    assert challenged.services.shadows.scan_batch(MODEL, result.batch.batch_id) is None
    assert served(challenged, result)["version"].unique().to_list() == [1]


def test_in_the_shadow_everyone_gets_the_champions_score_and_the_challengers_is_kept(challenged: Loop) -> None:
    result = scored(challenged, shadow=True)
    assert (result.batch.version, result.batch.challenger) == (1, 2)
    given, kept = served(challenged, result), beside(challenged, result)
    assert given["version"].unique().to_list() == [1]
    assert kept["version"].unique().to_list() == [2]
    assert_frame_equal(given.select(ID, "probability"), alone(challenged, 1).select(ID, "probability"))
    assert_frame_equal(kept.select(ID, "probability"), alone(challenged, 2).select(ID, "probability"))


def test_a_share_of_the_customers_gets_the_challengers_score_with_its_reasons(challenged: Loop) -> None:
    result = scored(challenged, share=0.3)
    given, expected = served(challenged, result), alone(challenged, 2)
    mine = given.filter(pl.col("version") == 2)
    assert 0.2 < mine.height / given.height < 0.4
    columns = [ID, "probability", "margin", "reason_1_feature", "reason_1_log_odds"]
    assert_frame_equal(mine.select(columns), expected.filter(pl.col(ID).is_in(mine[ID].to_list())).select(columns))


def test_with_a_share_every_customer_has_both_scores_once(challenged: Loop) -> None:
    result = scored(challenged, share=0.3)
    for version in (1, 2):
        scores = rows(scores_of(challenged.services, result.batch, version))
        assert_frame_equal(scores.select(ID, "probability"), alone(challenged, version).select(ID, "probability"))


def test_with_a_share_ranks_go_by_probability_over_the_whole_batch(challenged: Loop) -> None:
    given = served(challenged, scored(challenged, share=0.5))
    by_risk = given.sort("probability", descending=True)
    assert by_risk["percentile"].is_sorted(descending=True)
    assert by_risk["decile"].value_counts()["count"].n_unique() == 1


def test_a_customer_stays_on_one_side_week_after_week(challenged: Loop) -> None:
    first = served(challenged, scored(challenged, 0, share=0.3)).select(ID, "version")
    second = served(challenged, scored(challenged, 1, share=0.3)).select(ID, "version")
    both = first.join(second, on=ID)
    assert both.height > 100
    assert both["version"].equals(both["version_right"])


def test_a_larger_share_takes_nobody_back(challenged: Loop) -> None:
    few = served(challenged, scored(challenged, 0, share=0.2)).filter(pl.col("version") == 2)[ID]
    more = served(challenged, scored(challenged, 1, share=0.6)).filter(pl.col("version") == 2)[ID]
    there = set(batch_frame(0)[ID]) & set(batch_frame(1)[ID])
    assert set(few) & there <= set(more)


@pytest.mark.parametrize(("share", "version"), [(0.0, 1), (1.0, 2)])
def test_a_share_of_none_or_all_is_that(challenged: Loop, share: float, version: int) -> None:
    given = served(challenged, scored(challenged, share=share, shadow=True))
    assert given["version"].unique().to_list() == [version]


def test_a_challenger_that_reads_other_columns_stays_out(loop: Loop, tmp_path: Path) -> None:
    features = {name: each for name, each in small_spec().features.items() if name != "autopay"}
    fewer = small_spec().model_copy(update={"features": features})
    assert fewer.delivered != small_spec().delivered
    loop.register(trained(tmp_path / "fewer", fewer), key="second", alias=CHALLENGER)
    result = scored(loop, share=0.5)
    assert result.batch.challenger is None
    assert served(loop, result)["version"].unique().to_list() == [1]


def test_outcomes_measure_both_versions_on_the_same_customers(challenged: Loop) -> None:
    scored(challenged, 0, share=0.3)
    challenged.clock.set_to(week(1))
    outcomes = outcomes_of(batch_frame(0))
    take_outcomes(challenged.services, run(), model=MODEL, path=challenged.deliver(outcomes, "outcomes/first.csv"))
    with challenged.services.ledger.begin() as tx:
        reports = tx.reports(MODEL, ReportKind.PERFORMANCE)
    assert sorted(report.version for report in reports) == [1, 2]
    counts = {report.values["matured"] for report in reports if "matured" in report.values}
    assert len(counts) <= 1
