"""Two versions are compared on rows that neither learned from; what cannot be is said, and the rest is there."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from churnlib.errors import ChurnError, FileRefused, ServiceUnavailable
from churnlib.modelling.release import Content, Evaluation, write_release
from churnlib.modelling.training import Trained
from churnlib.records import Transition
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.comparing import Compared, compare_versions
from churnlib.usecases.comparing_rows import MAX_ROWS
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import score_file
from tests import builders
from tests.loops import MODEL, Loop, as_delivered, batch_frame, outcomes_of, run, small_spec, week, write_spec


def ticking() -> float:
    return next(_TICKS) / 1000


_TICKS = count()


def add(loop: Loop, folder: Path, model: Trained | Content, key: str = "second") -> int:
    release = write_release(folder / key, model, lineage=builders.lineage(), parts={})
    return loop.register(release, key=key, alias=None)


def look(loop: Loop, *, data: Path | None = None, page: Path | None = None, second: int = 2) -> Compared:
    return compare_versions(
        loop.services, run(), model=MODEL, first=1, second=second, timer=ticking, data=data, page=page
    )


def labelled_file(loop: Loop, frame: pl.DataFrame, name: str = "labelled.csv") -> Path:
    path = loop.folder / name
    as_delivered(frame).write_csv(path)
    return path


def delivered(model: Trained) -> Content:
    """The same trees as somebody else would hand them over: without metrics, rows or dates."""
    evaluation = {"test": None, "auc_interval": None, "rounds": 60, "split_kind": "delivered", "split_text": ""}
    return Content(
        spec=model.spec,
        booster=model.booster,
        state=model.state,
        calibration=model.calibration,
        evaluation=Evaluation.model_validate({**evaluation, "train_rows": None, "validation_rows": None}),
        candidates=builders.accepted(100),
        cutoff=None,
    )


def needing(model: Trained, name: str) -> Content:
    """The same trees, of a spec that reads one more column for an expression."""
    spec = small_spec(
        features={
            **{each: feature.model_dump(exclude_defaults=True) for each, feature in small_spec().features.items()},
            name: {"type": "number", "input_only": True},
        }
    )
    candidates = builders.accepted(100).with_columns(pl.lit(1.0).alias(name))
    content = delivered(model)
    return Content(
        spec=spec,
        booster=content.booster,
        state=content.state,
        calibration=content.calibration,
        evaluation=content.evaluation,
        candidates=candidates,
        cutoff=week(-2),
    )


@pytest.fixture
def pair(lived: Loop, tmp_path: Path) -> Loop:
    """Version 1 learned up to week -2 (horizon 7 days), version 2 up to week 0 (horizon 28 days)."""
    add(lived, tmp_path, builders.trained())
    return lived


def test_only_snapshots_later_than_both_cutoffs_by_the_horizon_judge(pair: Loop) -> None:
    found = look(pair).found
    assert found.measured is not None
    evidence = found.measured.evidence
    assert (evidence.first_as_of, evidence.last_as_of, evidence.rows) == (week(4), week(4), 300)
    assert evidence.positives == outcomes_of(batch_frame(4), turned=True)[LABEL].sum()
    assert found.measured.notes == ()
    assert found.gaps == ()
    assert found.speed is not None
    assert found.calls is not None
    assert found.calls.whole.listed_first == 30


def test_swapped_versions_give_the_mirror_image(pair: Loop) -> None:
    there = look(pair).found.measured
    back = compare_versions(pair.services, run(), model=MODEL, first=2, second=1, timer=ticking).found.measured
    assert there is not None
    assert back is not None
    for one in there.measures:
        other = back.measure(one.key)
        assert (one.first, one.second) == (other.second, other.first)
        if one.difference is not None and other.difference is not None:
            assert one.difference.low == pytest.approx(-other.difference.high)


def test_a_model_with_itself_under_two_numbers_differs_in_nothing(lived: Loop, release: Path) -> None:
    lived.register(release, key="twin", alias=None)
    found = look(lived).found
    assert found.measured is not None
    assert found.measured.evidence.rows == 1500
    gap = found.measured.measure("auc").difference
    assert gap is not None
    assert (gap.low, gap.estimate, gap.high) == (0, 0, 0)
    assert found.settings == ()
    assert found.calls is not None
    assert found.calls.whole.entered == 0


def test_the_page_is_written_and_kept_with_the_second_version(pair: Loop, tmp_path: Path) -> None:
    compared = look(pair, page=tmp_path / "deep" / "page.html")
    assert compared.artifacts == ("comparisons/v1-v2.json", "comparisons/v1-v2.html")
    assert pair.registry.artifacts(MODEL, 2) == list(compared.artifacts)
    assert pair.registry.artifacts(MODEL, 1) == []
    assert compared.page is not None
    assert "</html>" in compared.page.read_text()


def test_without_matplotlib_a_page_is_refused_and_the_numbers_are_kept(
    pair: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("churnlib.governance.side_by_side_pictures.is_there", lambda: False)
    with pytest.raises(ChurnError, match="needs matplotlib") as refused:
        look(pair, page=tmp_path / "page.html")
    assert "pip install 'churnlib[reports]'" in refused.value.hint
    compared = look(pair)
    assert compared.artifacts == ("comparisons/v1-v2.json",)
    assert "churnlib[reports]" in compared.note


def test_without_outcomes_call_lists_and_what_needs_no_rows_are_there(loop: Loop, tmp_path: Path) -> None:
    add(loop, tmp_path, builders.trained())
    score_file(loop.services, run(), model=MODEL, path=loop.deliver(batch_frame(0), "0.csv"))
    found = look(loop).found
    assert found.measured is None
    assert [gap.what for gap in found.gaps] == ["metrics"]
    assert f"{week(4)} or later" in found.gaps[0].why
    assert "v2 learned up to 2025-01-06" in found.gaps[0].why
    assert "none are known yet" in found.gaps[0].why
    assert "--data FILE" in found.gaps[0].way_out
    assert found.calls is not None
    assert found.speed is not None
    assert found.importance
    assert found.lineage


def test_outcomes_that_are_too_early_are_named(pair: Loop, tmp_path: Path) -> None:
    add(pair, tmp_path, builders.trained(weeks=9), key="late")
    found = look(pair, second=3).found
    assert found.measured is None
    assert f"the newest known ones are of {week(4)}" in found.gaps[0].why


def test_with_no_rows_at_all_two_gaps_say_so_and_the_probe_is_timed(loop: Loop, tmp_path: Path) -> None:
    add(loop, tmp_path, builders.trained())
    found = look(loop).found
    assert [gap.what for gap in found.gaps] == ["metrics", "call list"]
    assert found.calls is None
    assert found.speed is not None
    assert found.speed.source == "probe rows"
    trees = len(loop.services.release(MODEL, 1).booster.get_dump())
    assert {pair.name: pair.first for pair in found.footprint}["trees"] == trees


def test_versions_whose_probes_lack_each_others_columns_are_not_timed(loop: Loop, tmp_path: Path) -> None:
    add(loop, tmp_path, needing(builders.trained(), "one"), key="one")
    add(loop, tmp_path, needing(builders.trained(), "two"), key="two")
    found = compare_versions(loop.services, run(), model=MODEL, first=2, second=3, timer=ticking).found
    assert found.speed is None
    assert [gap.what for gap in found.gaps] == ["metrics", "call list", "speed"]


def test_a_delivered_version_without_metrics_rows_or_dates_is_compared(lived: Loop, tmp_path: Path) -> None:
    release = builders.trained()
    story = builders.lineage(
        rows=None, first_as_of=None, last_as_of=None, created_at=lived.clock() - timedelta(days=14)
    )
    folder = write_release(tmp_path / "delivered", delivered(release), lineage=story, parts={})
    lived.register(folder, key="delivered", alias=None)
    found = look(lived, page=tmp_path / "page.html").found
    assert found.measured is not None
    assert found.measured.evidence.first_as_of == week(3)
    assert "Nobody here knows what v2 learned from" in found.measured.notes[0]
    origin = {pair.name: pair.second for pair in found.lineage}
    assert (origin["rows"], origin["first date"], origin["learned up to"]) == (None, None, None)
    assert all(pair.second is None for pair in found.own)
    text = (tmp_path / "page.html").read_text()
    assert "not measured" in text
    assert "unknown" in text


def test_the_training_file_judges_by_the_customers_that_were_held_out(empty: Loop) -> None:
    path = labelled_file(empty, builders.labelled(1500))
    for depth in (2, 3):
        write_spec(empty.folder / "models", small_spec(training={"max_depth": depth}))
        train_from_file(empty.services, run(f"run-{depth}"), model=MODEL, path=path)
    found = look(empty, data=path).found
    test = empty.services.release(MODEL, 2).metrics
    assert found.measured is not None
    assert test is not None
    assert found.measured.evidence.rows == test.rows == 300
    assert found.measured.measure("auc").second == pytest.approx(test.auc, abs=1e-12)
    assert "1,200 of 1,500 rows are left out" in found.measured.notes[-1]
    assert {pair.name for pair in found.settings} >= {"training.max_depth"}


def test_a_file_of_before_the_cutoffs_measures_nothing_and_says_why(pair: Loop) -> None:
    early = builders.labelled(60).with_columns(pl.lit(week(-8)).alias(AS_OF))
    found = look(pair, data=labelled_file(pair, early)).found
    assert found.measured is None
    assert "may have learned from each of the 60 rows of labelled.csv" in found.gaps[0].why
    assert found.calls is not None


def test_a_later_file_counts_whole(pair: Loop) -> None:
    later = builders.accepted(400, seed=9, as_of=week(5))
    path = labelled_file(pair, later.join(outcomes_of(later), on=[ID, AS_OF]))
    found = look(pair, data=path).found
    assert found.measured is not None
    assert (found.measured.evidence.rows, found.measured.source) == (400, "labelled.csv")


def test_a_file_without_a_column_of_either_version_is_refused_by_name(pair: Loop, tmp_path: Path) -> None:
    add(pair, tmp_path, needing(builders.trained(), "extra"), key="more")
    with pytest.raises(FileRefused, match="no column 'extra', which v3 reads") as refused:
        look(pair, second=3, data=labelled_file(pair, builders.labelled(300)))
    assert "Add the column" in refused.value.hint


def test_snapshots_without_a_column_of_either_version_are_named_and_the_rest_is_there(
    pair: Loop, tmp_path: Path
) -> None:
    add(pair, tmp_path, needing(builders.trained(), "extra"), key="more")
    found = look(pair, second=3).found
    assert found.measured is None
    assert "lacks 'extra', which v3 reads and v1 does not" in found.gaps[0].why
    assert "input_only = true" in found.gaps[0].way_out
    assert found.importance
    assert ("features.extra", None) in {(each.name, each.first) for each in found.settings}


def test_versions_that_read_different_columns_are_compared_on_a_file_with_both(pair: Loop, tmp_path: Path) -> None:
    add(pair, tmp_path, needing(builders.trained(), "extra"), key="more")
    later = builders.accepted(400, seed=9, as_of=week(5)).with_columns(pl.lit(2.0).alias("extra"))
    path = labelled_file(pair, later.join(outcomes_of(later), on=[ID, AS_OF]))
    found = look(pair, second=3, data=path).found
    assert found.measured is not None
    assert found.measured.evidence.rows == 400


def test_one_class_alone_is_a_gap_and_no_failure(pair: Loop) -> None:
    nobody = outcomes_of(batch_frame(4)).with_columns(pl.lit(value=False).alias(LABEL))
    pair.know(nobody, known_at=week(5), file_id="nobody-left")
    found = look(pair).found
    assert found.measured is None
    assert "0 of 300 rows churned" in found.gaps[0].why


def test_a_snapshot_that_is_too_large_is_thinned_by_whole_customers(
    pair: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_ROWS > 300
    monkeypatch.setattr("churnlib.usecases.comparing_rows.MAX_ROWS", 100)
    found = look(pair).found
    assert found.measured is not None
    assert 60 < found.measured.evidence.rows < 140
    again = look(pair).found.measured
    assert again is not None
    assert again.evidence == found.measured.evidence


def test_the_same_version_twice_is_refused(pair: Loop) -> None:
    with pytest.raises(ChurnError, match="Version 1 of telly cannot be compared with itself"):
        look(pair, second=1)


def test_a_version_that_is_not_there_is_named_with_those_that_are(pair: Loop) -> None:
    with pytest.raises(ChurnError, match="no version 9; it has v1, v2"):
        look(pair, second=9)


def test_whose_word_it_was_is_told_by_the_ledger(pair: Loop) -> None:
    move = Transition(
        model=MODEL, kind="challenger", from_version=None, to_version=2, who="ann", why="x", at=pair.clock()
    )
    with pair.services.ledger.begin() as tx:
        tx.append_transition(move)
    who = next(each for each in look(pair).found.lineage if each.name == "who")
    assert (who.first, who.second) == (None, "ann")


def test_a_registry_that_takes_no_artifact_does_not_lose_the_comparison(
    pair: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise ServiceUnavailable("MLflow is down.", hint="Start it.")

    monkeypatch.setattr(pair.registry, "log_artifact", down)
    compared = look(pair)
    assert compared.artifacts == ()
    assert "not kept in MLflow: MLflow is down." in compared.note
    assert compared.found.measured is not None


def test_the_json_in_mlflow_is_the_whole_comparison(pair: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, str] = {}

    def keep(model: str, version: int, file: Path, folder: str) -> None:
        kept[file.name] = file.read_text()

    monkeypatch.setattr(pair.registry, "log_artifact", keep)
    found = look(pair).found
    assert json.loads(kept["v1-v2.json"]) == found.model_dump(mode="json")
