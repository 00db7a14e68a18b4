from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.features.matrix import build_matrix, model_frame
from churnlib.modelling.engine import contributions, margins
from churnlib.modelling.reasons import reason_columns
from churnlib.modelling.scoring import probabilities, score, serve
from churnlib.modelling.training import Trained
from churnlib.spec import AS_OF, ID
from tests.builders import FIRST_AS_OF, accepted, labelled, spec, trained

COLUMNS = ["customer_id", "as_of", "probability", "margin", "percentile", "decile", "value_at_risk"] + [
    f"reason_{k}_{part}" for k in (1, 2, 3) for part in ("feature", "value", "contribution")
]


def with_spec(**changes: Any) -> Trained:
    model = trained()
    return Trained(**{**vars(model), "spec": spec(**changes)})


def test_a_prediction_has_the_columns_and_types_of_the_contract() -> None:
    frame = score(trained(), accepted(100)).frame
    assert frame.columns == COLUMNS
    assert frame.schema["decile"] == pl.Int8
    assert frame.schema[AS_OF] == pl.Date
    numbers = [name for name in COLUMNS[2:] if name != "decile" and not name.endswith(("_feature", "_value"))]
    assert {frame.schema[name] for name in numbers} == {pl.Float64()}


def test_rows_keep_their_order_and_every_row_has_a_score() -> None:
    rows = accepted(100).sample(fraction=1, shuffle=True, seed=1)
    frame = score(trained(), rows).frame
    assert frame.get_column(ID).equals(rows.get_column(ID))
    assert frame.select(COLUMNS[:6]).null_count().sum_horizontal().item() == 0


def test_probability_is_the_calibrated_margin() -> None:
    model, rows = trained(), accepted(100)
    frame = score(model, rows).frame
    expected = margins(model.booster, build_matrix(rows, model.spec, model.state))
    np.testing.assert_array_equal(frame["margin"], expected)
    np.testing.assert_array_equal(frame["probability"], model.calibration.apply(expected))
    assert probabilities(model, rows).equals(frame["probability"])


def test_the_riskiest_has_percentile_100_and_decile_1() -> None:
    frame = score(trained(), accepted(100)).frame.sort("margin")
    assert frame["percentile"][-1] == 100
    assert frame["percentile"][0] == pytest.approx(1)
    assert frame["decile"].is_sorted(descending=True)
    assert frame.group_by("decile").len()["len"].to_list() == [10] * 10


