"""Where records of delimited text end: line ends outside quotation marks, found 64 bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""Bytes that are read at once: few enough that the allocator hands out the same memory again, not new pages."""
PIECE = 16 << 20
"""Bytes of a piece, unless a single record is longer."""
QUOTE, NEWLINE, RETURN = b'"\n\r'

_WORD = np.dtype("<u8")


def record_blocks(file: IO[bytes], *, rows: int, has_quotes: bool = True) -> Iterator[bytes]:
    """Cut the rest of the file at record ends: line ends, where it has quotes those outside of them.

    Each piece has at most so many records, blank lines included, and is not much longer than `PIECE`.
    Together the pieces are the file; only the last may lack its line end.
    """
    held: list[bytes] = []
    records = is_inside = 0
    while block := file.read(BLOCK):
        values = np.frombuffer(block, np.uint8)
        ends, is_inside = _record_ends(values, is_inside) if has_quotes else (_line_ends(values), 0)
        cuts = ends[rows - records - 1 :: rows]
        records += ends.size - rows * cuts.size
        if records and ends.size and sum(map(len, held)) + len(block) >= PIECE:
            cuts, records = np.union1d(cuts, ends[-1:]), 0
        start = 0
        for cut in cuts:
            yield b"".join([*held, block[start:cut]])
            held, start = [], cut
        held.append(block[start:])
    rest = b"".join(held)
    if rest:
        yield rest


def inside_quotes(values: NDArray[np.uint8], is_inside: int) -> tuple[NDArray[np.uint64] | None, int]:
    """Whether each byte is inside quotation marks, as bits, and whether the last one is (1) or not (0).

    None instead of the bits where no byte is. The bits of a word are the parities of the marks up to
    each of its bytes; as in Langdale and Lemire, Parsing Gigabytes of JSON per Second (2019).

    Args:
        values: bytes that follow those of the call before.
        is_inside: whether the byte before them is.
    """
    is_quote = values == QUOTE
    quotes = int(np.count_nonzero(is_quote))
    if not quotes and not is_inside:
        return None, 0
    parity = as_bits(is_quote)
    for shift in (1, 2, 4, 8, 16, 32):
        parity ^= parity << shift
    whole = parity >> 63
    before = (np.cumsum(whole) - whole + is_inside) & 1
    return np.where(before == 1, ~parity, parity), (quotes + is_inside) & 1


def as_bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Flags as the bits of 64-bit words, the first in the lowest bit, filled up with zeros."""
    packed = np.packbits(flags, bitorder="little")
    words = np.zeros(-(-packed.size // 8), _WORD)
    words.view(np.uint8)[: packed.size] = packed
    return words


def _record_ends(values: NDArray[np.uint8], is_inside: int) -> tuple[NDArray[np.intp], int]:
    """Offsets after each line end outside quotation marks, and whether the last byte is inside."""
    ends = _line_ends(values)
    inside, is_inside = inside_quotes(values, is_inside)
    if inside is None:
        return ends, is_inside
    at = ends - 1
    bits = inside[at >> 6] >> (at & 63).astype(_WORD)
    return ends[bits & 1 == 0], is_inside


def _line_ends(values: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero(values == NEWLINE) + 1
