"""Chunks of a file are the file: the same rows and types, however small the chunks."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churnlib.errors import FileRefused
from churnlib.intake import delimited, delimited_scan, parquet_chunks, record_blocks
from churnlib.intake.chunks import open_chunks
from churnlib.intake.delivery import Delivery, lazy
from churnlib.intake.files import read_raw
from churnlib.spec import Input

PLAIN = Input()
LATIN = Input(encoding="latin-1", delimiter=";")
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BLOCKS = st.sampled_from([1, 5, 64, 1 << 20])
ROWS = st.sampled_from([1, 2, 3, 1000])


@contextmanager
def read_by(block: int) -> Iterator[None]:
    """Read files in blocks of so many bytes, and cut them into pieces not much longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_blocks, "PIECE", 2 * block)
        patch.setattr(record_blocks, "BLOCK", block)
        patch.setattr(delimited_scan, "BLOCK", block)
        yield


def whole(delivery: Delivery, *, rows: int) -> pl.DataFrame:
    """All chunks as one frame; each must be within bounds."""
    chunks = list(delivery.chunks())
    assert all(1 <= chunk.height <= rows and chunk.schema == delivery.schema for chunk in chunks)
    return pl.concat([pl.DataFrame(schema=delivery.schema), *chunks])


CELLS = st.text(st.sampled_from(["a", "é", ",", ";", '"', "\n", " ", "1"]), max_size=4)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=12)
)


@given(
    TABLES,
    ROWS,
    BLOCKS,
    st.sampled_from(["plain", "gz", "latin-1", "blank lines"]),
    st.sampled_from(["\n", "\r\n"]),
)
@MANY
def test_chunks_of_delimited_text_hold_what_was_written(
    tmp_path: Path, table: list[list[str]], rows: int, block: int, form: str, line_end: str
) -> None:
    how = LATIN if form == "latin-1" else PLAIN
    text = io.StringIO()
    writer = csv.writer(text, delimiter=how.delimiter, lineterminator=line_end)
    writer.writerow([f"c{column}" for column in range(len(table[0]))])
    for row in table:
        text.write(line_end if form == "blank lines" else "")
        writer.writerow(row)
    content = text.getvalue().encode("latin-1" if form == "latin-1" else "utf-8")
    path = tmp_path / ("week.csv.gz" if form == "gz" else "week.csv")
    path.write_bytes(gzip.compress(content) if form == "gz" else content)
    with read_by(block):
        found = whole(open_chunks(path, how, rows=rows), rows=rows)
    expected = [tuple(cell or None for cell in row) for row in table]
    if form == "blank lines":
        expected = [row for row in expected if any(cell is not None for cell in row)]
    assert found.rows() == expected
    assert found.equals(read_raw(path, how).collect())


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-5, 5),
    "number": st.one_of(st.integers(-5, 5), st.sampled_from([0.5, -2.25])),
    "text": st.one_of(st.sampled_from(["", "é", "a\nb"]), st.integers(0, 3)),
    "large": st.one_of(st.integers(0, 3), st.just(2**63)),
    "flag": st.booleans(),
    "list": st.lists(st.integers(0, 3), max_size=2),
    "object": st.fixed_dictionaries({}, optional={"u": st.integers(0, 3), "v": st.none()}),
    "nothing": st.none(),
}


@st.composite
def json_lines(draw: st.DrawFn) -> str:
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
    columns = {f"c{place}": st.one_of(st.none(), VALUES[kind]) for place, kind in enumerate(kinds)}
    rows = draw(
        st.lists(st.fixed_dictionaries({"id": st.integers(0, 9)}, optional=columns), min_size=1, max_size=8)
    )
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n  \n"]))
    return end.join(json.dumps(row, ensure_ascii=False) for row in rows) + draw(st.sampled_from(["", "\n"]))


@given(json_lines(), ROWS, BLOCKS, st.sampled_from(["", "\ufeff"]))
@MANY
def test_chunks_of_json_lines_have_the_types_of_the_whole_file(
    tmp_path: Path, text: str, rows: int, block: int, mark: str
) -> None:
    path = tmp_path / "week.jsonl"
    path.write_text(mark + text, newline="")
    with read_by(block):
        found = whole(open_chunks(path, PLAIN, rows=rows), rows=rows)
    names = sorted(found.columns)
    expected = pl.read_ndjson(io.BytesIO(text.encode()), infer_schema_length=None)
    assert found.select(names).equals(expected.select(names))
    assert found.equals(read_raw(path, PLAIN).collect())


