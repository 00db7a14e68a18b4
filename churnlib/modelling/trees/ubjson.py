"""Reading UBJSON, the format in which XGBoost saves a model without rounding a number (ubjson.org, draft 12)."""

from __future__ import annotations

from typing import Any

import numpy as np

_NUMBERS: dict[str, np.dtype[Any]] = {
    "i": np.dtype(">i1"),
    "U": np.dtype(">u1"),
    "I": np.dtype(">i2"),
    "l": np.dtype(">i4"),
    "L": np.dtype(">i8"),
    "d": np.dtype(">f4"),
    "D": np.dtype(">f8"),
}

_WORDS = {"Z": None, "T": True, "F": False}


def decode(content: bytes) -> Any:  # noqa: ANN401 - whatever the document is
    """Return the document: objects as dict, arrays of one number type as NumPy arrays, other arrays as lists.

    Raises:
        ValueError: this is not UBJSON as XGBoost writes it.
    """
    try:
        return _Reader(content).value()
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("the document ends early or is damaged") from error


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def value(self) -> Any:  # noqa: ANN401 - whatever comes next
        return self._of_kind(self._marker())

    def _of_kind(self, kind: str) -> Any:  # noqa: ANN401 - whatever that kind holds
        if kind == "{":
            return self._object()
        if kind == "[":
            return self._array()
        if kind == "S":
            return self._text()
        if kind in _NUMBERS:
            return self._numbers(kind, 1)[0].item()
        if kind in _WORDS:
            return _WORDS[kind]
        raise ValueError(f"unknown marker {kind!r} at byte {self._at - 1}")

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._peek() != "}":
            key = self._text()
            found[key] = self.value()
        self._at += 1
        return found

    def _array(self) -> Any:  # noqa: ANN401 - a NumPy array or a list
        kind = None
        if self._peek() == "$":
            self._at += 1
            kind = self._marker()
        if self._peek() == "#":
            self._at += 1
            count = self._length()
            if kind in _NUMBERS:
                return self._numbers(kind, count)
            if kind in _WORDS:  # they take no bytes: a short file could claim to hold any number of them
                raise ValueError(f"an array of {kind!r} at byte {self._at}, which XGBoost does not write")
            return [self.value() if kind is None else self._of_kind(kind) for _ in range(count)]
        found = []
        while self._peek() != "]":
            found.append(self.value())
        self._at += 1
        return found

    def _numbers(self, kind: str, count: int) -> np.ndarray:
        dtype = _NUMBERS[kind]
        numbers = np.frombuffer(self._take(count * dtype.itemsize), dtype)
        native: np.ndarray = numbers.astype(dtype.newbyteorder("="))
        return native

    def _text(self) -> str:
        return self._take(self._length()).decode()

    def _length(self) -> int:
        length = self.value()
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"a length of {str(length)[:20]} before byte {self._at}")
        return length

    def _marker(self) -> str:
        return self._take(1).decode("ascii")

    def _peek(self) -> str:
        return chr(self._content[self._at])

    def _take(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise IndexError(size)
        self._at += size
        return taken
