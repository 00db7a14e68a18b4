from __future__ import annotations

from pathlib import Path

from churnlib.modelling.plots import write_plots
from churnlib.modelling.training import train
from tests.builders import labelled, spec, trained


def test_three_pictures_of_readable_size_are_written(tmp_path: Path) -> None:
    from matplotlib.image import imread

    written = write_plots(tmp_path / "plots", trained())
    assert [path.name for path in written] == ["roc_pr.png", "calibration.png", "importance.png"]
    for path in written:
        picture = imread(path)
        assert picture.shape[0] > 400
        assert picture.shape[1] > 800
        assert len({tuple(pixel) for pixel in picture[::7, ::7, :3].reshape(-1, 3).tolist()}) > 5


def test_a_model_of_bare_leaves_has_pictures_too(tmp_path: Path) -> None:
    stumps = train(labelled(400), spec(training={"min_child_weight": 1e6}), threads=1)
    assert stumps.booster.get_score(importance_type="total_gain") == {}
    assert stumps.test.auc == 0.5
    assert all(path.stat().st_size > 5000 for path in write_plots(tmp_path, stumps))
