"""The spec of a delivered model: drafted from its features and a sample, or one that is there and fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import tomlkit
from tomlkit.items import Table

from churnlib.errors import FileRefused, SpecError
from churnlib.intake.inspection_columns import Column
from churnlib.intake.inspection_toml import is_clock
from churnlib.intake.wording import lacking_text, number_text
from churnlib.modelling.foreign import Foreign
from churnlib.modelling.foreign_sample import Layout, Sample
from churnlib.spec import RESERVED, Input, Spec


@dataclass(frozen=True)
class Label:
    """Which column says who churned, and how; as written in the file."""

    column: str
    positive: str


def draft_spec(
    foreign: Foreign, names: Sequence[str], sample: Sample, layout: Layout, *, source: str, label: Label | None
) -> str:
    """Write the spec as TOML text that explains itself; its model features are the model's, in its order.

    Numbers are numbers, whether or not the sample has fractions, and any value may be missing, because trees
    take that. Only native categories have a list of values: another one cannot be scored.

    Raises:
        FileRefused: a feature has a name that checked files use, or values that the model cannot take.
    """
    for name in names:
        if name in RESERVED:
            raise FileRefused(
                f"The model has a feature {name!r}, which is what checked files call their own columns.",
                hint="Give the feature another name: booster.feature_names = [...], then save it again.",
            )
    document = tomlkit.document()
    first = (
        f"Written from {sample.source} ({sample.raw.height:,} rows) for {source}. Yours to edit, but the features"
    )
    document.add(tomlkit.comment(_plain(first)))
    document.add(
        tomlkit.comment("that are not input_only, and their order, are the model's: it is scored by them.")
    )
    document["description"] = _plain(f"Delivered model {source}")
    document.add(tomlkit.nl())
    document.add(
        tomlkit.comment("Not known from the delivery: a customer churned if they left within so many days.")
    )
    document["horizon_days"] = 30
    document["columns"] = _columns(layout, label)
    how = _input(foreign, sample, layout).model_dump(exclude_defaults=True)
    if how:
        document["input"] = how
    document["features"] = _features(foreign, names, sample, layout)
    return tomlkit.dumps(document).rstrip() + "\n"


def check_fit(foreign: Foreign, names: Sequence[str], spec: Spec, *, file: str, source: str) -> None:
    """See that a spec that is there feeds this very model.

    Raises:
        SpecError: features, their order or types differ; the first difference is named.
    """
    own = list(spec.model_features)
    way_out = f"Correct {file}, move it away so that a new one is written, or give the model another name."
    if set(own) != set(names):
        lacking = [name for name in names if name not in own]
        extra = [name for name in own if name not in names]
        said = f"lacks {lacking_text(lacking, extra)}" if lacking else f"has {lacking_text(extra, ())} besides"
        raise SpecError(f"{file} does not fit {source}: it {said}.", hint=way_out)
    moved = next((at for at, name in enumerate(names) if own[at] != name), None)
    if moved is not None:
        said = f"feature {moved + 1} is {own[moved]!r}, in the model {names[moved]!r}"
        raise SpecError(f"{file} does not fit {source}: {said}.", hint=way_out)
    for place, name in enumerate(names):
        kind = spec.features[name].type
        if (kind == "category") != (place in foreign.categories):
            wanted = "a category" if place in foreign.categories else "a number"
            raise SpecError(
                f"{file} does not fit {source}: {name!r} is a {kind}, and the model takes {wanted}.", hint=way_out
            )


def _columns(layout: Layout, label: Label | None) -> Table:
    table = tomlkit.table()
    table["id"] = layout.id_column
    if not layout.has_id:
        table.add(tomlkit.comment("The sample has no such column; batches need one."))
    table.add(tomlkit.comment('as_of = "…"  # without a date column the date of the delivery counts'))
    if label is None:
        table.add(tomlkit.comment('label = "…"  # who churned, in labelled files'))
    else:
        table["label"] = label.column
        table["positive"] = 1 if label.positive == "1" else label.positive
    return table


def _input(foreign: Foreign, sample: Sample, layout: Layout) -> Input:
    """How files are written; a text that the model knows as a value does not mean "no value"."""
    known = {value for values in foreign.categories.values() for value in values}
    known |= {value for _, value in layout.one_hot.values()}
    missing = tuple(text for text in sample.input.missing if text not in known)
    return sample.input.model_copy(update={"missing": missing})


def _features(foreign: Foreign, names: Sequence[str], sample: Sample, layout: Layout) -> Table:
    table = tomlkit.table()
    for place, name in enumerate(names):
        line = tomlkit.inline_table()
        if name in layout.one_hot:
            column, value = layout.one_hot[name]
            line.update({"type": "boolean", "sql": f"coalesce({_quoted(column)} = {_literal(value)}, false)"})
        else:
            line.update(_settings(foreign, place, layout.columns[name], sample.source))
            facts = _facts(layout.columns[name])
            if facts:
                line.comment(facts).trivia.comment_ws = "  "
        table.add(name, line)
    if layout.expanded:
        table.add(tomlkit.comment("Delivered columns that the one-hot features above are made of:"))
        for name in layout.expanded:
            line = tomlkit.inline_table()
            line.update({"type": "category", "input_only": True})
            table.add(name, line)
    return table


def _settings(foreign: Foreign, place: int, column: Column, source: str) -> dict[str, Any]:
    if place in foreign.categories:
        return {"type": "category", "categories": list(foreign.categories[place])}
    if place in foreign.coded and column.distinct:
        _check_codes(column, source)
    is_flag = foreign.shape.types[place : place + 1] == ("i",)
    if not column.distinct:
        return {"type": "boolean" if is_flag else "number"}
    if column.kind == "boolean" or (is_flag and _is_zero_or_one(column)):
        return {"type": "boolean"}
    _check_numbers(column, source)
    return {"type": "number", "clock": True} if is_clock(column) else {"type": "number"}


def _check_numbers(column: Column, source: str) -> None:
    """Text with leading zeros is taken for a code elsewhere; here the model says that it is a number."""
    if column.kind == "number":
        return
    cells = column.values.drop_nulls().cast(pl.String)
    odd = cells.filter(cells.cast(pl.Float64, strict=False).is_null())
    if column.kind != "category" or len(odd):
        shown = str([*odd, *cells][0])
        raise FileRefused(
            f"{source}: {column.name!r} holds {shown[:40]!r}, and the model takes a number there.",
            hint="Deliver rows as the model gets them, after your own preparation of the features.",
        )


def _check_codes(column: Column, source: str) -> None:
    if not column.is_whole or float(column.values.min()) < 0:  # type: ignore[arg-type]
        shown = str(column.values.drop_nulls()[0])
        raise FileRefused(
            f"{source}: {column.name!r} is a category to the model, which says no code for {shown[:40]!r}.",
            hint="Deliver its codes (0, 1, ...), or save the model with XGBoost 3.1 or later from a data frame: "
            "it then keeps the categories.",
        )


def _is_zero_or_one(column: Column) -> bool:
    return column.kind == "number" and bool(column.values.drop_nulls().is_in([0.0, 1.0]).all())


def _facts(column: Column) -> str:
    facts = [] if column.extent is None else [" to ".join(number_text(edge) for edge in column.extent)]
    facts += [f"{column.missing:,} missing"] if column.missing else []
    return f"in the sample: {'; '.join(facts)}" if facts else ""


def _quoted(column: str) -> str:
    """A column in SQL, in quotation marks only where it needs them."""
    try:
        is_plain = column.isidentifier() and pl.sql_expr(column).meta.root_names() == [column]
    except pl.exceptions.PolarsError:
        is_plain = False
    return column if is_plain else '"' + column.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _plain(text: str) -> str:
    """Text from outside as part of a comment: TOML allows no control characters there."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", " ", text)
