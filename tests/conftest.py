"""Fixtures for every test: where the real data is, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public tables beside the project; a clone elsewhere has none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        missing = f"no public tables in {folder.relative_to(ROOT.parent)} beside the project"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}, and CI has to have them")
        pytest.skip(missing)
    return folder
