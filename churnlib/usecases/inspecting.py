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
    """What was written; `warnings` have the keys column, kind and message."""

    spec: Path
    rows: int
    features: int
    warnings: tuple[Mapping[str, str], ...]


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
        raise ChurnError(f"{destination} is there already.", hint="Give another --name, or --force to replace it.")
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
    temporary.write_text(inspection.spec_text)
    temporary.replace(destination)
    load_spec(destination)
    if page is not None:
        from churnlib.intake.inspection_report import write_report

        page.parent.mkdir(parents=True, exist_ok=True)
        write_report(inspection, page)
    warnings = tuple(
        {"column": each.column, "kind": each.kind, "message": each.message} for each in inspection.warnings
    )
    return WrittenSpec(destination, inspection.rows, inspection.features, warnings)
