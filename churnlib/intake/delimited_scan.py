"""One pass over the bytes of delimited text: is it UTF-8, and do lines and delimiters add up?"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from numpy.typing import NDArray

from churnlib.intake.record_blocks import BLOCK, NEWLINE, QUOTE, RETURN, as_bits, inside_quotes


@dataclass(frozen=True)
class Shape:
    """What the bytes say; line ends and delimiters inside quotation marks do not count.

    Attributes:
        size: bytes, decompressed.
        lines: lines, the last one without a line end included, blank ones too.
        delimiters: in all lines together.
        bad_byte: offset of the first byte that is no UTF-8, from 0; None if there is none.
        bad_line: the line of that byte, from 1.
        is_quote_open: the file ends inside quotation marks, or holds one that is no quoting.
        may_be_misquoted: a quotation mark in the middle of a field opens what holds a delimiter or a line end.
            Of one that is not closed in the block that is read, it is not known what it holds.
        has_only_returns: lines end in a carriage return alone, as on an old Macintosh.
        longest: most bytes without a line end, counted in whole blocks; 0 where every block has one.
    """

    size: int
    lines: int
    delimiters: int
    bad_byte: int | None
    bad_line: int | None
    is_quote_open: bool
    may_be_misquoted: bool
    has_only_returns: bool
    longest: int


def scan_shape(file: IO[bytes], delimiter: bytes) -> Shape:
    """Read the file once, in blocks."""
    text, marks = _Text(), _Marks(delimiter[0])
    while block := file.read(BLOCK):
        text.add(block)
        marks.add(np.frombuffer(block, np.uint8))
    text.end()
    return Shape(
        size=text.size,
        lines=marks.line_ends + (marks.last != NEWLINE),
        delimiters=marks.delimiters,
        bad_byte=text.bad_byte,
        bad_line=text.bad_line,
        is_quote_open=bool(marks.is_inside),
        may_be_misquoted=marks.is_stray,
        has_only_returns=text.returns > 1 and not text.line_ends,
        longest=marks.longest,
    )


@dataclass
class _Text:
    """What counts whether it is inside quotation marks or not."""

    size: int = 0
    line_ends: int = 0
    returns: int = 0
    bad_byte: int | None = None
    bad_line: int | None = None
    decoder: codecs.IncrementalDecoder = field(default_factory=codecs.getincrementaldecoder("utf-8"))

    def add(self, block: bytes) -> None:
        bad = self._first_bad(block) if self.bad_byte is None else None
        if bad is not None:
            self.bad_byte = self.size + bad
            self.bad_line = self.line_ends + block.count(b"\n", 0, max(bad, 0)) + 1
        values = np.frombuffer(block, np.uint8)
        self.line_ends += int(np.count_nonzero(values == NEWLINE))
        self.returns += int(np.count_nonzero(values == RETURN))
        self.size += len(block)

    def end(self) -> None:
        """A character may have begun that the file does not end."""
        begun = len(self.decoder.getstate()[0])
        if self.bad_byte is None and begun:
            self.bad_byte, self.bad_line = self.size - begun, self.line_ends + 1

    def _first_bad(self, block: bytes) -> int | None:
        """Offset in the block of the first byte that is no UTF-8; below 0 if it began in the block before."""
        begun = len(self.decoder.getstate()[0])
        if not begun and block.isascii():
            return None
        try:
            self.decoder.decode(block)
        except UnicodeDecodeError as error:
            return error.start - begun
        return None


@dataclass
class _Marks:
    """Delimiters and line ends outside quotation marks, and the quotation marks."""

    delimiter: int
    delimiters: int = 0
    line_ends: int = 0
    is_inside: int = 0
    is_stray: bool = False
    endless: int = 0
    longest: int = 0
    last: int = NEWLINE

    def add(self, values: NDArray[np.uint8]) -> None:
        is_mark, is_end = values == self.delimiter, values == NEWLINE
        inside, ends_inside = inside_quotes(values, self.is_inside)
        if inside is None:
            marks, ends = int(np.count_nonzero(is_mark)), int(np.count_nonzero(is_end))
        else:
            marks, ends = (int(np.bitwise_count(as_bits(found) & ~inside).sum()) for found in (is_mark, is_end))
            self.is_stray = self.is_stray or self._has_stray(values, is_mark | is_end)
        self.delimiters += marks
        self.line_ends += ends
        self.endless = 0 if ends else self.endless + values.size
        self.longest = max(self.longest, self.endless)
        self.is_inside, self.last = ends_inside, int(values[-1])

    def _has_stray(self, values: NDArray[np.uint8], is_special: NDArray[np.bool_]) -> bool:
        """Whether a mark in the middle of a field opens what holds a delimiter or a line end."""
        quotes = np.flatnonzero(values == QUOTE)
        opening, closing = quotes[self.is_inside :: 2], quotes[self.is_inside + 1 :: 2]
        before = np.where(opening > 0, values[opening - 1], self.last)
        is_stray = ~np.isin(before, [self.delimiter, NEWLINE, QUOTE])
        if self._begin_file(values):
            is_stray &= opening != len(codecs.BOM_UTF8)
        if not is_stray.any():
            return False
        special = np.flatnonzero(is_special)
        opened, closed = (np.searchsorted(special, side[: closing.size]) for side in (opening, closing))
        return bool(is_stray[closing.size :].any() or (is_stray[: closing.size] & (opened < closed)).any())

    def _begin_file(self, values: NDArray[np.uint8]) -> bool:
        """Whether these are the first bytes, and they begin with a byte order mark."""
        is_first = not self.delimiters and not self.line_ends and not self.endless
        return is_first and values[: len(codecs.BOM_UTF8)].tobytes() == codecs.BOM_UTF8