def test_columns_of_json_lines_come_in_the_order_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "week.jsonl"
    path.write_text('{"z": 1, "b": 2}\n{"y": 0.5, "a": 1, "b": 1}\n{"z": null}\n')
    assert read_raw(path, PLAIN).collect_schema().names() == ["z", "b", "a", "y"]


def test_a_type_that_shows_late_in_json_lines_is_that_of_the_first_chunk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_blocks, "BLOCK", 64)
    monkeypatch.setattr(record_blocks, "PIECE", 64)
    path = tmp_path / "week.jsonl"
    path.write_text('{"id": 1}\n' * 100 + '{"id": "x", "n": 1}\n')
    delivery = open_chunks(path, PLAIN, rows=10)
    assert delivery.schema == {"id": pl.String, "n": pl.Int64}
    assert next(delivery.chunks())["id"].unique().to_list() == ["1"]


def test_a_value_that_has_no_place_in_its_column_refuses_the_file(tmp_path: Path) -> None:
    path = tmp_path / "week.jsonl"
    path.write_text('{"id": 1}\n{"id": true}\n')
    with pytest.raises(FileRefused, match="cannot be read"):
        list(open_chunks(path, PLAIN).chunks())


def test_a_json_array_comes_in_chunks_too(tmp_path: Path) -> None:
    path = tmp_path / "week.json"
    path.write_text(json.dumps([{"id": number} for number in range(5)]))
    assert whole(open_chunks(path, PLAIN, rows=2), rows=2)["id"].to_list() == list(range(5))


TYPED = st.sampled_from([pl.Int8(), pl.Int64(), pl.Float32(), pl.Float64(), pl.String()])
FIXED = st.sampled_from(
    [pl.Date(), pl.Datetime("ms"), pl.Boolean(), pl.Categorical(), pl.Decimal(9, 2), pl.List(pl.Int64)]
)


@st.composite
def parts(draw: st.DrawFn) -> list[pl.DataFrame]:
    """Parts of the same columns, of which one may be of a wider type in another part."""
    fixed = draw(FIXED)
    frames = []
    for rows in draw(st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any)):
        numbers = pl.Series(draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows)), dtype=pl.Int64)
        other = numbers.cast(pl.String) if fixed == pl.Categorical() else numbers
        columns = [numbers.cast(draw(TYPED)).alias("a"), other.reshape((-1, 1)).arr.to_list().alias("b")]
        columns[1] = columns[1] if fixed == pl.List(pl.Int64) else other.cast(fixed).alias("b")
        frames.append(pl.DataFrame(columns).select(draw(st.permutations(["a", "b"]))))
    return frames


@given(parts(), ROWS, st.sampled_from([1, 2, 100]), st.sampled_from([0, 1 << 60]))
@MANY
def test_chunks_of_parquet_have_the_types_of_all_parts(
    tmp_path: Path, frames: list[pl.DataFrame], rows: int, group: int, large: int
) -> None:
    folder = tmp_path / "week"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for place, frame in enumerate(frames):
        frame.write_parquet(folder / f"{place}.parquet", row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_chunks, "LARGE_GROUP", large)
        found = whole(open_chunks(folder, PLAIN, rows=rows), rows=rows)
    expected = read_raw(folder, PLAIN).collect()
    assert found.schema == expected.schema
    assert found.equals(expected)


def test_wide_files_come_in_chunks_of_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_chunks, "MOST_CELLS", 6)
    path = tmp_path / "week.parquet"
    pl.DataFrame({"id": range(5), "n": range(5)}).write_parquet(path)
    assert [chunk.height for chunk in open_chunks(path, PLAIN, rows=4).chunks()] == [3, 2]


def test_small_parts_share_a_chunk(tmp_path: Path) -> None:
    for place in range(5):
        pl.DataFrame({"id": [place]}).write_parquet(tmp_path / f"{place}.parquet")
    assert [chunk.height for chunk in open_chunks(tmp_path, PLAIN, rows=3).chunks()] == [3, 2]


