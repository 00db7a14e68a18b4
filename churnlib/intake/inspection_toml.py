"""The spec that an inspection suggests, as TOML that explains itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import tomlkit
from tomlkit.items import Table

from churnlib.intake.inspection_checks import snake_case
from churnlib.intake.inspection_columns import Column
from churnlib.intake.labels import plain_class
from churnlib.intake.wording import number_text, share_text
from churnlib.spec import DriftPolicy, Input, Reasons, RetrainingPolicy, Training

_MOST_SHARES = 5
_LONGEST = 40

_CLOCK = re.compile(
    r"(^|_)(tenure|seniority|since|age_of_\w+"
    r"|(account|customer|contract|membership|subscription)_(age|length|days|months)"
    r"|(days|weeks|months|years)_(active|subscribed|as_customer|on_book|with_us))(_|$)"
)
# time since the last order starts again with each order: it is behaviour, and should alarm
_RESETS = re.compile(r"(^|_)(last|latest|recent|previous|prev)(_|$)")


@dataclass(frozen=True)
class Draft:
    """What a spec is written from.

    Attributes:
        positive: the label's value for churned, as written in the file.
        columns: all columns but id, date and label, in the file's order.
        left_out: why a column is no feature, by column.
    """

    name: str
    source: str
    rows: int
    churn_share: float
    id_column: str
    as_of_column: str | None
    label_column: str
    positive: str
    input: Input
    columns: tuple[Column, ...]
    left_out: Mapping[str, str]


def write_spec(draft: Draft) -> str:
    """The spec as TOML text; what is left out of the features stands there as a comment."""
    document = tomlkit.document()
    seen = f"{draft.rows:,} rows, {share_text(draft.churn_share)} churned"
    document.add(tomlkit.comment(_plain(f"Drafted from {draft.source}: {seen}. Yours to edit.")))
    document["description"] = _plain(
        f"Who churns: {draft.label_column} = {draft.positive}, learned from {draft.source}"
    )
    document.add(tomlkit.nl())
    document.add(
        tomlkit.comment("A customer churned if they left within so many days after the date of their row.")
    )
    document["horizon_days"] = 30
    document.add(tomlkit.comment("A batch whose date is older than this when it is delivered is refused:"))
    document.add(tomlkit.comment("max_age_days = 14"))
    document["columns"] = _columns(draft)
    written = draft.input.model_dump(exclude_defaults=True)
    if written:
        document["input"] = written
    document["features"] = _features(draft)
    return tomlkit.dumps(document).rstrip() + "\n" + _hints(draft)


def is_clock(column: Column) -> bool:
    """Whether a number is named like time since something that does not start again."""
    name = snake_case(column.name)
    return column.kind == "number" and bool(_CLOCK.search(name)) and not _RESETS.search(name)


def _columns(draft: Draft) -> Table:
    table = tomlkit.table()
    table["id"] = draft.id_column
    if draft.as_of_column:
        table["as_of"] = draft.as_of_column
    else:
        table.add(tomlkit.comment('as_of = "…"  # no date column: the date of the delivery counts'))
    table["label"] = draft.label_column
    is_one = plain_class(draft.positive) == "1" and draft.positive.startswith("1")
    positive = tomlkit.item(1 if is_one else draft.positive)
    positive.comment(f"means churned: {share_text(draft.churn_share)} of the rows").trivia.comment_ws = "  "
    table.add("positive", positive)
    table.add(tomlkit.comment('value = "…"  # yearly value of a customer in money, for value at risk'))
    return table


def _features(draft: Draft) -> Table:
    table = tomlkit.table()
    table.add(
        tomlkit.comment("One line a column. The ranges and shares are what the file held; they are no limits:")
    )
    table.add(
        tomlkit.comment("min, max, categories = [...] and nullable = false set limits, and rows beyond them")
    )
    table.add(tomlkit.comment("are quarantined. A clock ages by itself and never raises a drift alarm."))
    for column in draft.columns:
        if column.name in draft.left_out:
            table.add(tomlkit.comment(f"{_line(column)}  # {_plain(draft.left_out[column.name])}"))
        else:
            feature = tomlkit.inline_table()
            feature.update(_settings(column))
            feature.comment(_facts(column)).trivia.comment_ws = "  "
            table.add(column.name, feature)
    return table


def _settings(column: Column) -> dict[str, str | bool]:
    settings: dict[str, str | bool] = {"type": column.kind or "category"}
    if is_clock(column):
        settings["clock"] = True
    if column.kind == "date":
        settings["input_only"] = True
    return settings


def _line(column: Column) -> str:
    """A feature as one line of TOML."""
    line = tomlkit.inline_table()
    line.update(_settings(column))
    return tomlkit.dumps({column.name: line}).strip()


def _facts(column: Column) -> str:
    """What a person wants to know of a column's values, in half a line."""
    facts = []
    if column.extent:
        facts.append(" to ".join(number_text(edge) for edge in column.extent))
    if column.top:
        cells = column.rows - column.missing
        shown = [f"{_short(value)} {share_text(rows / cells)}" for value, rows in column.top[:_MOST_SHARES]]
        more = column.distinct - len(shown)
        facts.append(", ".join(shown) + (f" and {more:,} more" if more > 0 else ""))
    if column.missing:
        facts.append(f"{column.missing:,} missing")
    return _plain("; ".join(facts)) or "never missing"


def _hints(draft: Draft) -> str:
    """Commented examples of what else a spec can say, with the defaults."""
    training, drift, retraining = Training(), DriftPolicy(), RetrainingPolicy()
    return f"""
# A derived feature is an SQL expression over the columns above, one more line under [features]:
{_example(draft)}

# What else can be set, with the defaults:
# [input]
# missing = {tomlkit.item(list(Input().missing)).as_string()}  # texts that mean "no value"
# max_bad_share = {Input().max_bad_share}  # above this share of quarantined rows a file is refused
# [training]
# learning_rate = {training.learning_rate}
# max_depth = {training.max_depth}
# max_rounds = {training.max_rounds}  # early stopping ends sooner
# [reasons]
# top = {Reasons().top}  # reasons for each customer in the riskiest top_share
# top_share = {Reasons().top_share}
# [drift]
# psi = {drift.psi}  # a column moved from here on, ...
# persistence = {drift.persistence}  # ... and in so many of the last {drift.window} batches it is an alarm
# [retraining]
# every_days = {retraining.every_days}
"""


def _example(draft: Draft) -> str:
    numbers = [
        column
        for column in draft.columns
        if column.kind == "number" and column.name not in draft.left_out and column.name.isidentifier()
    ]
    richest = sorted(numbers, key=lambda column: -column.distinct)[:2]
    one, other = (column.name for column in richest) if len(richest) > 1 else ("one_number", "another")
    return f'# {one}_per_{other} = {{ type = "number", sql = "{one} / nullif({other}, 0)" }}'


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _plain(text: str) -> str:
    """Text from a file as part of a comment: TOML allows no control characters there."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", " ", text)
