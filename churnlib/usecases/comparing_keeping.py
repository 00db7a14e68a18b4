"""Where a comparison is kept: the page that was asked for, and page and numbers with the second version's run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from churnlib.errors import ServiceUnavailable
from churnlib.governance.side_by_side import SideBySide
from churnlib.governance.side_by_side_page import can_draw, write_page
from churnlib.usecases.services import Services

FOLDER = "comparisons"
"""Folder of the second version's run in MLflow."""


def default_page(services: Services, model: str, first: int, second: int) -> Path:
    """Where the page lies when nobody says where."""
    return services.reports / model / f"compare-v{first}-v{second}.html"


def keep(services: Services, found: SideBySide, page: Path | None) -> tuple[tuple[str, ...], str]:
    """Write the page where it is asked for, and put page and numbers into MLflow; returns paths and a note."""
    name = f"v{found.first}-v{found.second}"
    with tempfile.TemporaryDirectory(prefix="churn-compare-") as folder:
        files = list(_files(found, Path(folder), name))
        if page is not None:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_bytes(files[-1].read_bytes())
        note = "" if len(files) > 1 else "No page was drawn: pip install 'churnlib[reports]'."
        try:
            for file in files:
                services.registry.log_artifact(found.model, found.second, file, FOLDER)
        except ServiceUnavailable as error:
            return (), f"{note} It is not kept in MLflow: {error.message}".strip()
        return tuple(f"{FOLDER}/{file.name}" for file in files), note


def _files(found: SideBySide, folder: Path, name: str) -> Iterator[Path]:
    numbers = folder / f"{name}.json"
    numbers.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    yield numbers
    if can_draw(must=False):
        yield write_page(found, folder / f"{name}.html")
