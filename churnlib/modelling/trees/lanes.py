"""Vector instructions for the kernels, whatever machine they run on.

LLVM gives up on vectorising loops that read and write many parts of one array, because they might
overlap. Here they are known not to, so the kernels say themselves which lanes they work on. LLVM splits
the lanes into what the processor has: AVX-512, AVX2, NEON.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numba.core.dispatcher import Dispatcher

LINE = 64
"""Bytes in a cache line; vectors that cross one cost twice."""

Emitted: TypeAlias = Any
"""A value, type or builder of LLVM's or Numba's, which have no annotations."""

Function = TypeVar("Function", bound=Callable[..., Any])

_OFFSET, _LANE = ir.IntType(64), ir.IntType(32)

_FUSED = ("contract",)  # a product and a sum may be rounded once


def compiled(function: Function) -> Dispatcher[Function]:
    """Compile at the first call, and keep the machine code for the next process.

    Where no folder can be written, it is compiled in each process.
    """
    try:
        dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no place for a cache
        return numba.njit(nogil=True, error_model="numpy")(function)
    # Numba would look for changes in the function's own file alone, and run old code on new constants.
    dispatcher._cache._cache_file._source_stamp = _sources()  # type: ignore[attr-defined]
    return dispatcher


def instruction(
    emit: Callable[[Lanes], Emitted], arguments: str, *, width: int, returns: Emitted = types.void
) -> Callable[..., Emitted]:
    """Make an emitter callable in compiled functions.

    Args:
        emit: emits the instructions, and returns their result if there is one.
        arguments: their names, separated by blanks.
        width: values in a vector.
        returns: Numba's type of the result.
    """

    def typed(_: Emitted, *given: Emitted) -> tuple[Emitted, Callable[..., Emitted]]:
        def lower(context: Emitted, builder: Emitted, signature: Emitted, values: Sequence[Emitted]) -> Emitted:
            result = emit(Lanes(context, builder, signature.args, values, width))
            return context.get_dummy_value() if returns is types.void else result

        return returns(*given), lower

    # Numba would pass starred arguments as one tuple; by name they stay apart.
    names = ("typing_context", *arguments.split())
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made: Callable[..., Emitted] = intrinsic(typed)
    return made


@cache
def _sources() -> str:
    """Digest of all modules whose code may end up in a compiled function."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def aligned(count: int, dtype: type[np.generic]) -> np.ndarray:
    """Return so many zeros, the first of them at the start of a cache line."""
    size = count * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, dtype=np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(dtype)


class Lanes:
    """Emits instructions on vectors of so many values at once."""

    def __init__(
        self,
        context: Emitted,
        builder: Emitted,
        argument_types: Sequence[Emitted],
        arguments: Sequence[Emitted],
        width: int,
    ) -> None:
        self.build = builder
        self.zero = ir.Constant(_OFFSET, 0)
        self._context = context
        self.types, self.values = argument_types, arguments
        self._width = width

    def data(self, number: int) -> Emitted:
        """Point at the first element of the array that is this argument."""
        array = self._context.make_array(self.types[number])
        return array(self._context, self.build, self.values[number]).data

    def offset(self, number: int) -> Emitted:
        """Return the unsigned integer that is this argument, as wide as an address."""
        return self.wide(self.values[number])

    def at(self, pointer: Emitted, offset: Emitted, further: int = 0) -> Emitted:
        """Point at an element."""
        return self.build.gep(pointer, [self.build.add(offset, ir.Constant(_OFFSET, further))])

    def load(self, pointer: Emitted, offset: Emitted, further: int = 0) -> Emitted:
        """Load a vector that starts at an element."""
        vector = ir.VectorType(pointer.type.pointee, self._width)
        loaded = self.build.load(self.build.bitcast(self.at(pointer, offset, further), vector.as_pointer()))
        loaded.align = 1
        return loaded

    def store(self, vector: Emitted, pointer: Emitted, offset: Emitted, further: int = 0) -> None:
        """Store a vector so that it starts at an element."""
        where = self.build.bitcast(self.at(pointer, offset, further), vector.type.as_pointer())
        self.build.store(vector, where).align = 1

    def same(self, value: Emitted) -> Emitted:
        """Return a vector of one value."""
        nothing = ir.Constant(ir.VectorType(value.type, self._width), ir.Undefined)
        first = self.build.insert_element(nothing, value, ir.Constant(_LANE, 0))
        return self.build.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(_LANE, self._width), [0] * self._width)
        )

    def constant(self, pointer: Emitted, offset: Emitted, further: int = 0) -> Emitted:
        """Return a vector of the one value at an element."""
        return self.same(self.build.load(self.at(pointer, offset, further)))

    def wide(self, value: Emitted) -> Emitted:
        """Return an unsigned integer as wide as an address."""
        return value if value.type == _OFFSET else self.build.zext(value, _OFFSET)

    def narrow(self, value: Emitted, bits: int) -> Emitted:
        """Return the lowest bits of an integer."""
        return self.build.trunc(value, ir.IntType(bits))

    def nothing(self, like: Emitted) -> Emitted:
        """Return zeros of another vector's type."""
        return ir.Constant(like.type, None)

    def how_many(self, flags: Emitted) -> Emitted:
        """Count the lanes that are true, as wide as an address."""
        return self.build.zext(self.build.ctpop(self.build.bitcast(flags, ir.IntType(self._width))), _OFFSET)

    def at_most(self, left: Emitted, right: Emitted) -> Emitted:
        """Compare unsigned integers lane by lane."""
        return self.build.icmp_unsigned("<=", left, right)

    def product(self, left: Emitted, right: Emitted) -> Emitted:
        """Return `left * right`, which may become one instruction with a sum that it goes into."""
        return self.build.fmul(left, right, flags=_FUSED)

    def add_product(self, left: Emitted, right: Emitted, to: Emitted) -> Emitted:
        """Return `left * right + to`, in one instruction where there is one."""
        return self.build.fadd(self.product(left, right), to, flags=_FUSED)
