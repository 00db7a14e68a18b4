"""Rows are made while they are written, and what breaks while they are made comes out as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.errors import FileRefused
from churnlib.intake.delivery import lazy
from churnlib.usecases.flowing import Spill, sliced

ROWS = pl.DataFrame({"number": range(10), "word": list("abcdefghij")})


def in_threes() -> Iterator[pl.DataFrame]:
    yield from (ROWS.slice(start, 3) for start in range(0, 10, 3))


def test_chunks_are_written_as_one_file_in_their_order(tmp_path: Path) -> None:
    lazy(in_threes, ROWS.schema).sink_parquet(tmp_path / "rows.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "rows.parquet"), ROWS)


def test_a_second_writer_gets_all_rows_again() -> None:
    rows = lazy(in_threes, ROWS.schema)
    assert_frame_equal(rows.collect(), ROWS)
    assert_frame_equal(rows.collect(), ROWS)


def test_only_what_is_asked_for_is_taken() -> None:
    rows = lazy(in_threes, ROWS.schema)
    assert_frame_equal(rows.select("word").head(4).collect(), ROWS.select("word").head(4))
    assert_frame_equal(rows.filter(pl.col("number") > 7).collect(), ROWS.tail(2))


def test_a_refusal_at_the_end_of_the_rows_comes_out_as_itself(tmp_path: Path) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield from in_threes()
        raise FileRefused("too many bad rows", hint="mend them")

    with pytest.raises(FileRefused, match="too many bad rows"):
        lazy(broken, ROWS.schema).sink_parquet(tmp_path / "rows.parquet")


@pytest.mark.parametrize("step", [1, 3, 10, 11])
def test_a_stored_frame_comes_back_in_order_and_whole(step: int, tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet", row_group_size=4)
    chunks = list(sliced(pl.scan_parquet(tmp_path / "rows.parquet"), step=step))
    assert_frame_equal(pl.concat(chunks), ROWS)
    assert max(chunk.height for chunk in chunks) <= step


def test_what_was_set_aside_comes_back_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    for chunk in in_threes():
        spill.add(chunk)
    spill.add(ROWS.clear())
    assert spill.rows == 10
    assert_frame_equal(spill.scan().collect(), ROWS)
    spill.clear()
    assert spill.rows == 0
    assert list(tmp_path.iterdir()) == []
