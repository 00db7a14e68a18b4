"""What was found out about a delivered model, in words for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from churnlib.intake.inspection_checks import snake_case
from churnlib.usecases.log_model_examining import Examined
from churnlib.usecases.log_model_registration import trees_text

FEW_ROWS = 500
"""Of a sample: below, only large movements show against it as drift."""

_NUMBER = {"boolean": "flag", "category": "category", "number": "number"}

_PLURAL = {"flag": "flags", "category": "categories", "number": "numbers"}

_MAYBE_LABELS = frozenset({"churned", "churn", "exited", "label", "target"})


def checks(seen: Examined) -> dict[str, str]:
    """By what was checked: what was found. In the order in which it was looked at."""
    shape, probability = seen.foreign.shape, seen.scored.probability
    spread = f"{probability.min():.3f} to {probability.max():.3f}, mean {probability.mean():.3f}"
    published = "none were delivered" if seen.published is None else f"all {seen.published:,} are reproduced"
    trees = "a linear model, " if shape.kind == "gblinear" else f"{shape.trees:,} trees ({shape.kind}), "
    return {
        "model": f"{trees}{shape.objective}, written by XGBoost {shape.version}",
        "rounds used": trees_text(seen),
        "features": _features(seen),
        "types": _types(seen),
        "sample": _sample(seen),
        "scores of it": spread,
        "published scores": published,
        "quality": _quality(seen),
        "calibration": "none: its own sigmoid",
        "evaluated by": "the tree engine, bit for bit as XGBoost" if seen.engine == "trees" else seen.engine,
        "training date": "not known",
    }


def notes(seen: Examined) -> list[str]:
    """What a person should know about it, most important first."""
    found = (_direction, _early_stop, _weight, _newer, _unseen, _few, _id, _unused, _label, _horizon, _variant)
    return [text for note in found for text in note(seen)]


def _features(seen: Examined) -> str:
    text = f"{seen.foreign.shape.features:,}, {seen.names_by}"
    if seen.layout.one_hot and seen.spec_text is not None:
        made, of = len(seen.layout.one_hot), len(seen.layout.expanded)
        text += f"; {made} one-hot ones are made of {of} {'column' if of == 1 else 'columns'} of the sample"
    return text


def _types(seen: Examined) -> str:
    counted = Counter(_NUMBER[each.type] for each in seen.spec.model_features.values())
    return ", ".join(f"{count:,} {kind if count == 1 else _PLURAL[kind]}" for kind, count in counted.most_common())


def _sample(seen: Examined) -> str:
    who = f"customers by {seen.layout.id_column!r}" if seen.layout.has_id else "no customer id"
    rows = seen.rows.height
    return f"{rows:,} {'row' if rows == 1 else 'rows'} of {seen.sample.source}, {who}"


def _quality(seen: Examined) -> str:
    test, interval = seen.evaluation.test, seen.evaluation.auc_interval
    if test is None:
        return seen.evaluation.split_text
    span = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ", too few rows for an interval"
    return f"AUC {test.auc:.3f}{span} on {test.rows:,} rows, {test.positives:,} churned"


def _direction(seen: Examined) -> Iterator[str]:
    interval = seen.evaluation.auc_interval
    if interval is not None and interval[1] < 0.5:
        yield "its high scores go with customers who stayed: was it trained on 'stays' instead of 'churns'?"
    if np.ptp(seen.scored.probability) == 0 and seen.rows.height > 1:
        yield "it gives every row of the sample the same score"


def _early_stop(seen: Examined) -> Iterator[str]:
    foreign = seen.foreign
    if seen.other is None or foreign.best_rounds is None:
        return
    gap = float(np.abs(seen.scored.probability - seen.other.probability).max())
    if seen.scored.trees == "all":
        who = f"Booster.predict uses all {foreign.rounds} rounds, and so it is here; XGBClassifier uses"
        yield f"{who} {foreign.best_rounds} (--trees best). Scores of the sample differ by up to {gap:.3f}"
    else:
        who = f"XGBClassifier uses {foreign.best_rounds} rounds, and so it is here; Booster.predict uses all"
        yield f"{who} {foreign.rounds} (--trees all). Scores of the sample differ by up to {gap:.3f}"


def _weight(seen: Examined) -> Iterator[str]:
    weight = seen.foreign.shape.positive_weight
    if weight != 1:
        yield (
            f"it was trained with scale_pos_weight = {weight:.4g}: its scores rank, but are no churn rates; "
            "a version trained here is calibrated"
        )


def _newer(seen: Examined) -> Iterator[str]:
    import xgboost

    by, here = seen.foreign.shape.version, xgboost.__version__
    if [int(part) for part in by.split(".")[:2]] > [int(part) for part in here.split(".")[:2]]:
        proof = "" if seen.published is not None else "; --scores would prove that it scores alike"
        yield f"XGBoost {by} wrote it, and {here} reads it here, which is older{proof}"


def _unseen(seen: Examined) -> Iterator[str]:
    for name, rows in seen.unseen.items():
        what = "is missing to it" if seen.spec.features[name].categories is None else "puts a row into quarantine"
        yield f"{rows:,} rows of the sample have a {name!r} that the model does not know; in a batch that {what}"


def _few(seen: Examined) -> Iterator[str]:
    if seen.rows.height < FEW_ROWS:
        yield f"drift is held against {seen.rows.height:,} rows: only large movements will show"


def _id(seen: Examined) -> Iterator[str]:
    layout = seen.layout
    if not layout.has_id:
        yield f"the sample has no customer id: batches need a column {layout.id_column!r} (--id names another)"
    elif layout.counts_rows:
        yield (
            f"{layout.id_column!r} only counts the rows: in the next file the same number may be another customer"
        )


def _unused(seen: Examined) -> Iterator[str]:
    unused = seen.layout.unused
    if unused:
        yield f"not used: {', '.join(unused[:8])}" + (f" and {len(unused) - 8} more" if len(unused) > 8 else "")
    maybe = [name for name in unused if snake_case(name).strip("_") in _MAYBE_LABELS]
    if maybe and seen.answers is None:
        yield f"if {maybe[0]!r} says who churned, --label {maybe[0]} measures the model on the sample"


def _horizon(seen: Examined) -> Iterator[str]:
    if seen.spec_text is not None:
        yield f"the horizon is not known; the spec says {seen.spec.horizon_days} days (horizon_days)"


def _label(seen: Examined) -> Iterator[str]:
    if seen.answers is not None and seen.spec.columns.label is None:
        yield f"the spec names no label: set label = {seen.answers.label.column!r} there, for churn outcomes"


def _variant(seen: Examined) -> Iterator[str]:
    spec = seen.spec
    apart = [name for name in spec.variant.dimensions if name not in spec.variants.dimensions]
    if apart:
        by = " and ".join(apart)
        yield f"variants.dimensions of the spec splits no batch by {by}: deliver those of {spec.name} apart"
