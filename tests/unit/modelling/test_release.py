from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from churnlib.errors import ChurnError, ReleaseCorrupt
from churnlib.modelling.probe import MARGIN, PROBABILITY
from churnlib.modelling.release import load_release, rows_digest, write_release
from churnlib.modelling.scoring import score, serve
from churnlib.spec import ID
from tests.builders import FIRST_AS_OF, accepted, labelled, lineage, trained

PARTS = {"reference.json": b'{"a": 1}', "reference_sample.parquet": b"PAR1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", trained(), lineage=lineage(), parts=PARTS)


def forge(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its checksum, as somebody would who knows how."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_loaded_release_is_what_was_written(folder: Path) -> None:
    model, release = trained(), load_release(folder)
    assert release.spec == model.spec
    assert release.state == model.state
    assert release.calibration == model.calibration
    assert release.metrics == model.test
    assert release.auc_interval == model.test_auc_interval
    assert release.lineage == lineage()
    assert release.cutoff == model.split.cutoff
    assert release.parts == PARTS
    assert release.evaluation.split_text == model.split.text
    assert release.booster.num_boosted_rounds() == model.rounds == release.evaluation.rounds


def test_a_loaded_release_scores_bit_for_bit_as_the_model_did(folder: Path) -> None:
    rows = accepted(200, seed=7)
    loaded = load_release(folder)
    assert score(loaded, rows, reasons=False).frame.equals(score(trained(), rows, reasons=False).frame)
    assert serve(loaded, rows, FIRST_AS_OF)["margin"].equals(score(trained(), rows).frame["margin"])


def test_a_loaded_release_has_the_reasons_that_the_model_had(folder: Path) -> None:
    rows = accepted(200, seed=7)
    both = [
        score(model, rows).frame.select(pl.col("^reason_.*_log_odds$"))
        for model in (load_release(folder), trained())
    ]
    assert_frame_equal(*both, abs_tol=1e-5)  # which engine explains, depends on what the process did before


def test_the_same_model_gives_the_same_bytes_but_for_the_files_that_say_when(folder: Path, tmp_path: Path) -> None:
    later = lineage(created_at="2026-01-01T00:00:00Z")
    other = write_release(tmp_path / "other", trained(), lineage=later, parts=PARTS)
    differ = {path.name for path in folder.iterdir() if path.read_bytes() != (other / path.name).read_bytes()}
    assert differ == {"manifest.json", "lineage.json"}


def test_nothing_in_it_is_a_pickle(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} == {".json", ".ubj", ".parquet"}


def test_the_probe_has_missing_values_and_extremes_and_no_ids(folder: Path) -> None:
    probe = pl.read_parquet(folder / "probe.parquet")
    rows = pl.concat([trained().split.fitted, trained().split.test])
    assert probe.height == trained().spec.training.probe_rows
    assert ID not in probe.columns
    assert probe["support_calls"].null_count() > 0
    assert probe["plan"].null_count() > 0
    for name in ("tenure_months", "monthly_charge", "support_calls"):
        assert (probe[name].min(), probe[name].max()) == (rows[name].min(), rows[name].max())
    spread = probe[PROBABILITY].max(), trained().test_scores["probability"].max()
    assert spread[0] == pytest.approx(spread[1], rel=0.5)


@pytest.mark.parametrize(
    "name", ["booster.ubj", "spec.json", "features.json", "probe.parquet", "lineage.json", "reference.json"]
)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ReleaseCorrupt, match=rf"{name} was changed: its checksum differs"):
        load_release(folder)


@pytest.mark.parametrize("name", ["booster.ubj", "reference.json", "metrics.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ReleaseCorrupt, match=rf"{name} is missing"):
        load_release(folder)


def test_an_extra_file_is_named(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"no")
    with pytest.raises(ReleaseCorrupt, match=r"model\.pkl is not in the manifest"):
        load_release(folder)


def test_a_file_of_its_own_that_the_manifest_forgot_is_named(folder: Path) -> None:
    (folder / "calibration.json").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["calibration.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ReleaseCorrupt, match=r"calibration\.json is missing"):
        load_release(folder)


def test_without_a_manifest_it_is_no_release(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    for place in (folder, tmp_path / "nowhere"):
        with pytest.raises(ReleaseCorrupt, match=r"has no manifest\.json"):
            load_release(place)


def test_a_format_of_the_future_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(ReleaseCorrupt, match=r"manifest\.json cannot be read: format"):
        load_release(folder)


def test_another_booster_with_a_right_checksum_fails_the_probe(folder: Path) -> None:
    forge(folder, "booster.ubj", bytes(trained(seed=5).booster.save_raw("ubj")))
    with pytest.raises(ReleaseCorrupt, match=r"probe\.parquet, row \d+: the margin is"):
        load_release(folder)


def test_other_codes_with_a_right_checksum_fail_the_probe(folder: Path) -> None:
    codes = json.loads((folder / "features.json").read_text())
    codes["codes"]["plan"].reverse()
    forge(folder, "features.json", json.dumps(codes).encode())
    with pytest.raises(ReleaseCorrupt, match=r"probe\.parquet, row \d+: the margin"):
        load_release(folder)


def test_another_calibration_with_a_right_checksum_fails_the_probe(folder: Path) -> None:
    forge(folder, "calibration.json", b'{"method": "platt", "slope": 1.0001, "intercept": 0.0}')
    with pytest.raises(ReleaseCorrupt, match=r"row \d+: the probability is"):
        load_release(folder)


def test_a_probe_that_differs_in_one_row_names_the_row(folder: Path) -> None:
    probe = pl.read_parquet(folder / "probe.parquet").with_row_index("row")
    moved = pl.when(pl.col("row") == 4).then(pl.col(MARGIN) + 1e-4).otherwise(MARGIN)
    buffer = io.BytesIO()
    probe.with_columns(moved.alias(MARGIN)).drop("row").write_parquet(buffer)
    forge(folder, "probe.parquet", buffer.getvalue())
    with pytest.raises(ReleaseCorrupt, match=r"probe\.parquet, row 4: the margin"):
        load_release(folder)


@pytest.mark.parametrize("name", ["booster.ubj", "spec.json", "probe.parquet"])
def test_rubbish_with_a_right_checksum_is_named(folder: Path, name: str) -> None:
    forge(folder, name, b"rubbish")
    with pytest.raises(ReleaseCorrupt, match=rf"{name} cannot be read"):
        load_release(folder)


def test_a_folder_with_files_is_not_written_into(folder: Path) -> None:
    with pytest.raises(ChurnError, match="is not empty"):
        write_release(folder, trained(), lineage=lineage(), parts={})


@pytest.mark.parametrize("name", ["booster.ubj", "manifest.json", "../escape.json", "a/b.json"])
def test_a_part_cannot_replace_a_file_or_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ChurnError, match="cannot have a part"):
        write_release(tmp_path / "release", trained(), lineage=lineage(), parts={name: b""})


def test_the_digest_changes_with_the_rows_and_not_with_their_order() -> None:
    rows = labelled(30)
    assert rows_digest(rows.reverse()) == rows_digest(rows)
    assert rows_digest(rows.head(29)) != rows_digest(rows)
    assert rows_digest(rows.with_columns(pl.col("churned").not_())) != rows_digest(rows)
    assert rows_digest(rows.rename({"plan": "tariff"})) != rows_digest(rows)
