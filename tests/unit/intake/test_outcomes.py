"""Which outcomes are taken, and when each counts as known."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from churnlib.errors import FileRefused
from churnlib.intake.outcomes import CheckedOutcomes, check_outcomes
from churnlib.spec import AS_OF, ID, KNOWN_AT, LABEL, parse_spec

TODAY = date(2026, 3, 2)
SPEC = parse_spec(
    {
        "name": "telco",
        "horizon_days": 30,
        "columns": {"id": "id", "label": "Churn", "positive": "Yes"},
        "input": {"max_bad_share": 0.9},
        "features": {"n": {"type": "number"}},
    },
    source="test",
)


def outcomes(**cells: list[Any]) -> CheckedOutcomes:
    return check_outcomes(pl.DataFrame(cells).lazy(), SPEC, source="outcomes.csv", today=TODAY)


def test_an_outcome_without_known_at_is_known_when_its_horizon_ends() -> None:
    found = outcomes(id=["1", "2"], as_of=["2026-01-01", "2026-02-20"], Churn=["Yes", "No"])
    assert found.outcomes.schema == {ID: pl.String, AS_OF: pl.Date, LABEL: pl.Boolean, KNOWN_AT: pl.Date}
    assert found.outcomes.rows() == [
        ("1", date(2026, 1, 1), True, date(2026, 1, 31)),
        ("2", date(2026, 2, 20), False, date(2026, 3, 22)),
    ]


def test_known_at_is_taken_where_it_stands() -> None:
    found = outcomes(id=["1", "2"], as_of=["2026-01-01"] * 2, Churn=["Yes", "No"], known_at=["2026-01-09", ""])
    assert found.outcomes[KNOWN_AT].to_list() == [date(2026, 1, 9), date(2026, 1, 31)]


def test_impossible_dates_and_missing_labels_are_quarantined() -> None:
    found = outcomes(
        id=["1", "2", "3", "4", "5", "", "1"],
        as_of=["2026-01-01", "2026-04-01", "x", "2026-01-01", "2026-01-01", "2026-01-01", "2026-01-01"],
        Churn=["Yes", "No", "No", None, "No", "No", "No"],
        known_at=["", "", "", "", "2025-12-31", "2027-01-01", ""],
    )
    assert found.outcomes[ID].to_list() == ["1"]
    assert found.quarantined["_reasons"].to_list() == [
        ["as_of: in the future"],
        ["as_of: not a date"],
        ["label: missing"],
        ["known_at: before as_of"],
        ["customer_id: missing", "known_at: in the future"],
        ["customer_id: duplicate"],
    ]
    assert found.rows == 7


def test_a_file_in_which_everybody_stayed_is_fine() -> None:
    assert not outcomes(id=["1"], as_of=["2026-01-01"], Churn=["No"]).outcomes[LABEL].any()


def test_outcomes_without_date_or_label_or_with_three_classes_are_refused() -> None:
    with pytest.raises(FileRefused, match="lacks a column: 'as_of'"):
        outcomes(id=["1"], Churn=["No"])
    with pytest.raises(FileRefused, match="no value in any row"):
        outcomes(id=["1"], as_of=["2026-01-01"], Churn=[None])
    with pytest.raises(FileRefused, match="3 classes"):
        outcomes(id=["1", "2", "3"], as_of=["2026-01-01"] * 3, Churn=["Yes", "No", "?"])
    with pytest.raises(FileRefused, match="never 'Yes'"):
        outcomes(id=["1", "2"], as_of=["2026-01-01"] * 2, Churn=["left", "stayed"])
