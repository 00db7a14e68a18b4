"""The names of a delivered model's features, in its order, from the file that came with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from churnlib.errors import FileRefused
from churnlib.intake.wording import lacking_text, listed
from churnlib.modelling.foreign import check_names
from churnlib.modelling.foreign_kind import head_without_code
from churnlib.modelling.foreign_shape import Shape

_KEYS = ("feature_names", "features", "model_features", "feature_columns", "columns", "names")

_HEADERS = frozenset(
    {"feature", "features", "feature_name", "feature_names", "name", "names", "column", "columns", "0"}
)

_MOST_BYTES = 16 << 20

_FORMS = (
    "Write a JSON list of names, one name a line, or a CSV header, in the order in which the model was trained."
)

_OWN_NAMES = "Deliver the names of this very model, in its order, or leave out --features: the model has its own."


def names_of(shape: Shape, path: Path | None, source: str) -> tuple[str, ...]:
    """The model's feature names: its own where it keeps them, otherwise those of the file.

    Args:
        shape: of the model.
        path: the file of names; None where none was delivered.
        source: the model file's name.

    Raises:
        FileRefused: neither the model nor a file names them; the file is none of names; count, names or
            order are not the model's.
    """
    given = () if path is None else read_names(path, shape.features)
    if path is None and not shape.names:
        raise FileRefused(
            f"{source} has {shape.features} features and no names for them.",
            hint="Name them in the model's order: --features FILE, a JSON list or one name a line.",
        )
    names = shape.names or given
    if path is not None:
        _compare(given, shape, path.name, source)
    check_names(names, source if shape.names or path is None else path.name)
    return names


def read_names(path: Path, expected: int) -> tuple[str, ...]:
    """Read names: a JSON list, or one in a JSON object; one name a line; a CSV header; a CSV of one column.

    Args:
        path: the file; its content says which form it has, not its suffix.
        expected: features of the model, by which a header line is told from a name.

    Raises:
        FileRefused: there is no such file, or it is no list of names.
    """
    head_without_code(path, _FORMS)
    if path.stat().st_size > _MOST_BYTES:
        raise FileRefused(f"{path.name} is too long for a list of names.", hint=_FORMS)
    try:
        text = path.read_bytes().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path.name} is no text: byte {error.start:,} is not UTF-8.", hint=_FORMS) from error
    if text.startswith(("[", "{")):
        return _from_json(text, path.name)
    return _from_lines(text, expected, path.name)


def _from_json(text: str, source: str) -> tuple[str, ...]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if text.startswith("{") and isinstance(first := _first_line(text), dict):
            return tuple(first)  # JSON lines of rows: the keys
        raise FileRefused(
            f"{source} is no valid JSON: {error.msg}, line {error.lineno:,}, column {error.colno:,}.", hint=_FORMS
        ) from error
    except RecursionError as error:
        raise FileRefused(f"{source} is no list of names: it nests too deep.", hint=_FORMS) from error
    names = _listed_names(content)
    if names is None:
        raise FileRefused(f"{source} is JSON, but holds no list of names.", hint=_FORMS)
    return names


def _first_line(text: str) -> object:
    try:
        first: object = json.loads(text.partition("\n")[0])
    except ValueError:
        return None
    return first


def _listed_names(content: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever the JSON holds
    if isinstance(content, list):
        plain = [each.get("name", each.get("feature")) if isinstance(each, dict) else each for each in content]
        names = tuple(each for each in plain if isinstance(each, str))
        return names if names and len(names) == len(plain) else None
    places = list(content.values())
    if places and all(type(place) is int for place in places) and sorted(places) == list(range(len(places))):
        return tuple(sorted(content, key=content.__getitem__))  # name to place
    lists = {key: _listed_names(value) for key, value in content.items() if isinstance(value, list)}
    found = {key: names for key, names in lists.items() if names is not None}
    known = [found[key] for key in _KEYS if key in found]
    return known[0] if known else next(iter(found.values())) if len(found) == 1 else None


def _from_lines(text: str, expected: int, source: str) -> tuple[str, ...]:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise FileRefused(f"{source} names nothing.", hint=_FORMS)
    delimiter = max(",;\t|", key=lines[0].count)
    rows = list(islice(csv.reader(lines, delimiter=delimiter), expected + 2))
    if len(rows[0]) > 2 or len(rows) == 1:
        return tuple(cell.strip() for cell in rows[0])  # a header, with or without rows below it
    if len(rows[0]) == 2 and [row[0].strip() for row in rows[1:]] == [str(at) for at in range(len(rows) - 1)]:
        return tuple(row[-1].strip() for row in rows[1:])  # as pandas writes a Series: a counter and the name
    if len(rows[0]) == 2 and expected == 2:
        return tuple(cell.strip() for cell in rows[0])
    names = [line.strip().strip('"') for line in lines]
    has_header = len(names) == expected + 1 and names[0].lower() in _HEADERS
    return tuple(names[1:] if has_header else names)


def _compare(given: Sequence[str], shape: Shape, given_source: str, source: str) -> None:
    known = shape.names
    if known and set(given) != set(known):
        lacking = [name for name in known if name not in given]
        extra = [name for name in given if name not in known]
        said = f"lacks {lacking_text(lacking, extra)}" if lacking else f"has {lacking_text(extra, ())} besides"
        raise FileRefused(
            f"{given_source} names {len(given)} features, {source} has {len(known)}: it {said}.",
            hint=_OWN_NAMES,
        )
    if len(given) != shape.features:
        shown = listed([repr(name) for name in given[:3]], total=len(given))
        raise FileRefused(
            f"{given_source} names {len(given)} features ({shown}), {source} has {shape.features}.", hint=_FORMS
        )
    moved = next((at for at, (ours, theirs) in enumerate(zip(given, known, strict=False)) if ours != theirs), None)
    if known and moved is not None:
        raise FileRefused(
            f"{given_source} has another order than {source}: number {moved + 1} is {given[moved]!r}, "
            f"in the model {known[moved]!r}.",
            hint=_OWN_NAMES,
        )
