"""What `read_raw` opens, and what it refuses with which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import FileRefused
from churnlib.intake.chunks import open_chunks
from churnlib.intake.delimited import detect
from churnlib.intake.delimited_scan import scan_shape
from churnlib.intake.files import content_id, read_raw
from churnlib.spec import Input

PLAIN = Input()
FRAME = pl.DataFrame({"id": [1, 2, 3], "tenure": [1.5, None, 3.0], "plan": ["a", "b", None]})


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path: Path, how: Input = PLAIN) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read_raw(path, how).collect()
    with pytest.raises(FileRefused) as in_chunks:
        list(open_chunks(path, how, rows=2).chunks())
    assert (in_chunks.value.message, in_chunks.value.hint) == (caught.value.message, caught.value.hint)
    assert path.name in caught.value.message
    assert caught.value.hint.endswith((".", "?"))
    return caught.value


def test_csv_cells_arrive_as_text_with_blanks_and_without_values_as_null(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b"id,tenure\n007, 1\n8,\n")
    assert read_raw(path, PLAIN).collect().to_dict(as_series=False) == {"id": ["007", "8"], "tenure": [" 1", None]}


def test_byte_order_mark_and_carriage_returns_do_not_reach_names_or_cells(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b'\xef\xbb\xbf"id",tenure\r\n7,1\r\n')
    assert read_raw(path, PLAIN).collect().to_dicts() == [{"id": "7", "tenure": "1"}]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b"\nid,tenure\r\n7,1\r\n\r\n8,2\r\n\r\n")
    assert read_raw(path, PLAIN).collect()["id"].to_list() == ["7", "8"]


def test_quoted_delimiters_and_line_ends_are_part_of_the_cell(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b'id,"plan ""x"""\n7,"a,\n""b"""\n')
    assert read_raw(path, PLAIN).collect().to_dicts() == [{"id": "7", 'plan "x"': 'a,\n"b"'}]


def test_gzip_tab_and_upper_case_suffixes_are_known(tmp_path: Path) -> None:
    zipped = put(tmp_path, "a.CSV.GZ", gzip.compress(b"id,tenure\n7,1\n", mtime=0))
    tabbed = put(tmp_path, "a.week.tsv", b"id\ttenure\n7\t1\n")
    for path in (zipped, tabbed):
        assert read_raw(path, PLAIN).collect().to_dicts() == [{"id": "7", "tenure": "1"}]


def test_a_name_with_glob_characters_is_one_file(tmp_path: Path) -> None:
    put(tmp_path, "ab.csv", b"id,tenure\n1,1\n")
    assert read_raw(put(tmp_path, "a[b]*.csv", b"id,tenure\n7,1\n"), PLAIN).collect()["id"].to_list() == ["7"]


def test_latin_1_is_read_when_the_spec_says_so(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "id,city\n7,Orléans\n".encode("latin-1"))
    assert read_raw(path, Input(encoding="latin-1")).collect()["city"].to_list() == ["Orléans"]


def test_wrong_encoding_names_byte_and_line_and_the_setting(tmp_path: Path) -> None:
    error = refusal(put(tmp_path, "a.csv", b"id,city\n7,Orl\xe9ans\n"))
    assert "byte 13 (line 2)" in error.message
    assert 'encoding = "latin-1"' in error.hint


@pytest.mark.parametrize(("mark", "toml"), [(";", '";"'), ("\t", '"\\t"'), ("|", '"|"')])
def test_another_delimiter_is_named_with_the_setting(tmp_path: Path, mark: str, toml: str) -> None:
    error = refusal(put(tmp_path, "a.csv", f"id{mark}tenure\n7{mark}1\n".encode()))
    assert repr(mark) in error.message
    assert f"delimiter = {toml}" in error.hint


