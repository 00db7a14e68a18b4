"""A release: one folder with all that scoring needs, checked by checksum and by its own probe."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl
from pydantic import BaseModel

from churnlib.errors import ChurnError, ReleaseCorrupt
from churnlib.features.state import FittedState
from churnlib.modelling.calibration import Calibration
from churnlib.modelling.evaluation import Evaluation
from churnlib.modelling.lineage import Lineage, rows_digest
from churnlib.modelling.manifest import FETCH_AGAIN, MANIFEST, Manifest, checksum, read_manifest, verified_files
from churnlib.modelling.metrics import Metrics
from churnlib.modelling.probe import first_mismatch, make_probe
from churnlib.modelling.training import Trained
from churnlib.spec import Spec

if TYPE_CHECKING:
    import xgboost

__all__ = [
    "Content",
    "Evaluation",
    "Lineage",
    "Manifest",
    "Release",
    "load_release",
    "rows_digest",
    "write_release",
]

BOOSTER, SPEC, FEATURES, CALIBRATION = "booster.ubj", "spec.json", "features.json", "calibration.json"
METRICS, PROBE, LINEAGE = "metrics.json", "probe.parquet", "lineage.json"

OWN_FILES = frozenset({BOOSTER, SPEC, FEATURES, CALIBRATION, METRICS, PROBE, LINEAGE})
"""Files of every release beside the manifest; parts have other names."""

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """A model that is to become a release, trained here or delivered.

    Attributes:
        candidates: accepted rows of which the probe is chosen.
        cutoff: last `as_of` that was learned from; None where it is not known.
    """

    spec: Spec
    booster: xgboost.Booster
    state: FittedState
    calibration: Calibration
    evaluation: Evaluation
    candidates: pl.DataFrame
    cutoff: date | None


@dataclass(frozen=True)
class Release:
    """A loaded and verified release.

    Attributes:
        evaluation: the whole measurement; `metrics` and `auc_interval` are of it.
        parts: files that others put in, by name, as bytes.
    """

    spec: Spec
    booster: xgboost.Booster
    state: FittedState
    calibration: Calibration
    evaluation: Evaluation
    lineage: Lineage
    parts: Mapping[str, bytes]
    manifest: Manifest

    @property
    def metrics(self) -> Metrics | None:
        """Measured once, on the test part; None where nothing was measured."""
        return self.evaluation.test

    @property
    def auc_interval(self) -> tuple[float, float] | None:
        """Bootstrap interval of the test AUC, where there is one."""
        return self.evaluation.auc_interval

    @property
    def cutoff(self) -> date | None:
        """Last `as_of` that was learned from; None where it is not known."""
        return self.manifest.cutoff


def write_release(
    folder: Path, trained: Trained | Content, *, lineage: Lineage, parts: Mapping[str, bytes]
) -> Path:
    """Write a release into a folder that is empty or not there yet; returns the folder.

    The manifest comes last, so that a folder that was left half-way is no release. The same model
    gives the same bytes, but for `manifest.json` and `lineage.json`, which say when.

    Args:
        folder: where.
        trained: the model.
        lineage: where it came from.
        parts: further files by plain name, such as the drift reference; kept as they are.

    Raises:
        ChurnError: the folder has files in it, or a part has the name of a file of the release's own.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ChurnError(f"{folder} is not empty.", hint="Write each release into a folder of its own.")
    for name in parts:
        if name in OWN_FILES or name == MANIFEST or Path(name).name != name:
            raise ChurnError(f"A release cannot have a part {name!r}.", hint="Use another plain file name.")
    folder.mkdir(parents=True, exist_ok=True)
    content = trained if isinstance(trained, Content) else _content(trained)
    files = {**_own_files(content, lineage), **parts}
    for name, written in files.items():
        (folder / name).write_bytes(written)
    manifest = Manifest(
        model=content.spec.name,
        cutoff=content.cutoff,
        created_at=lineage.created_at,
        code_version=lineage.code_version,
        libraries=lineage.libraries,
        files={name: checksum(written) for name, written in sorted(files.items())},
    )
    (folder / MANIFEST).write_bytes(_json(manifest))
    return folder


