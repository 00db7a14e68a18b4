"""Write the spec that a file suggests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.intake.inspection import inspect
from churnlib.spec import load_spec


@dataclass(frozen=True)
class WrittenSpec:
    """What was written.

    Attributes:
        warnings: with the keys column (empty: the whole file), kind and message.
        left_out: columns that are no features, with a warning that says why.
        id_column: the customer's id.
        as_of_column: the date of each row; None where the delivery's own date counts.
        label_column: who churned.
        positive: the label's value that means churned, as written in the file.
        churn_share: of the rows with a label, 0 to 1.
    """

    spec: Path
    rows: int
    features: int
    warnings: tuple[Mapping[str, str], ...]
    left_out: tuple[str, ...]
    id_column: str
    as_of_column: str | None
    label_column: str
    positive: str
    churn_share: float


def write_spec(
    file: Path,
    destination: Path,
    *,
    id_column: str,
    label_column: str,
    as_of_column: str | None,
    positive: str | None,
    page: Path | None,
    replace: bool,
) -> WrittenSpec:
    """Look at the file, write its spec, and where asked a page of pictures.

    Raises:
        FileRefused: the file cannot be used.
        ChurnError: there is a spec already, and `replace` was not asked for.
    """
    if destination.exists() and not replace:
        raise ChurnError(
            f"There is a spec {destination} already.", hint="Give another --name, or --force to replace it."
        )
    inspection = inspect(
        file,
        name=destination.stem,
        id_column=id_column,
        label_column=label_column,
        as_of_column=as_of_column,
        positive=positive,
    )
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_suffix(".toml.tmp")
    temporary.write_text(inspection.spec_text, encoding="utf-8")
    temporary.replace(destination)
    load_spec(destination)
    if page is not None:
        from churnlib.intake.inspection_report import write_report

        page.parent.mkdir(parents=True, exist_ok=True)
        write_report(inspection, page)
    draft = inspection.draft
    return WrittenSpec(
        spec=destination,
        rows=inspection.rows,
        features=inspection.features,
        warnings=tuple(
            {"column": each.column, "kind": each.kind, "message": each.message} for each in inspection.warnings
        ),
        left_out=tuple(column.name for column in draft.columns if column.name in draft.left_out),
        id_column=draft.id_column,
        as_of_column=draft.as_of_column,
        label_column=draft.label_column,
        positive=draft.positive,
        churn_share=draft.churn_share,
    )