@pytest.mark.parametrize("row", [b"8,2", b"8,2,3,4"])
def test_ragged_rows_are_refused_with_their_line(tmp_path: Path, row: bytes) -> None:
    error = refusal(put(tmp_path, "a.csv", b'id,plan,n\n7,"x,\ny",1\n' + row + b"\n9,1,1\n"))
    assert f"line 4 has {row.count(b',') + 1} fields, the header has 3" in error.message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "empty (0 bytes)"),
        ("a.csv", b"id,tenure\n", "no rows"),
        ("a.csv", b"id,tenure\r\n\r\n", "no rows"),
        ("a.csv", b"\n\n", "no rows"),
        ("a.csv", b"id,tenure\r7,1\r8,1\r", "carriage return"),
        ("a.csv", b"id,id,tenure\n7,1,1\n", "more than once: 'id'"),
        ("a.csv", b"PAR1......PAR1", "is a Parquet file"),
        ("a.csv", b"PK\x03\x04....", "Excel"),
        ("a.csv", "id,tenure\n7,1\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"<!DOCTYPE html><html>", "web page"),
        ("a.csv", b'id,plan\n7,"x\n8,y\n', "opened in line 2 is never closed"),
        ("a.csv.gz", b"id,tenure\n7,1\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"id,tenure\n" + b"7,1\n" * 999, mtime=0)[:-12], "cannot be read"),
        ("a.parquet", b"id,tenure\n7,1\n", "no Parquet file"),
        ("a.parquet", b"PAR1", "cut off"),
        ("a.json", b"id,tenure\n", "no JSON"),
        ("a.json", b"[]", "no rows"),
        ("a.json", b'[{"id": 1},', "line 1, column 12"),
        ("a.json", b"[1, 2]", "must hold objects"),
        ("a.jsonl", b'{"id": 1}\n{"id":\n', "line 2"),
        ("a.jsonl", b'{"id": 1}\n[2]\n', "line 2 is no object"),
        ("a.jsonl", b'{"id": "\xe9"}\n', "not UTF-8 (line 1"),
        ("a.xlsx", b"PK\x03\x04", "suffix"),
        ("a", b"id\n1\n", "suffix"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    assert said in refusal(put(tmp_path, name, content)).message


def test_a_missing_file_is_refused_by_its_path(tmp_path: Path) -> None:
    assert str(tmp_path / "a.csv") in refusal(tmp_path / "a.csv").message


def test_a_cut_parquet_file_is_refused(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "cut off" in refusal(put(tmp_path, "cut.parquet", content[:-10])).message


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    FRAME.clear().write_parquet(tmp_path / "none.parquet")
    assert "no rows" in refusal(tmp_path / "none.parquet").message


def test_a_folder_of_parts_is_read_in_the_order_of_names_and_markers_are_no_parts(tmp_path: Path) -> None:
    folder = tmp_path / "week"
    (folder / "deep").mkdir(parents=True)
    FRAME.slice(1).write_parquet(folder / "part-1.parquet")
    FRAME.head(1).write_parquet(folder / "part-0.parquet")
    FRAME.clear().write_parquet(folder / "deep" / "part-2.parquet")
    put(folder, "_SUCCESS", b"")
    assert read_raw(folder, PLAIN).collect().equals(FRAME)


def test_parts_of_which_one_has_whole_numbers_fit_together(tmp_path: Path) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    pl.DataFrame({"id": [1], "n": [1]}).write_parquet(folder / "a.parquet")
    pl.DataFrame({"n": [1.5], "id": [2]}).write_parquet(folder / "b.parquet")
    assert read_raw(folder, PLAIN).collect().to_dict(as_series=False) == {"id": [1, 2], "n": [1.0, 1.5]}


def test_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    FRAME.write_parquet(folder / "a.parquet")
    FRAME.drop("plan").write_parquet(folder / "b.parquet")
    assert "different columns: plan" in refusal(folder).message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'\xef\xbb\xbf[{"id": 1, "plan": "x"}, {"id": 2}]'),
        ("a.jsonl", b'\xef\xbb\xbf{"id": 1, "plan": "x"}\r\n{"id": 2}\r\n\r\n'),
        ("a.ndjson", b'{"id": 1, "plan": "x"}\n{"id": 2}'),
        ("lines.json", b'{"id": 1, "plan": "x"}\n{"id": 2}'),
        ("array.jsonl", b'[{"id": 1, "plan": "x"},\n {"id": 2}]'),
    ],
)
def test_json_is_read_by_its_content_and_a_missing_key_is_null(tmp_path: Path, name: str, content: bytes) -> None:
    read = read_raw(put(tmp_path, name, content), PLAIN).collect()
    assert read.to_dict(as_series=False) == {"id": [1, 2], "plan": ["x", None]}


def test_content_id_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    one, same = put(tmp_path, "a.csv", b"x"), put(tmp_path, "b.csv", b"x")
    other = put(tmp_path, "c.csv", b"y")
    assert content_id(one) == content_id(same) != content_id(other)
    with pytest.raises(FileRefused):
        content_id(tmp_path / "none.csv")


def test_content_id_does_not_ask_whether_a_file_can_be_read(tmp_path: Path) -> None:
    book = put(tmp_path, "week.xlsx", b"PK\x03\x04")
    assert content_id(book) == content_id(put(tmp_path, "same.csv", b"PK\x03\x04"))
    assert content_id(put(tmp_path, "empty", b"")) != content_id(book)
    folder = tmp_path / "week"
    folder.mkdir()
    put(folder, "a.csv", b"id\n1\n")
    before = content_id(folder)
    put(folder, "a.csv", b"id\n2\n")
    assert content_id(folder) != before


def test_content_id_of_a_folder_sees_every_part_and_no_marker(tmp_path: Path) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    FRAME.write_parquet(folder / "a.parquet")
    first = content_id(folder)
    put(folder, "_SUCCESS", b"")
    assert content_id(folder) == first
    FRAME.write_parquet(folder / "b.parquet")
    assert content_id(folder) != first


def test_detect_finds_delimiter_and_encoding(tmp_path: Path) -> None:
    found = detect(put(tmp_path, "a.csv", "id;größe, cm\n1;2\n".encode("latin-1")))
    assert (found.delimiter, found.encoding) == (";", "latin-1")


@given(st.binary(max_size=200), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_the_first_undecodable_byte_is_found_whatever_the_blocks(content: bytes, block: int) -> None:
    class Slow:
        def __init__(self) -> None:
            self.at = 0

        def read(self, _: int) -> bytes:
            self.at += block
            return content[self.at - block : self.at]

    try:
        content.decode()
        expected = None
    except UnicodeDecodeError as error:
        expected = error.start
    assert scan_shape(Slow(), b",").bad_byte == expected  # type: ignore[arg-type]
