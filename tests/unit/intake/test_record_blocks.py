"""Where delimited text is cut, and what is counted in it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.intake import delimited_scan, record_blocks
from churnlib.intake.delimited_scan import scan_shape

TEXT = st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b'""', b"x" * 70]), max_size=60).map(b"".join)


def cut(
    content: bytes, *, rows: int, block: int = 1 << 20, piece: int = 1 << 24, quotes: bool = True
) -> list[bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_blocks, "BLOCK", block)
        patch.setattr(record_blocks, "PIECE", piece)
        return list(record_blocks.record_blocks(io.BytesIO(content), rows=rows, has_quotes=quotes))


def records_of(content: bytes) -> list[bytes]:
    """The same by a loop over the bytes."""
    records, record, is_inside = [], b"", False
    for byte in content:
        record += bytes([byte])
        is_inside ^= byte == ord('"')
        if byte == ord("\n") and not is_inside:
            records.append(record)
            record = b""
    return [*records, record] if record else records


@given(TEXT, st.integers(1, 4), st.sampled_from([1, 2, 3, 63, 64, 65, 1000]))
@settings(max_examples=200, deadline=None)
def test_every_piece_but_the_last_has_as_many_records_as_were_asked_for(
    content: bytes, rows: int, block: int
) -> None:
    expected = records_of(content)
    assert cut(content, rows=rows, block=block) == [
        b"".join(expected[start : start + rows]) for start in range(0, len(expected), rows)
    ]


@given(TEXT, st.integers(1, 40), st.sampled_from([1, 3, 64]))
@settings(max_examples=100, deadline=None)
def test_pieces_are_not_much_longer_than_asked_for(content: bytes, size: int, block: int) -> None:
    pieces = cut(content, rows=1000, piece=size, block=block)
    longest = max(map(len, records_of(content)), default=0)
    assert b"".join(pieces) == content
    assert all(len(piece) <= size + block + longest for piece in pieces)
    assert [record for piece in pieces for record in records_of(piece)] == records_of(content)


def test_without_quotes_every_line_end_counts() -> None:
    assert cut(b'"a\nb"\nc', rows=1, quotes=False) == [b'"a\n', b'b"\n', b"c"]


def test_a_piece_comes_before_the_rest_is_read() -> None:
    file = io.BytesIO(b"a,b\n" * (8 << 20))
    next(record_blocks.record_blocks(file, rows=1 << 60))
    assert file.tell() == record_blocks.PIECE


@given(TEXT, st.sampled_from([1, 2, 64, 1000]))
@settings(max_examples=200, deadline=None)
def test_lines_and_delimiters_are_counted_outside_quotation_marks(content: bytes, block: int) -> None:
    outside = content.split(b'"')[::2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_scan, "BLOCK", block)
        shape = scan_shape(io.BytesIO(content), b",")
    ends = sum(part.count(b"\n") for part in outside)
    assert shape.delimiters == sum(part.count(b",") for part in outside)
    assert shape.lines == ends + (not content.endswith(b"\n") and content != b"")
    assert shape.is_quote_open == content.count(b'"') % 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'id,n\n1,"a,b"\n"2","c""d"\n', False),
        (b'\xef\xbb\xbf"id, x",n\n1,2\n', False),
        (b'id,n\n1,say "hi" now\n', False),
        (b'id,n\n1,5" x\n2,6" y\n', True),
        (b'id,n\n1,a "b, c" d\n', True),
    ],
)
def test_a_mark_within_a_field_matters_only_if_it_hides_something(content: bytes, expected: bool) -> None:
    assert scan_shape(io.BytesIO(content), b",").may_be_misquoted is expected
