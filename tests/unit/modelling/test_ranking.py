from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.modelling import ranking
from churnlib.modelling.ranking import Ranking, Ranks


def ranked(*parts: list[float]) -> Ranks:
    found = Ranking()
    for part in parts:
        found.add(np.array(part, dtype=np.float64))
    return found.ranks(0, found.rows)


def naive(values: list[float]) -> tuple[list[float], list[int], list[int]]:
    """Percentile, decile and place by comparing each row with every other."""
    rows = len(values)
    place = [
        sum(other > value or (other == value and at < row) for at, other in enumerate(values))
        for row, value in enumerate(values)
    ]
    percentile = [sum(other <= value for other in values) / rows * 100 for value in values]
    return percentile, [10 * one // rows + 1 for one in place], place


def test_the_riskiest_has_place_0_percentile_100_and_decile_1() -> None:
    found = ranked([-1.0, 2.5, 0.0, -7.0])
    assert found.place.tolist() == [2, 0, 1, 3]
    assert found.percentile.tolist() == [50, 100, 75, 25]
    assert found.decile.tolist() == [6, 1, 3, 8]


def test_types_are_those_of_the_predictions() -> None:
    found = ranked([1.0, 2.0])
    assert [part.dtype.name for part in (found.percentile, found.decile, found.place)] == [
        "float64",
        "int8",
        "int64",
    ]


def test_equal_values_share_the_higher_percentile_and_their_places_go_by_the_order_of_the_file() -> None:
    found = ranked([1.0, 3.0, 1.0], [3.0, 1.0])
    assert found.percentile.tolist() == [60, 100, 60, 100, 60]
    assert found.place.tolist() == [2, 0, 3, 1, 4]


def test_deciles_are_of_equal_size_even_if_all_are_equal() -> None:
    found = ranked([0.5] * 40)
    assert np.bincount(found.decile).tolist() == [0] + [4] * 10
    assert set(found.percentile.tolist()) == {100.0}


def test_one_row_is_the_riskiest_of_its_batch() -> None:
    found = ranked([-3.0])
    assert (found.percentile[0], found.decile[0], found.place[0]) == (100, 1, 0)


def test_no_rows_have_no_ranks() -> None:
    assert len(ranked().place) == 0
    assert len(ranked([], []).percentile) == 0


def test_the_two_zeros_are_equal_and_infinities_are_values() -> None:
    found = ranked([0.0, -0.0, np.inf, -np.inf, 1e300])
    assert found.place.tolist() == [2, 3, 0, 4, 1]
    assert found.percentile.tolist() == [60, 60, 100, 20, 100]  # 1e300 is infinite in float32


def test_what_float32_cannot_tell_apart_is_equal() -> None:
    found = ranked([1.0, 1.0 + 1e-12, 1.0 + 2e-7])
    assert found.place.tolist() == [1, 2, 0]
    assert found.percentile[0] == found.percentile[1] < found.percentile[2] == 100


def test_a_value_that_is_no_number_is_refused_with_its_row() -> None:
    found = Ranking()
    found.add(np.zeros(5))
    with pytest.raises(ValueError, match="row 7 has no value"):
        found.add(np.array([1.0, 2.0, np.nan]))
    assert found.rows == 5


def test_rows_cannot_be_added_once_ranks_were_given() -> None:
    found = Ranking()
    found.add(np.array([1.0, 2.0]))
    found.ranks(0, 1)
    with pytest.raises(RuntimeError, match="cannot be added"):
        found.add(np.array([3.0]))


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (-1, 1), (2, 1)])
def test_ranks_of_rows_that_are_not_there_are_refused(start: int, stop: int) -> None:
    found = Ranking()
    found.add(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="are not among 2"):
        found.ranks(start, stop)


def test_what_was_added_may_change_afterwards() -> None:
    given, found = np.array([1.0, 2.0], dtype=np.float32), Ranking()
    found.add(given)
    given[:] = 0
    assert found.ranks(0, 2).place.tolist() == [1, 0]


def test_some_of_the_rows_keep_their_ranks() -> None:
    some = ranked([3.0, 1.0, 2.0]).filter(np.array([True, False, True]))
    assert some.place.tolist() == [0, 1]
    assert some.decile.tolist() == [1, 4]
    assert some.percentile.tolist() == [100, pytest.approx(200 / 3)]


WIDTH = st.floats(width=32, allow_nan=False)
FEW = st.sampled_from([-2.0, -0.0, 0.0, 1.5, float("inf")])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(WIDTH | FEW, max_size=12), max_size=6), st.data())
def test_ranks_are_those_of_comparing_all_with_all(parts: list[list[float]], data: st.DataObject) -> None:
    values = [value for part in parts for value in part]
    percentile, decile, place = naive(values)
    found = Ranking()
    for part in parts:
        found.add(np.array(part, dtype=np.float32))
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    some = found.ranks(start, stop)
    assert some.percentile.tolist() == percentile[start:stop]
    assert some.decile.tolist() == decile[start:stop]
    assert some.place.tolist() == place[start:stop]


def test_ties_across_pieces_are_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_PIECE", 7)
    values = np.random.default_rng(0).integers(0, 4, 200).astype(float).tolist()
    found = ranked(values)
    assert (found.percentile.tolist(), found.decile.tolist(), found.place.tolist()) == naive(values)


def test_a_row_takes_16_bytes_at_most_and_8_once_ranked() -> None:
    rows, part = 4_000_000, 131_072
    draw = np.random.default_rng(1)
    tracemalloc.start()
    try:
        found = Ranking()
        for start in range(0, rows, part):
            found.add(draw.normal(size=min(part, rows - start)))
        found.ranks(0, part)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now / rows < 8.5
    assert peak / rows < 17  # with what is at work on a piece