def test_equal_risks_share_a_percentile_and_deciles_stay_of_equal_size() -> None:
    rows = pl.concat([accepted(1)] * 40).with_columns(pl.Series(ID, [f"c{number:02d}" for number in range(40)]))
    frame = score(trained(), rows).frame
    assert frame["percentile"].unique().to_list() == [100]
    assert frame["decile"].to_list() == [1 + number // 4 for number in range(40)]


def test_one_customer_is_the_riskiest_of_the_batch() -> None:
    frame = score(trained(), accepted(1)).frame
    assert frame.select("percentile", "decile").row(0) == (100, 1)
    assert frame["reason_1_feature"][0] is not None


def test_value_at_risk_is_probability_times_value_and_null_where_that_is_null() -> None:
    rows = accepted(2).with_columns(monthly_charge=pl.Series([50.0, None]))
    frame = score(trained(), rows).frame
    assert frame["value_at_risk"][0] == pytest.approx(50 * frame["probability"][0])
    assert frame["value_at_risk"][1] is None
    assert score(with_spec(columns={"value": None}), rows).frame["value_at_risk"].null_count() == 2


def test_reasons_are_for_the_riskiest_share_only() -> None:
    frame = score(trained(), accepted(101)).frame.sort("margin", descending=True)
    assert frame["reason_1_feature"].is_not_null().to_list() == [True] * 11 + [False] * 90
    every = score(with_spec(reasons={"top_share": 1.0}), accepted(50)).frame
    assert every["reason_1_feature"].null_count() == 0
    nobody = score(trained(), accepted(50), reasons=False).frame
    assert nobody.columns == COLUMNS
    assert nobody["reason_1_feature"].null_count() == 50


def test_reasons_are_the_largest_contributions_with_the_customers_own_values() -> None:
    model, rows = with_spec(reasons={"top_share": 1.0, "top": 2}), accepted(30, seed=5)
    frame = score(model, rows).frame
    parts = contributions(model.booster, build_matrix(rows, model.spec, model.state))[:, :-1]
    values = model_frame(rows, model.spec)
    for row in range(30):
        strongest = sorted(range(6), key=lambda place: -abs(parts[row, place]))[:2]
        assert [frame[f"reason_{k}_feature"][row] for k in (1, 2)] == [values.columns[at] for at in strongest]
        assert [frame[f"reason_{k}_contribution"][row] for k in (1, 2)] == parts[row, strongest].tolist()
        value = values[row, strongest[0]]
        if isinstance(value, float):
            assert float(frame["reason_1_value"][row]) == pytest.approx(value, rel=1e-3)
        elif value is None:
            assert frame["reason_1_value"][row] == "missing"
    assert "reason_3_feature" not in frame.columns


def test_reason_values_are_short_texts() -> None:
    values = pl.DataFrame(
        {
            "number": [12.0, 29.85, 1 / 3, 1234567.891, None, -0.0],
            "text": ["two year", None, "", "ü", "a", "b"],
            "truth": [True, False, None, True, True, True],
        }
    )
    told = {
        name: reason_columns(np.eye(3)[[place] * 6], values, spec())["reason_1_value"].to_list()
        for place, name in enumerate(values.columns)
    }
    assert told["number"] == ["12", "29.85", "0.3333", "1234567.891", "missing", "0"]
    assert told["text"] == ["two year", "missing", "", "ü", "a", "b"]
    assert told["truth"] == ["true", "false", "missing", "true", "true", "true"]


def test_a_feature_without_influence_is_no_reason() -> None:
    values = pl.DataFrame({"a": [1.0], "b": [2.0]})
    told = reason_columns(np.array([[0.0, -0.5]]), values, spec())
    assert told.row(0) == ("b", "2", -0.5, None, None, None, None, None, None)


def test_unseen_categories_are_counted() -> None:
    rows = accepted(10).with_columns(plan=pl.lit("gold"))
    assert score(trained(), rows).unseen == {"plan": 10}


def test_no_rows_give_no_predictions() -> None:
    frame = score(trained(), accepted(1).head(0)).frame
    assert frame.columns == COLUMNS
    assert frame.is_empty()


def loose(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows as a request may bring them: text, integers, 0/1, datetimes; no id."""
    return rows.drop(ID).with_columns(
        pl.col("tenure_months").cast(pl.Int64),
        pl.col("monthly_charge").cast(pl.String) + " ",
        pl.col("support_calls").cast(pl.String).fill_null("NA"),
        pl.col("autopay").cast(pl.Int64),
        pl.col("signup_date").cast(pl.Datetime),
        pl.col(AS_OF).cast(pl.String),
    )


def test_served_rows_score_as_in_a_batch() -> None:
    rows = accepted(60, seed=8)
    batch = score(trained(), rows).frame.select("probability", "margin")
    served = serve(trained(), loose(rows), date(2030, 1, 1))
    assert served.equals(batch)
    one_by_one = pl.concat([serve(trained(), loose(rows)[[row]], date(2030, 1, 1)) for row in range(60)])
    assert one_by_one.equals(batch)


def test_served_rows_without_a_date_stand_as_of_today() -> None:
    model = with_age()
    rows = accepted(20)
    served = serve(model, loose(rows).drop(AS_OF), FIRST_AS_OF)
    assert served["margin"].equals(score(model, rows).frame["margin"])
    later = serve(model, loose(rows).drop(AS_OF), date(2030, 1, 1))
    assert not later["margin"].equals(served["margin"])


def with_age() -> Trained:
    """A model that sees the customer's age, so that the date matters."""
    from churnlib.modelling.training import train

    features = {
        "signup_date": {"type": "date", "input_only": True},
        "age_days": {"type": "number", "sql": "as_of - signup_date"},
        "autopay": {"type": "boolean"},
    }
    return train(labelled(800), spec(features=features, columns={"value": None}), threads=1)


def test_an_optional_column_that_is_absent_is_null_and_a_required_one_is_refused() -> None:
    model = with_spec(
        features={
            **{name: feature.model_dump() for name, feature in spec().features.items()},
            "plan": {"type": "category", "required": False},
        }
    )
    rows = accepted(10)
    served = serve(model, loose(rows).drop("plan"), FIRST_AS_OF)
    expected = score(model, rows.with_columns(plan=pl.lit(None, dtype=pl.String))).frame
    assert served["margin"].equals(expected["margin"])
    with pytest.raises(ChurnError, match="lack the column 'autopay', which 'telly' requires"):
        serve(model, loose(rows).drop("autopay"), FIRST_AS_OF)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("tenure_months", "many", "tenure_months: 3 of 3 values are no number"),
        ("autopay", "perhaps", "autopay: 3 of 3 values are no boolean"),
        ("signup_date", "yesterday", "signup_date: 3 of 3 values are no date"),
        ("plan", [1, 2], "plan holds List"),
    ],
)
def test_a_served_value_of_the_wrong_type_is_refused_by_column(column: str, value: object, said: str) -> None:
    rows = loose(accepted(3)).with_columns(pl.Series(column, [value] * 3))
    with pytest.raises(ChurnError, match=said):
        serve(trained(), rows, FIRST_AS_OF)
