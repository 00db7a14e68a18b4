from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.modelling.split import Split, split
from churnlib.spec import AS_OF, ID, LABEL
from tests.builders import FIRST_AS_OF, labelled, spec

GAP = timedelta(days=28)


def day(frame: pl.DataFrame, which: str) -> date:
    found = getattr(frame.get_column(AS_OF), which)()
    assert isinstance(found, date)
    return found


def churn_share(frame: pl.DataFrame) -> float:
    return float(frame.get_column(LABEL).sum()) / frame.height


def keys(parts: Split) -> pl.DataFrame:
    return pl.concat([parts.train, parts.validation, parts.test]).select(ID, AS_OF)


def test_by_time_every_part_was_known_before_the_next_begins() -> None:
    parts = split(labelled(400, weeks=14), spec())
    assert parts.kind == "time"
    assert day(parts.train, "max") + GAP <= day(parts.validation, "min")
    assert day(parts.validation, "max") + GAP <= day(parts.test, "min")
    assert day(parts.test, "max") == FIRST_AS_OF + timedelta(weeks=13)
    assert parts.cutoff == day(parts.validation, "max")


def test_by_time_validation_and_train_are_as_late_as_the_gap_allows() -> None:
    parts = split(labelled(400, weeks=14), spec())
    test_from = day(parts.test, "min")
    assert day(parts.validation, "max") == test_from - GAP
    assert day(parts.train, "max") == day(parts.validation, "min") - GAP
    assert day(parts.train, "min") == FIRST_AS_OF


def test_by_time_says_the_dates() -> None:
    parts = split(labelled(400, weeks=9), spec())
    assert parts.text == (
        "By time with gaps of 28 days: train 2025-01-06, validation 2025-02-03, test 2025-03-03."
    )


def test_thin_dates_are_joined_until_there_are_enough_churners() -> None:
    parts = split(labelled(40, weeks=40), spec())
    assert parts.kind == "time"
    for part in (parts.test, parts.validation):
        assert part.get_column(AS_OF).n_unique() > 1
        assert part.get_column(LABEL).sum() >= 30


def test_with_two_usable_dates_validation_is_by_hash_and_the_test_by_time() -> None:
    parts = split(labelled(500, weeks=5), spec())
    assert parts.kind == "time"
    assert day(parts.test, "min") == FIRST_AS_OF + GAP
    assert day(parts.train, "max") == day(parts.validation, "max") == FIRST_AS_OF
    assert not set(parts.train.get_column(ID)) & set(parts.validation.get_column(ID))
    assert "validation is 20% of the customers of 2025-01-06 by a hash" in parts.text


def test_dates_closer_than_the_horizon_are_divided_by_customer() -> None:
    parts = split(labelled(300, weeks=4), spec())
    assert parts.kind == "hash"
    assert "4 dates, too close or too thin for a gap of 28 days" in parts.text
    ids = [set(part.get_column(ID)) for part in (parts.train, parts.validation, parts.test)]
    assert not ids[0] & ids[1] | ids[0] & ids[2] | ids[1] & ids[2]


def test_without_time_every_part_has_the_same_share_of_churners() -> None:
    rows = labelled(1000)
    parts = split(rows, spec())
    assert parts.kind == "hash"
    assert "one date" in parts.text
    assert (parts.train.height, parts.validation.height, parts.test.height) == (600, 200, 200)
    for part in (parts.train, parts.validation, parts.test):
        assert churn_share(part) == pytest.approx(churn_share(rows), abs=0.006)


def test_without_time_the_shares_are_the_specs() -> None:
    parts = split(labelled(1000), spec(training={"validation_share": 0.1, "test_share": 0.3}))
    assert (parts.validation.height, parts.test.height) == (100, 300)


def test_a_seed_gives_one_division_and_another_seed_another() -> None:
    rows = labelled(400)
    first, again, other = (split(rows, spec(training={"seed": seed})).test for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_hardly_any_customer_changes_parts_when_some_leave() -> None:
    rows = labelled(1000)
    before = split(rows, spec()).test.get_column(ID)
    after = split(rows.filter(pl.col(ID) > "c00050"), spec()).test.get_column(ID)
    kept = before.filter(before > "c00050")
    assert kept.is_in(after.implode()).sum() > 0.93 * len(kept)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 16), st.integers(0, 50))
def test_no_row_is_in_two_parts_and_only_the_gaps_are_left_out(weeks: int, seed: int) -> None:
    rows = labelled(400, weeks, seed).sample(fraction=1, shuffle=True, seed=seed)
    parts = split(rows, spec())
    used = keys(parts)
    assert used.is_unique().all()
    assert used.join(rows, on=[ID, AS_OF], how="anti").is_empty()
    if parts.kind == "hash":
        assert used.height == rows.height


def test_max_snapshots_takes_the_newest_dates() -> None:
    parts = split(labelled(500, weeks=14), spec(training={"max_snapshots": 9}))
    assert day(parts.train, "min") == FIRST_AS_OF + timedelta(weeks=5)


def test_too_few_rows_name_count_and_setting() -> None:
    with pytest.raises(
        ChurnError, match=r"There are 150 labelled rows; training\.min_rows of 'telly' asks for 200\."
    ):
        split(labelled(150), spec())


def test_too_few_churners_name_count_and_setting() -> None:
    rows = labelled(300)
    stayed = rows.filter(~pl.col(LABEL))
    few = pl.concat([stayed, rows.filter(LABEL).head(7)])
    with pytest.raises(
        ChurnError, match=r"There are 7 customers who churned; training\.min_positives .* asks for 30"
    ):
        split(few, spec())


def test_too_few_stayers_are_refused_as_well() -> None:
    rows = labelled(2000).filter(LABEL).head(205).vstack(labelled(2000).filter(~pl.col(LABEL)).head(5))
    with pytest.raises(ChurnError, match=r"There are 5 customers who stayed"):
        split(rows, spec())


def test_a_part_without_churners_is_refused() -> None:
    rows = pl.concat([labelled(600).filter(~pl.col(LABEL)), labelled(600).filter(LABEL).head(5)])
    tight = spec(training={"min_positives": 5, "test_share": 0.01, "validation_share": 0.01})
    with pytest.raises(ChurnError, match=r"The validation part has \d+ rows of which 0 churned.*validation_share"):
        split(rows, tight)
