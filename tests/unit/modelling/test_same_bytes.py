"""The same rows and seed give the same model bytes in any process, whatever its threads and hash seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from churnlib.features.matrix import Matrix
from churnlib.modelling.boosting import grow
from churnlib.modelling.training import train
from churnlib.spec import Training
from tests.builders import labelled, spec

ROOT = Path(__file__).resolve().parents[3]


def digest(threads: int) -> str:
    """Of a model with all its parts, and of trees on rows enough for threads to share them."""
    whole = train(labelled(800), spec(), threads=threads)
    rng = np.random.default_rng(1)
    values = rng.normal(size=(60_000, 6)).astype(np.float32)
    churned = rng.random(60_000) < 1 / (1 + np.exp(-values[:, 0] - values[:, 1] * values[:, 2]))
    wide = Matrix(values, tuple("abcdef"), {})
    trees = grow(wide, churned, Training(max_depth=6), rounds=15, threads=threads)
    fitted = "".join(each.model_dump_json() for each in (whole.state, whole.calibration))
    models = bytes(whole.booster.save_raw("ubj")) + bytes(trees.save_raw("ubj"))
    return hashlib.sha256(models + fitted.encode()).hexdigest()


def elsewhere(threads: int, **variables: str) -> str:
    said = subprocess.run(
        [sys.executable, "-c", f"from test_same_bytes import digest; print(digest({threads}))"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip()


def test_two_processes_with_other_threads_make_the_same_bytes() -> None:
    one = elsewhere(1, OMP_NUM_THREADS="1", PYTHONHASHSEED="1")
    assert len(one) == 64
    assert one == elsewhere(0, OMP_NUM_THREADS="3", PYTHONHASHSEED="2") == digest(2)
