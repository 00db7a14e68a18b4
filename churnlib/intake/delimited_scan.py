"""One pass over the bytes of delimited text: is it UTF-8, and do lines and delimiters add up?"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import IO

import numpy as np

_BLOCK = 1 << 20
_QUOTE = ord('"')
_NEWLINE = ord("\n")


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
        has_only_returns: lines end in a carriage return alone, as on an old Macintosh.
    """

    size: int
    lines: int
    delimiters: int
    bad_byte: int | None
    bad_line: int | None
    is_quote_open: bool
    has_only_returns: bool


def scan_shape(file: IO[bytes], delimiter: bytes) -> Shape:
    """Read the file once, in blocks; stops at the first byte that is no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = newlines = delimiters = line_ends = returns = is_inside = 0
    bad_byte = bad_line = None
    block = last = b""
    while block := file.read(_BLOCK):
        if bad_byte is None:
            bad = _first_bad(decoder, block)
            if bad is not None:
                bad_byte, bad_line = size + bad, line_ends + block.count(b"\n", 0, max(bad, 0)) + 1
        line_ends += block.count(b"\n")
        returns += block.count(b"\r")
        more, ends, is_inside = _outside_quotes(block, delimiter, is_inside)
        delimiters, newlines, size, last = delimiters + more, newlines + ends, size + len(block), block[-1:]
    if bad_byte is None and decoder.getstate()[0]:
        bad_byte, bad_line = size - len(decoder.getstate()[0]), line_ends + 1
    lines = newlines + (last not in (b"", b"\n"))
    has_only_returns = returns > 1 and not line_ends
    return Shape(size, lines, delimiters, bad_byte, bad_line, bool(is_inside), has_only_returns)


def _first_bad(decoder: codecs.IncrementalDecoder, block: bytes) -> int | None:
    """Offset in the block of the first byte that is no UTF-8; below 0 if it began in the block before."""
    pending = len(decoder.getstate()[0])
    if not pending and block.isascii():
        return None
    try:
        decoder.decode(block)
    except UnicodeDecodeError as error:
        return error.start - pending
    return None


def _outside_quotes(block: bytes, delimiter: bytes, is_inside: int) -> tuple[int, int, int]:
    """Delimiters and line ends outside quotation marks, and whether the block ends inside (1) or not (0)."""
    if not is_inside and b'"' not in block:
        return block.count(delimiter), block.count(b"\n"), 0
    values = np.frombuffer(block, np.uint8)
    # counting quotation marks modulo 256 keeps their parity
    parity = (np.cumsum(values == _QUOTE, dtype=np.uint8) + np.uint8(is_inside)) & 1
    outside = values[parity == 0]
    ends = int(np.count_nonzero(outside == _NEWLINE))
    return int(np.count_nonzero(outside == delimiter[0])), ends, int(parity[-1])
