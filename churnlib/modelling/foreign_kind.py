"""What a delivered file is, told by its first bytes: only what can hold no code is opened."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Literal

from churnlib.errors import FileRefused
from churnlib.intake.kinds import head_of

Form = Literal["json", "ubjson"]

SAVE_AGAIN = "Save the model itself: model.save_model('model.ubj'), of an XGBClassifier or a Booster."

_UBJSON_LENGTHS = b"iUIlL"  # types of a length, one of which stands before every key

_PICKLE_OF_TEXT = re.compile(
    rb"c(copy_?reg|__builtin__|builtins|__main__|collections|numpy|pandas|xgboost|sklearn|joblib|os|posix|nt|"
    rb"subprocess|sys)[\w.]*\n|\([dlit]p?\d*\n|\([iI]\w+\n|[}\]]q.",
    re.DOTALL,
)

_PACKED = "compressed with {}, as joblib compresses pickles; it was not unpacked"

_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", _PACKED.format("gzip")),
    (b"BZh", _PACKED.format("bzip2")),
    (b"\xfd7zXZ", _PACKED.format("xz")),
    (b"]\x00\x00", _PACKED.format("lzma")),
    (b"x\x01", _PACKED.format("zlib")),
    (b"x^", _PACKED.format("zlib")),
    (b"x\x9c", _PACKED.format("zlib")),
    (b"x\xda", _PACKED.format("zlib")),
    (b"\x04\x22\x4d\x18", _PACKED.format("lz4")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstandard")),
    (b"PK\x03\x04", "a zip archive, as PyTorch, Keras and skops write; it was not unpacked"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"CBM1", "a CatBoost model"),
    (b"binf", "of XGBoost's old binary form, which XGBoost itself no longer reads"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF document"),
)

_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"tree\n", "a LightGBM model"),
    (b"<", "XML or a web page, such as PMML"),
    (b"[", "a JSON array, such as a dump for people (dump_model), which cannot be loaded again"),
    (b"booster[", "a dump for people (dump_model), which cannot be loaded again"),
)


def form_of(path: Path) -> Form:
    """Say in which of XGBoost's two plain forms a file is written; its suffix does not count.

    Only the first bytes are looked at: nothing is parsed, unpacked or unpickled.

    Raises:
        FileRefused: no such file, no bytes, a folder, or another kind of file, which is named.
    """
    head = head_without_code(path)
    if head.startswith(b"{") and head[1:2] and head[1] in _UBJSON_LENGTHS:
        return "ubjson"
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"{") and text[1:].lstrip().startswith((b'"', b"}")):
        return "json"
    raise FileRefused(f"{path.name} is no XGBoost model: it {_look(head, text)}.", hint=SAVE_AGAIN)


def head_without_code(path: Path, hint: str = SAVE_AGAIN) -> bytes:
    """The first bytes of a file that is no pickle.

    Args:
        path: the file.
        hint: the way out where it is one.

    Raises:
        FileRefused: no such file, no bytes, a folder, or a pickle.
    """
    if not path.exists():
        raise FileRefused(f"There is no file {path}.", hint="Check the path; it counts from where you stand.")
    if path.is_dir():
        raise FileRefused(
            f"{path} is a folder, not a file.",
            hint="Name the file in it, such as model.ubj, model.json or model.xgb.",
        )
    head = head_of(path)
    if is_pickle(head):
        raise FileRefused(
            f"{path.name} is {_pickler(head)}, which runs whatever code is in it when it is loaded; "
            "it was not opened.",
            hint=hint,
        )
    return head


def is_pickle(head: bytes) -> bool:
    """Whether the bytes begin a Python pickle, bare or as joblib and cloudpickle write it uncompressed."""
    is_binary = len(head) > 1 and head[0] == 0x80 and head[1] <= 5
    return is_binary or bool(_PICKLE_OF_TEXT.match(head))


def _pickler(head: bytes) -> str:
    writer = next((name for name in ("joblib", "cloudpickle") if name.encode() in head), None)
    return "a Python pickle" + (f", written by {writer}" if writer else "")


def _look(head: bytes, text: bytes) -> str:
    found = [words for magic, words in _BINARY if head.startswith(magic)]
    found += [words for magic, words in _TEXT if text.startswith(magic)]
    if found:
        return f"is {found[0]}"
    if _is_onnx(head):
        return "looks like ONNX, a form of other tools"
    if b"\x00" in head or not _is_text(head):
        return "begins with bytes of no form that is known here"
    return f"is text that begins with {head[:24].decode('utf-8', 'replace')!r}"


def _is_onnx(head: bytes) -> bool:
    # protobuf: field 1, the version, is a small number; then comes field 2, the producer's name, or a later one
    return len(head) > 2 and head[0] == 0x08 and head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x3A)


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # cut within a letter
    return True
