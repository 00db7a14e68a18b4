"""A model learns from counting batches and matured outcomes, and from nothing else."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.labelled import LabelledRows, Matured, matured_of, rows_from_history
from churnlib.usecases.scoring import score_file
from tests.loops import MODEL, Loop, batch_frame, outcomes_of, run, small_spec, week


def history(loop: Loop) -> LabelledRows:
    return rows_from_history(loop.services, small_spec())


def dates(rows: LabelledRows) -> list[object]:
    return rows.frame[AS_OF].unique().sort().to_list()


def test_history_joins_each_matured_snapshot_with_its_outcomes(lived: Loop) -> None:
    rows = history(lived)
    assert dates(rows) == [week(number) for number in range(5)]
    assert rows.frame.columns == [ID, AS_OF, *small_spec().delivered, LABEL]
    assert rows.frame.null_count()[LABEL].item() == 0
    last = rows.frame.filter(pl.col(AS_OF) == week(4)).sort(ID)
    assert last.drop(LABEL).equals(batch_frame(4).sort(ID))
    assert last[LABEL].to_list() == outcomes_of(batch_frame(4), turned=True).sort(ID)[LABEL].to_list()
    weeks = tuple(week(number) for number in range(5))
    assert matured_of(lived.services, small_spec()) == Matured(weeks, 1500, int(rows.frame[LABEL].sum()))


def test_a_corrected_batch_is_learned_from_instead_of_the_former(lived: Loop) -> None:
    corrected = batch_frame(2).with_columns(pl.col("monthly_charge") + 1000)
    score_file(lived.services, run(), model=MODEL, path=lived.deliver(corrected, "corrected.csv"))
    rows = history(lived).frame
    assert rows.filter(pl.col(AS_OF) == week(2)).drop(LABEL).sort(ID).equals(corrected.sort(ID))
    assert rows.height == 1500


def test_outcomes_that_have_not_matured_are_left_out_though_they_are_known(lived: Loop) -> None:
    lived.know(outcomes_of(batch_frame(5)), known_at=week(5), file_id="early")
    assert dates(history(lived))[-1] == week(4)
    lived.clock.set_to(week(6) - timedelta(days=1))
    assert dates(history(lived))[-1] == week(4)
    lived.clock.set_to(week(6))
    assert dates(history(lived))[-1] == week(5)
    assert matured_of(lived.services, small_spec()).dates[-1] == week(5)


def test_outcomes_that_become_known_later_are_left_out(lived: Loop) -> None:
    lived.clock.set_to(week(6))
    lived.know(outcomes_of(batch_frame(5)), known_at=week(6) + timedelta(days=1), file_id="late")
    assert dates(history(lived))[-1] == week(4)
    lived.clock.move(days=1)
    assert dates(history(lived))[-1] == week(5)


def test_only_the_newest_snapshots_are_used_where_the_spec_says_so(lived: Loop) -> None:
    rows = rows_from_history(lived.services, small_spec(training={"max_snapshots": 2}))
    assert dates(rows) == [week(3), week(4)]


def test_the_digest_changes_with_a_label_and_only_then(lived: Loop) -> None:
    before = history(lived).digest
    assert history(lived).digest == before
    lived.know(outcomes_of(batch_frame(0)), known_at=week(5), file_id="correction")
    assert history(lived).digest != before


def test_snapshots_of_before_a_column_came_have_none_of_it(lived: Loop) -> None:
    region = {"region": {"type": "category"}}
    features = {name: feature.model_dump(exclude_defaults=True) for name, feature in small_spec().features.items()}
    spec = small_spec(features={**features, **region})
    with pytest.raises(ChurnError, match="'region'"):
        rows_from_history(lived.services, spec)
    newer = batch_frame(4).with_columns(pl.lit("north").alias("region"))
    batch = next(batch for batch in lived.batches() if batch.as_of == week(4))
    lived.services.snapshots.replace(MODEL, batch.batch_id, week(4), newer.lazy())
    counted = rows_from_history(lived.services, spec).frame.group_by("region").len().sort("len")
    assert counted.rows() == [("north", 300), (None, 1200)]


def test_without_matured_outcomes_there_is_nothing_to_learn(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="no batch whose outcomes are known"):
        history(loop)
    lone = outcomes_of(batch_frame(0))
    loop.clock.set_to(week(3))
    loop.know(lone, known_at=week(1), file_id="lone")
    with pytest.raises(ChurnError, match="no batch whose outcomes are known"):
        history(loop)
    assert matured_of(loop.services, small_spec()).dates == ()