@pytest.mark.parametrize("large", [0, 1 << 60])
def test_a_damaged_page_is_a_refusal_when_its_chunk_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(parquet_chunks, "LARGE_GROUP", large)
    path = tmp_path / "week.parquet"
    pl.DataFrame({"id": range(50_000)}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[100:20_000] = bytes(19_900)
    path.write_bytes(content)
    delivery = open_chunks(path, PLAIN)
    with pytest.raises(FileRefused, match=r"week\.parquet cannot be read"):
        list(delivery.chunks())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,n\n1,2,3\n4\n", "line 2 has 3 fields, the header has 2"),
        (b'id,n,m\n1,5" x,2\n3,6" y,4\n', "line 2 has a quotation mark in the middle of a field"),
        (b'id,n\n1,a "b, c" d\n', "line 2 has 3 fields"),
        (b'id,n\n1,2\n3,"x" y\n', "line 3 has text after a closing quotation mark"),
        (b'id,n\n1,5" x\n2,3\n', "line 2 has a quotation mark in the middle of a field"),
    ],
)
def test_what_only_shows_when_cells_are_read_is_refused_with_its_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "week.csv"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=said):
        list(open_chunks(path, PLAIN).chunks())
    with pytest.raises(FileRefused, match=said):
        read_raw(path, PLAIN).collect()


def test_words_in_quotation_marks_within_a_field_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_bytes(b'id,n\n1,say "hi" now\n')
    assert read_raw(path, PLAIN).collect().rows() == [("1", 'say "hi" now')]


def test_a_line_as_long_as_a_file_is_refused_before_it_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_LONGEST", 1 << 20)
    path = tmp_path / "week.csv"
    path.write_bytes(b"id,n\n1," + b"x" * (3 << 20) + b"\n")
    with pytest.raises(FileRefused, match="a field that begins in line 2 has more than 131,072 characters"):
        open_chunks(path, PLAIN)
    path.write_bytes(b'id,n\n1,2\n3,"' + b"x\n" * (2 << 20) + b'"\n')
    with pytest.raises(FileRefused, match="a field that begins in line 3"):
        open_chunks(path, PLAIN)
    path.write_bytes(b'id,n\n1,2\n3,"' + b"x\n" * (2 << 20))
    with pytest.raises(FileRefused, match="opened in line 3 is never closed"):
        open_chunks(path, PLAIN)
    path.write_bytes(b"id,n" + b",n" * (2 << 20) + b"\n")
    with pytest.raises(FileRefused, match="has a line of"):
        open_chunks(path, PLAIN)
    path.write_bytes(b'id,n\n1,5" x\n' + b"2,3\n" * (1 << 20) + b'3,6" y\n')
    with pytest.raises(FileRefused, match="line 2 has a quotation mark in the middle of a field"):
        open_chunks(path, PLAIN)


def test_a_file_can_be_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_bytes(b"id,n\n1,2\n")
    delivery = open_chunks(path, PLAIN)
    assert whole(delivery, rows=9).equals(whole(delivery, rows=9))


def test_a_lazy_frame_over_chunks_reads_no_more_than_it_needs() -> None:
    read = []

    def chunks() -> Iterator[pl.DataFrame]:
        for number in range(5):
            read.append(number)
            yield pl.DataFrame({"id": [number, number], "n": [0.5, 1.5]})

    rows = lazy(chunks, pl.Schema({"id": pl.Int64, "n": pl.Float64}))
    assert rows.filter(pl.col("n") > 1).select("id").collect()["id"].to_list() == [0, 1, 2, 3, 4]
    read.clear()
    assert rows.head(3).collect().height == 3
    assert read == [0, 1]


def test_a_refusal_between_chunks_comes_out_of_the_lazy_frame_as_itself(tmp_path: Path) -> None:
    def chunks() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"id": [1]})
        raise FileRefused("week.csv is bad.", hint="Mend it.")

    with pytest.raises(FileRefused, match="is bad"):
        lazy(chunks, pl.Schema({"id": pl.Int64})).sink_parquet(tmp_path / "out.parquet")
