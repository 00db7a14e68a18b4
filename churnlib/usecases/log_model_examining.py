"""Look at a delivered model as a whole: its features, its rows, its scores; nothing is written."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from churnlib.errors import SpecError
from churnlib.features.matrix import build_matrix
from churnlib.modelling.delivered import typed
from churnlib.modelling.engine import evaluator
from churnlib.modelling.evaluation import Evaluation
from churnlib.modelling.foreign import Foreign, Trees, read_foreign
from churnlib.modelling.foreign_labels import Answers, label_column, read_answers
from churnlib.modelling.foreign_names import names_of
from churnlib.modelling.foreign_sample import Layout, Sample, lay_out, read_sample, texts
from churnlib.modelling.foreign_spec import check_fit, draft_spec
from churnlib.spec import AS_OF, ID, Spec, parse_spec
from churnlib.usecases.log_model_files import Delivered
from churnlib.usecases.log_model_scores import Scored, measure, score_sample
from churnlib.variants import Variant

MANY = 1_000_000
"""Rows of a batch for which the engine is asked about."""


@dataclass(frozen=True)
class Examined:
    """A delivered model of which everything that was delivered fits together.

    Attributes:
        spec: of the variant that the model is for.
        spec_text: of a new spec; None where there is one that fits.
        rows: accepted rows of the sample, in its order; where it has no ids they are numbered.
        scored: by the trees that are used.
        other: by the other choice of trees; None where there is but one.
        published: scores that came along and are reproduced; None where none came.
        engine: what evaluates large batches: `trees`, or `xgboost` and why.
        unseen: rows of the sample by category that the model does not know.
    """

    foreign: Foreign
    names_by: str
    sample: Sample
    layout: Layout
    spec: Spec
    spec_text: str | None
    rows: pl.DataFrame
    scored: Scored
    other: Scored | None
    published: int | None
    answers: Answers | None
    evaluation: Evaluation
    engine: str
    unseen: Mapping[str, int]


def examine(
    name: str,
    files: Mapping[str, Delivered],
    spec: Spec | None,
    *,
    dimensions: Mapping[str, str],
    id_column: str | None,
    label: str | None,
    trees: Trees | None,
    today: date,
) -> Examined:
    """Read everything and hold it together.

    Args:
        name: of the spec.
        files: `model` and `sample`, and `features`, `labels` and `scores` where they came.
        spec: one that is there already; None drafts one.
        dimensions: of the variant that the model is for.
        id_column: of the sample, or of later batches where it has none; None finds it.
        label: the label's column; None finds it, if there are labels.
        trees: None takes all, or those that reproduce published scores.
        today: `as_of` of the sample, which has none.

    Raises:
        FileRefused: a file is not what it should be, or does not belong to the others.
        SpecError: the spec that is there feeds another model.
        ChurnError: rows of the sample cannot be read as the spec says.
    """
    source = files["model"].name
    foreign = read_foreign(files["model"].path)
    listed = files.get("features")
    names = names_of(foreign.shape, listed.path if listed else None, source)
    sample = read_sample(files["sample"].path, spec.input if spec else None)
    layout, answers = _read_rows(files, sample, names, spec, id_column, label)
    spec_text = None
    if spec is None:
        known = answers.label if answers else None
        spec_text = draft_spec(foreign, names, sample, layout, source=source, label=known)
        spec = parse_spec(
            {"name": name, **tomllib.loads(spec_text)}, source=f"the spec drafted from {sample.source}"
        )
    check_fit(foreign, names, spec, file=f"models/{name}.toml", source=source)
    spec = spec.of_variant(_variant(spec, dimensions))
    rows = _accepted(sample, layout, spec, today)
    used, other, published = score_sample(foreign, spec, rows, files.get("scores"), sample, layout, trees)
    return Examined(
        foreign=foreign,
        names_by=_names_by(foreign, listed),
        sample=sample,
        layout=layout,
        spec=spec,
        spec_text=spec_text,
        rows=rows,
        scored=used,
        other=other,
        published=published,
        answers=answers,
        evaluation=measure(spec, used, answers),
        engine=evaluator(used.model.booster, rows=MANY, explained=MANY).name,
        unseen=build_matrix(rows, spec, used.model.state).unseen,
    )


def _read_rows(
    files: Mapping[str, Delivered],
    sample: Sample,
    names: Sequence[str],
    spec: Spec | None,
    id_column: str | None,
    label: str | None,
) -> tuple[Layout, Answers | None]:
    """What the sample's columns are, and who of its rows churned, if anybody says."""
    wanted = names
    if spec is not None:
        wanted = [name for name, each in spec.delivered.items() if each.required or name in sample.raw.columns]
        if id_column not in (None, spec.columns.id):
            raise SpecError(
                f"models/{spec.name}.toml has the customer's id in {spec.columns.id!r}, not in {id_column!r}.",
                hint="Leave out --id, or correct `id` under `[columns]` there.",
            )
        id_column = spec.columns.id
    labels = _labels(files, sample, label, spec)
    column = None if labels is None else label_column(labels, label or _spec_label(spec, labels), names)
    layout = lay_out(sample, wanted, asked_id=id_column, label=column)
    if labels is None or column is None:
        return layout, None
    positive = str(spec.columns.positive) if spec and spec.columns.label == column else None
    return layout, read_answers(labels, column, sample, layout, positive)


def _labels(files: Mapping[str, Delivered], sample: Sample, label: str | None, spec: Spec | None) -> Sample | None:
    """The rows that say who churned: of the file of labels, or of the sample where a label is named."""
    if "labels" in files:
        return read_sample(files["labels"].path, spec.input if spec else None)
    return sample if label is not None else None


def _spec_label(spec: Spec | None, labels: Sample) -> str | None:
    column = spec.columns.label if spec else None
    return column if column in labels.raw.columns else None


def _variant(spec: Spec, dimensions: Mapping[str, str]) -> Variant:
    known = dict.fromkeys((*spec.variants.dimensions, *dimensions))
    return Variant(dimensions={name: dimensions[name] for name in known if name in dimensions})


def _names_by(foreign: Foreign, listed: Delivered | None) -> str:
    if listed is None:
        return "named by the model"
    return f"named alike by the model and {listed.name}" if foreign.shape.names else f"named by {listed.name}"


def _accepted(sample: Sample, layout: Layout, spec: Spec, today: date) -> pl.DataFrame:
    frame = typed(sample.raw, spec, today)
    ids = texts(sample, layout.id_column) if layout.has_id else None
    numbered = pl.format("row {}", pl.int_range(1, pl.len() + 1))
    key = numbered if ids is None else pl.lit(ids).fill_null(numbered)
    return frame.select(key.alias(ID), AS_OF, *spec.delivered)
