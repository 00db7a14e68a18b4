"""What is measured about two versions, and what cannot be measured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.governance.comparison import Evidence, compare, markdown, summary
from churnlib.modelling.metrics import auc
from churnlib.spec import AS_OF, ID, Spec, parse_spec

CUTOFF = date(2026, 1, 5)
LATER = CUTOFF + timedelta(days=7)

Compare = Callable[..., Evidence]


def _spec(**promotion: Any) -> Spec:
    content = {
        "name": "box",
        "horizon_days": 7,
        "columns": {"id": "id", "value": "worth"},
        "features": {
            "plan": {"type": "category"},
            "street": {"type": "category"},
            "worth": {"type": "number", "input_only": True},
        },
        "promotion": {"bootstrap_rounds": 100, "min_slice_rows": 500, **promotion},
    }
    return parse_spec(content, source="test")


def _rows(count: int, as_of: date = LATER) -> pl.DataFrame:
    number = pl.int_range(count, eager=True)
    return pl.DataFrame(
        {
            ID: number.cast(pl.String),
            AS_OF: [as_of] * count,
            "plan": [["small", "large", None][n % 3] for n in range(count)],
            "street": ("street " + (number % 40).cast(pl.String)),
            "worth": [100.0] * count,
        }
    )


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray]:
    """True probabilities of 4,000 customers, calibrated by construction, and who left."""
    rng = np.random.default_rng(1)
    truth = 1 / (1 + np.exp(2.2 - 1.3 * rng.normal(size=4_000)))
    return rng.random(4_000) < truth, truth


def _blurred(truth: np.ndarray, seed: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1.5, len(truth))
    return np.asarray(1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + noise))))


def _compare(churned: np.ndarray, old: np.ndarray | None, new: np.ndarray, **changes: Any) -> Evidence:
    arguments: dict[str, Any] = {
        "churned": churned,
        "champion_probability": old,
        "challenger_probability": new,
        "rows": _rows(len(churned)),
        "spec": _spec(),
        "champion": None if old is None else 1,
        "challenger": 2,
        "cutoff": CUTOFF,
    }
    return compare(**{**arguments, **changes})


def test_a_better_challenger_shows_by_how_much(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth)
    assert evidence.difference is not None
    assert evidence.champion_metrics is not None
    assert evidence.difference.low > 0
    gain = evidence.challenger_metrics.auc - evidence.champion_metrics.auc
    assert evidence.difference.estimate == pytest.approx(gain)
    assert (evidence.rows, evidence.positives) == (4_000, churned.sum())
    assert (evidence.first_as_of, evidence.last_as_of, evidence.cutoff) == (LATER, LATER, CUTOFF)


def test_a_worse_challenger_shows_as_worse(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, truth, _blurred(truth))
    assert evidence.difference is not None
    assert evidence.difference.high < 0
    assert summary(evidence).startswith("ranks worse: AUC ")


def test_identical_scores_differ_by_nothing_and_change_no_call(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, truth, truth.copy())
    assert evidence.difference is not None
    assert evidence.call_list is not None
    difference = evidence.difference
    assert (difference.estimate, difference.low, difference.high) == (0, 0, 0)
    assert evidence.call_list.entered == 0
    assert summary(evidence).startswith("ranks about the same: AUC ")


def test_without_a_champion_only_the_challenger_is_measured(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, None, truth)
    compared = (evidence.champion, evidence.champion_metrics, evidence.difference, evidence.call_list)
    assert compared == (None, None, None, None)
    assert {(part.auc_champion, part.difference) for part in evidence.slices} == {(None, None)}
    assert evidence.challenger_auc.low < evidence.challenger_metrics.auc < evidence.challenger_auc.high
    assert summary(evidence).startswith("has no champion to beat: AUC ")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: np.where(np.arange(len(p)) < 3, np.nan, p), "3 of 4000 scores of the challenger v2"),
        (lambda p: p * 3, "scores of the challenger v2 are missing or no probability"),
        (lambda p: np.full_like(p, 0.07), "all 4000 customers the same score 0.070"),
        (lambda p: p[:-1], "3999 scores for 4000 rows"),
    ],
)
def test_broken_challenger_scores_are_refused(
    world: tuple[np.ndarray, np.ndarray], spoil: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    churned, truth = world
    with pytest.raises(ChurnError, match=said):
        _compare(churned, _blurred(truth), spoil(truth))


def test_missing_champion_scores_are_refused(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    with pytest.raises(ChurnError, match="champion v1"):
        _compare(churned, np.full_like(truth, np.nan), truth)


def test_a_champion_without_scores_is_not_taken_for_no_champion(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    with pytest.raises(ChurnError, match="no scores"):
        _compare(churned, None, truth, champion=1)


def test_a_constant_champion_can_be_beaten(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, np.full_like(truth, 0.1), truth)
    assert evidence.champion_metrics is not None
    assert evidence.champion_metrics.auc == 0.5


def test_outcomes_of_another_length_are_refused(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    with pytest.raises(ChurnError, match="3990 outcomes for 4000 rows"):
        _compare(churned[:3_990], truth, truth, rows=_rows(4_000))


def test_one_class_is_refused(world: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = world
    with pytest.raises(ChurnError):
        _compare(np.zeros(len(truth), dtype=bool), _blurred(truth), truth)


def test_no_rows_are_refused() -> None:
    nothing = np.zeros(0)
    with pytest.raises(ChurnError, match="no rows"):
        _compare(nothing.astype(bool), nothing, nothing)


def test_rows_within_the_horizon_of_the_cutoff_are_refused(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    with pytest.raises(ChurnError, match="4000 of 4000 rows are not 7 days after 2026-01-05"):
        _compare(churned, _blurred(truth), truth, rows=_rows(4_000, CUTOFF + timedelta(days=6)))


def test_rows_held_out_by_customer_have_no_cutoff(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth, rows=_rows(4_000, CUTOFF), cutoff=None)
    assert "4,000 held-out customers" in summary(evidence)


def test_slices_are_values_of_categories_with_few_levels(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    found = _compare(churned, _blurred(truth), truth).slices
    assert [(part.feature, part.value) for part in found] == [
        ("plan", "(missing)"),
        ("plan", "large"),
        ("plan", "small"),
    ]
    assert sum(part.rows for part in found) == 4_000
    assert sum(part.positives for part in found) == churned.sum()


def test_a_slice_has_the_auc_of_its_own_rows(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    part = _compare(churned, _blurred(truth), truth).slices[2]
    small = np.arange(4_000) % 3 == 0
    assert part.auc_challenger == auc(churned[small], truth[small])
    assert part.auc_champion == auc(churned[small], _blurred(truth)[small])


def test_small_slices_are_shown_and_not_judged(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth, spec=_spec(min_slice_rows=2_000))
    assert len(evidence.slices) == 3
    assert all(part.difference is None for part in evidence.slices)
    assert "slices" not in markdown(evidence)


def test_the_call_list_is_the_riskiest_tenth_of_each_snapshot() -> None:
    early, late = _rows(100), _rows(50, LATER + timedelta(days=7))
    churned = np.zeros(150, dtype=bool)
    churned[[0, 10, 100]] = True
    old = np.linspace(0.9, 0.1, 150)  # lists customers 0 to 9 of the first date, and 0 to 4 of the second
    new = old.copy()
    new[10] = 0.95  # enters, and 9 leaves
    calls = _compare(churned, old, new, rows=pl.concat([early, late])).call_list
    assert calls is not None
    assert (calls.listed, calls.entered) == (15, 1)
    assert (calls.churned_champion, calls.churned_challenger) == (2, 3)
    assert (calls.value_champion, calls.value_challenger) == (200.0, 300.0)


def test_without_a_value_column_no_value_is_invented(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    plain = _spec()
    plain = plain.model_copy(update={"columns": plain.columns.model_copy(update={"value": None})})
    calls = _compare(churned, _blurred(truth), truth, spec=plain).call_list
    assert calls is not None
    assert (calls.value_champion, calls.value_challenger) == (None, None)


def test_a_missing_value_counts_as_nothing(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    rows = _rows(4_000).with_columns(worth=pl.lit(None, pl.Float64))
    calls = _compare(churned, _blurred(truth), truth, rows=rows).call_list
    assert calls is not None
    assert calls.value_challenger == 0.0


def test_the_digest_survives_storage_and_changes_with_any_number(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth)
    assert Evidence.model_validate_json(evidence.model_dump_json()).digest == evidence.digest
    assert evidence.model_copy(update={"rows": evidence.rows + 1}).digest != evidence.digest
    assert _compare(churned, _blurred(truth), truth).digest == evidence.digest


def test_the_summary_is_one_sentence_with_the_numbers(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth)
    assert evidence.champion_metrics is not None
    assert evidence.difference is not None
    new = evidence.challenger_metrics
    assert summary(evidence) == (
        f"ranks better: AUC {evidence.champion_metrics.auc:.3f} -> {new.auc:.3f}, "
        f"{evidence.difference.low:+.3f} to {evidence.difference.high:+.3f} on 4,000 later customers; "
        f"calibration error {new.calibration_error:.3f}"
    )


def test_the_table_names_versions_dates_and_evidence(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    evidence = _compare(churned, _blurred(truth), truth)
    text = markdown(evidence)
    for part in ("champion v1", "challenger v2", "2026-01-05", "2026-01-12", evidence.digest[:12], "Call list"):
        assert part in text
    assert "no champion" in markdown(_compare(churned, None, truth))


def test_a_slice_value_cannot_break_the_table(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    rows = _rows(4_000).with_columns(plan=pl.lit("a|`b`\n# c"))
    lines = markdown(_compare(churned, _blurred(truth), truth, rows=rows)).splitlines()
    row = next(line for line in lines if "plan = " in line)
    assert row.startswith(r"| `plan = a\|'b' # c` | 4,000 |")


def test_a_long_slice_value_is_cut(world: tuple[np.ndarray, np.ndarray]) -> None:
    churned, truth = world
    rows = _rows(4_000).with_columns(plan=pl.lit("x" * 500))
    (part,) = _compare(churned, _blurred(truth), truth, rows=rows).slices
    assert part.name == "plan = " + "x" * 50 + "..."


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_swapping_the_versions_swaps_the_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    churned, a, b = rng.random(300) < 0.3, rng.random(300), rng.random(300)
    one, other = _compare(churned, a, b).difference, _compare(churned, b, a).difference
    assert one is not None
    assert other is not None
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.low == pytest.approx(-other.high)
