"""Vector instructions for the kernels, whatever machine they run on.

LLVM gives up on vectorising loops that read and write many parts of one array, because they might
overlap. Here they are known not to, so the kernels say themselves which lanes they work on. LLVM splits
the lanes into what the processor has: AVX-512, AVX2, NEON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir

LINE = 64
"""Bytes in a cache line; vectors that cross one cost twice."""

Function = TypeVar("Function", bound=Callable[..., Any])

_FLOAT, _OFFSET, _LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)

_FUSED = ("contract",)  # a product and a sum may be rounded once


def compiled(function: Function) -> Function:
    """Compile at the first call, and keep the machine code for the next process.

    Where no folder can be written, it is compiled in each process.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no place for a cache
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


def aligned(count: int, dtype: type[np.generic]) -> np.ndarray:
    """Return so many zeros, the first of them at the start of a cache line."""
    size = count * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, dtype=np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(dtype)


class Lanes:
    """Emits instructions on vectors of so many values at once."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Sequence[Any], width: int) -> None:  # noqa: ANN401 - Numba's
        self.build = builder
        self._context = context
        self._types, self._values = signature.args, values
        self._width = width

    def data(self, number: int) -> Any:  # noqa: ANN401 - a pointer
        """Point at the first element of the array that is this argument."""
        array = self._context.make_array(self._types[number])
        return array(self._context, self.build, self._values[number]).data

    def offset(self, number: int) -> Any:  # noqa: ANN401 - an integer
        """Return the unsigned integer that is this argument, as wide as an address."""
        value = self._values[number]
        return value if value.type == _OFFSET else self.build.zext(value, _OFFSET)

    def at(self, pointer: Any, offset: Any, further: int = 0) -> Any:  # noqa: ANN401
        """Point at an element."""
        return self.build.gep(pointer, [self.build.add(offset, ir.Constant(_OFFSET, further))])

    def load(self, pointer: Any, offset: Any, further: int = 0) -> Any:  # noqa: ANN401
        """Load a vector that starts at an element."""
        vector = ir.VectorType(pointer.type.pointee, self._width)
        loaded = self.build.load(self.build.bitcast(self.at(pointer, offset, further), vector.as_pointer()))
        loaded.align = 1
        return loaded

    def store(self, vector: Any, pointer: Any, offset: Any, further: int = 0) -> None:  # noqa: ANN401
        """Store a vector so that it starts at an element."""
        where = self.build.bitcast(self.at(pointer, offset, further), vector.type.as_pointer())
        self.build.store(vector, where).align = 1

    def same(self, value: Any) -> Any:  # noqa: ANN401
        """Return a vector of one value."""
        nothing = ir.Constant(ir.VectorType(value.type, self._width), ir.Undefined)
        first = self.build.insert_element(nothing, value, ir.Constant(_LANE, 0))
        return self.build.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(_LANE, self._width), [0] * self._width)
        )

    def constant(self, pointer: Any, offset: Any, further: int = 0) -> Any:  # noqa: ANN401
        """Return a vector of the one value at an element."""
        return self.same(self.build.load(self.at(pointer, offset, further)))

    def at_most(self, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Compare unsigned integers lane by lane."""
        return self.build.icmp_unsigned("<=", left, right)

    def add_product(self, left: Any, right: Any, to: Any) -> Any:  # noqa: ANN401
        """Return `left * right + to`, in one instruction where there is one."""
        return self.build.fadd(self.build.fmul(left, right, flags=_FUSED), to, flags=_FUSED)