def load_release(folder: Path) -> Release:
    """Load a release, if it is complete, unchanged, and still scores its probe as it did.

    Nothing in it is run.

    Raises:
        ReleaseCorrupt: a file is missing, extra, changed or unreadable, or a probe row scores differently;
            file or row are named.
    """
    manifest = read_manifest(folder)
    files = verified_files(folder, manifest)
    for name in sorted(OWN_FILES - set(files)):
        raise ReleaseCorrupt(f"{folder / name} is missing.", hint=FETCH_AGAIN)
    release = Release(
        spec=_read(folder / SPEC, lambda: Spec.model_validate_json(files[SPEC])),
        booster=_read(folder / BOOSTER, lambda: _booster(files[BOOSTER])),
        state=_read(folder / FEATURES, lambda: FittedState.model_validate_json(files[FEATURES])),
        calibration=_read(folder / CALIBRATION, lambda: Calibration.model_validate_json(files[CALIBRATION])),
        evaluation=_read(folder / METRICS, lambda: Evaluation.model_validate_json(files[METRICS])),
        lineage=_read(folder / LINEAGE, lambda: Lineage.model_validate_json(files[LINEAGE])),
        parts={name: content for name, content in files.items() if name not in OWN_FILES},
        manifest=manifest,
    )
    _check_probe(folder / PROBE, release, files[PROBE])
    return release


def _content(trained: Trained) -> Content:
    parts = trained.split
    evaluation = Evaluation(
        test=trained.test,
        auc_interval=trained.test_auc_interval,
        rounds=trained.rounds,
        split_kind=parts.kind,
        split_text=parts.text,
        train_rows=parts.train.height,
        validation_rows=parts.validation.height,
    )
    return Content(
        spec=trained.spec,
        booster=trained.booster,
        state=trained.state,
        calibration=trained.calibration,
        evaluation=evaluation,
        candidates=pl.concat([parts.fitted, parts.test]),
        cutoff=parts.cutoff,
    )


def _own_files(content: Content, lineage: Lineage) -> dict[str, bytes]:
    probe = io.BytesIO()
    make_probe(content, content.candidates, content.spec.training.probe_rows).write_parquet(probe)
    return {
        BOOSTER: bytes(content.booster.save_raw("ubj")),
        SPEC: _json(content.spec),
        FEATURES: _json(content.state),
        CALIBRATION: _json(content.calibration),
        METRICS: _json(content.evaluation),
        PROBE: probe.getvalue(),
        LINEAGE: _json(lineage),
    }


def _json(model: BaseModel) -> bytes:
    return (model.model_dump_json(indent=2) + "\n").encode()


def _booster(content: bytes) -> xgboost.Booster:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    return booster


def _read(path: Path, parse: Callable[[], T]) -> T:
    # Whatever a parser says about a file with the right checksum: this version cannot read it.
    try:
        return parse()
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ReleaseCorrupt(f"{path} cannot be read: {first_line}.", hint=FETCH_AGAIN) from error


def _check_probe(path: Path, release: Release, content: bytes) -> None:
    probe = _read(path, lambda: pl.read_parquet(io.BytesIO(content)))
    try:
        mismatch = first_mismatch(release, probe)
    except (ChurnError, pl.exceptions.PolarsError) as error:
        raise ReleaseCorrupt(f"{path} cannot be scored: {error}", hint=FETCH_AGAIN) from error
    if mismatch is not None:
        raise ReleaseCorrupt(
            f"{path}, row {mismatch.row}: the {mismatch.what} is {mismatch.found:.7g}, "
            f"not {mismatch.expected:.7g} as it was.",
            hint="The model or a library changed; install the versions of the release's lineage.json, "
            "or roll back to the version before (churn rollback).",
        )
