"""JSON lines in blocks: one schema for the whole file, then the rows."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import polars as pl
from polars.datatypes import DataTypeClass

from churnlib.intake.delivery import with_rows
from churnlib.intake.kinds import READ_FAULTS, unreadable
from churnlib.intake.record_blocks import record_blocks

_EXAMPLES: dict[pl.DataType, object] = {
    pl.Null(): None,
    pl.Boolean(): True,
    pl.Int64(): 1,
    pl.Int128(): 2**64,
    pl.Float64(): 0.5,
    pl.String(): "text",
}


def schema_of(path: Path) -> pl.Schema:
    """The types of all rows, as polars takes them from a file as a whole; raises what polars raises.

    Columns come in the order of the first row; those that it lacks follow by name. (polars itself has them in
    another order in each run.)
    """
    found: dict[str, pl.DataType] = {}
    first: list[str] = []
    for block in _blocks(path, rows=1 << 62):
        schema = _inferred(block)
        first = first or _keys(block)
        if found and schema != found:
            schema = _inferred(b"\n".join(_example_row(one) for one in (found, schema)))
        found = dict(schema)
    names = [name for name in first if name in found]
    return pl.Schema({name: found[name] for name in [*names, *sorted(set(found) - set(names))]})


def chunks_of(path: Path, schema: pl.Schema, *, rows: int) -> Iterator[pl.DataFrame]:
    """The rows in chunks of at most so many.

    Raises:
        FileRefused: a value does not fit the type that its column has in the file as a whole.
    """
    try:
        yield from with_rows(map(partial(_frame, schema=schema), _blocks(path, rows=rows)))
    except READ_FAULTS as error:
        raise unreadable(path.name, error) from error


def _blocks(path: Path, *, rows: int) -> Iterator[bytes]:
    """Whole lines, some of which may be blank; blocks of nothing else are left out."""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:  # polars takes the mark for a syntax error
            file.seek(0)
        yield from filter(bytes.strip, record_blocks(file, rows=rows, has_quotes=False))


def _inferred(block: bytes) -> pl.Schema:
    return pl.scan_ndjson(io.BytesIO(block), infer_schema_length=None).collect_schema()


def _frame(block: bytes, schema: pl.Schema) -> pl.DataFrame:
    return pl.read_ndjson(io.BytesIO(block), schema=schema)


def _keys(block: bytes) -> list[str]:
    """The keys of its first row; none where Python is stricter than polars."""
    try:
        return list(json.loads(block.lstrip().partition(b"\n")[0]))
    except ValueError:
        return []


def _example_row(schema: Mapping[str, pl.DataType]) -> bytes:
    """A row of which polars infers the schema: so it is polars that says which type holds two others."""
    return json.dumps({name: _example(dtype) for name, dtype in schema.items()}).encode()


def _example(dtype: pl.DataType) -> object:
    if isinstance(dtype, pl.Struct):
        return {field.name: _example(_instance(field.dtype)) for field in dtype.fields}
    if isinstance(dtype, pl.List):
        inner = _example(_instance(dtype.inner))
        return [] if inner is None else [inner]
    return _EXAMPLES[dtype]


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype() if isinstance(dtype, DataTypeClass) else dtype
