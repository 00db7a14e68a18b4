"""What the tree engine reads and keeps: saved models, and machine code between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from churnlib.modelling.trees import bins, contributions, lanes
from churnlib.modelling.trees.ubjson import decode


def test_where_no_cache_can_be_written_it_compiles_each_time(tmp_path: Path) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.touch()
    code = "from churnlib.modelling.trees.bins import fill; print(type(fill._cache).__name__)"
    found = {
        place: subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": str(place)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for place in (tmp_path / "cache", blocked)
    }
    assert found[tmp_path / "cache"] == "FunctionCache"
    assert len(found) == 2  # the other one did not fail


def test_machine_code_of_other_sources_is_not_used() -> None:
    functions: tuple[Any, ...] = (bins.fill, contributions._contribute)
    assert {function._cache._cache_file._source_stamp for function in functions} == {lanes._sources()}


@pytest.mark.parametrize("broken", [b"", b"{", b"[$d#l\x00\x00\x00\x09\x00", b"?"])
def test_a_damaged_document_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends early|unknown marker"):
        decode(broken)
