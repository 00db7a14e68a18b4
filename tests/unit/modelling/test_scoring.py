from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.features.matrix import build_matrix, model_frame
from churnlib.modelling.calibration import Calibration
from churnlib.modelling.engine import Evaluator, contributions, evaluator, margins
from churnlib.modelling.ranking import Ranking
from churnlib.modelling.reasons import reason_columns, reason_schema, sentence
from churnlib.modelling.scoring import (
    Scored,
    explained_rows,
    logit,
    margins_of,
    predictions_of,
    probabilities,
    score,
    serve,
)
from churnlib.modelling.training import Trained
from churnlib.spec import AS_OF, ID
from tests.builders import FEATURES, FIRST_AS_OF, accepted, labelled, spec, trained

COLUMNS = ["customer_id", "as_of", "probability", "margin", "percentile", "decile", "value_at_risk"] + [
    f"reason_{k}_{part}" for k in (1, 2, 3) for part in ("feature", "value", "log_odds")
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
    frame = score(with_spec(reasons={"top_share": 0.1}), rows.reverse()).frame
    assert frame["percentile"].unique().to_list() == [100]
    assert frame["decile"].to_list() == [1 + number // 4 for number in range(40)]  # by the order of the file
    assert frame["reason_1_feature"].is_not_null().to_list() == [True] * 4 + [False] * 36


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
    model = with_spec(reasons={"top_share": 0.1})
    frame = score(model, accepted(101)).frame.sort("margin", descending=True)
    assert frame["reason_1_feature"].is_not_null().to_list() == [True] * 11 + [False] * 90
    every = score(trained(), accepted(101)).frame.sort("margin", descending=True)
    assert every["reason_1_feature"].null_count() == 0
    assert every.head(11).equals(frame.head(11))
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
        assert [frame[f"reason_{k}_log_odds"][row] for k in (1, 2)] == parts[row, strongest].tolist()
        value = values[row, strongest[0]]
        if isinstance(value, float):
            assert float(frame["reason_1_value"][row]) == pytest.approx(value, rel=1e-3)
        elif value is None:
            assert frame["reason_1_value"][row] == "missing"
    assert "reason_3_feature" not in frame.columns


def reasons_of(values: pl.DataFrame, place: int) -> pl.DataFrame:
    """Reason columns where the feature at that place is each row's only reason."""
    places = np.full((values.height, 1), place, dtype=np.int32)
    return reason_columns(places, np.ones((values.height, 1), dtype=np.float32), values, spec())


def test_reason_values_are_short_texts() -> None:
    values = pl.DataFrame(
        {
            "number": [12.0, 29.85, 1 / 3, 1234567.891, None, -0.0],
            "text": ["two year", None, "", "ü", "a", "b"],
            "truth": [True, False, None, True, True, True],
        }
    )
    told = {
        name: reasons_of(values, place)["reason_1_value"].to_list() for place, name in enumerate(values.columns)
    }
    assert told["number"] == ["12", "29.85", "0.3333", "1234567.891", "missing", "0"]
    assert told["text"] == ["two year", "missing", "", "ü", "a", "b"]
    assert told["truth"] == ["true", "false", "missing", "true", "true", "true"]


def test_where_there_is_no_reason_left_the_columns_are_null() -> None:
    values = pl.DataFrame({"a": [1.0, 3.0], "b": [2.0, None]})
    told = reason_columns(np.array([[1, -1], [1, 0]]), np.array([[-0.5, 0.0], [0.25, -0.125]]), values, spec())
    assert told.row(0) == ("b", "2", -0.5, None, None, None, None, None, None)
    assert told.row(1) == ("b", "missing", 0.25, "a", "3", -0.125, None, None, None)
    assert told.schema == reason_schema(3)


def test_nobody_has_no_reasons() -> None:
    nobody = pl.DataFrame(schema={"a": pl.Float64, "b": pl.String})
    told = reason_columns(np.zeros((0, 2), dtype=np.int32), np.zeros((0, 2)), nobody, spec())
    assert told.is_empty()
    assert told.schema == reason_schema(3)


VALUES = st.none() | st.sampled_from(["", "a", "gold plan"])
NUMBERS = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 7.0])


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 12))
def test_every_reason_tells_its_own_rows_value(data: st.DataObject, rows: int) -> None:
    kinds = {"n0": NUMBERS, "k0": VALUES, "b0": st.none() | st.booleans(), "n1": NUMBERS}
    types = {"n0": pl.Float64, "k0": pl.String, "b0": pl.Boolean, "n1": pl.Float64}
    values = pl.DataFrame(
        {name: data.draw(st.lists(kind, min_size=rows, max_size=rows)) for name, kind in kinds.items()},
        schema=types,
    )
    row_of_places = st.permutations(range(4)).map(lambda order: order[:2]) | st.just([3, -1]) | st.just([-1, -1])
    drawn = data.draw(st.lists(row_of_places, min_size=rows, max_size=rows))
    places = np.array(drawn, dtype=np.int32).reshape(rows, 2)
    told = reason_columns(places, np.where(places < 0, 0.0, 1.5), values, spec())
    alone = {place: reasons_of(values, place)["reason_1_value"] for place in range(4)}
    for row, at in enumerate(drawn):
        for k, place in enumerate(at, start=1):
            expected = (values.columns[place], alone[place][row], 1.5) if place >= 0 else (None, None, None)
            assert told.select(f"^reason_{k}_.*$").row(row) == expected


def test_a_feature_without_influence_is_no_reason() -> None:
    model = with_spec(reasons={"top": 6})
    rows = accepted(40, seed=3)
    parts = contributions(model.booster, build_matrix(rows, model.spec, model.state))[:, :-1]
    frame = score(model, rows).frame
    told = [frame[f"reason_{k}_feature"].is_not_null().to_numpy() for k in range(1, 7)]
    np.testing.assert_array_equal(np.sum(told, axis=0), (parts != 0).sum(axis=1))


@pytest.mark.parametrize(
    ("feature", "value", "log_odds", "said"),
    [
        ("support_calls", "7", 0.3, "support calls in 90 days: 7, raises the risk"),
        ("tenure_months", "missing", 0.1, "tenure months: missing, raises the risk"),
        ("autopay", "true", -0.2, "autopay: yes, lowers the risk"),
        ("autopay", "false", 0.2, "autopay: no, raises the risk"),
        ("autopay", "missing", 0.2, "autopay: missing, raises the risk"),
        ("plan", "true", 0.2, "plan: true, raises the risk"),
        ("gone_since", "3", -1.0, "gone since: 3, lowers the risk"),
    ],
)
def test_a_reason_reads_as_a_sentence(feature: str, value: str, log_odds: float, said: str) -> None:
    features = {**FEATURES, "support_calls": {"type": "number", "label": "support calls in 90 days"}}
    assert sentence(spec(features=features), feature, value, log_odds) == said


def in_chunks(model: Trained, rows: pl.DataFrame, cuts: list[int], engine: Evaluator) -> Scored:
    """As a batch that is never in memory as a whole is scored."""
    chunks = [rows[start:stop] for start, stop in pairwise([0, *sorted(cuts), rows.height])]
    ranking, margins, unseen = Ranking(), [], Counter[str]()
    for chunk in chunks:
        margin, lost = margins_of(model, engine, chunk)
        margins.append(margin)
        ranking.add(margin)
        unseen.update(lost)
    explained, done, frames = explained_rows(model.spec, rows.height), 0, []
    for chunk, margin in zip(chunks, margins, strict=True):
        ranks = ranking.ranks(done, done + chunk.height)
        frames.append(predictions_of(model, engine, chunk, margin, ranks, explained=explained))
        done += chunk.height
    return Scored(pl.concat(frames), dict(unseen))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 90),
    st.lists(st.integers(0, 90), max_size=5),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from(["trees", "xgboost"]),
)
def test_cutting_a_batch_into_chunks_changes_no_value(rows: int, cuts: list[int], share: float, by: str) -> None:
    model = with_spec(reasons={"top_share": share})
    given_rows = accepted(rows, seed=11).with_columns(
        plan=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("gold")).otherwise("plan"),
        tenure_months=pl.col("tenure_months") // 24,  # so that there are ties
    )
    ready = evaluator(model.booster, rows=10**6, explained=10**6)
    engine = ready if by == "trees" else Evaluator(model.booster, None, None, by)
    assert (engine.explains is not None) == (by == "trees")
    whole = in_chunks(model, given_rows, [], engine)
    cut = in_chunks(model, given_rows, [min(at, rows) for at in cuts], engine)
    assert cut.frame.equals(whole.frame)
    assert cut.unseen == whole.unseen
    if by == "trees":  # `score` takes the engine that is ready
        scored = score(model, given_rows)
        assert scored.frame.equals(whole.frame)
        assert scored.unseen == whole.unseen


def test_chunks_large_enough_for_threads_change_no_value() -> None:
    model, rows = trained(), accepted(9_000, seed=2)
    engine = evaluator(model.booster, rows=10**6, explained=10**6)
    whole = in_chunks(model, rows, [], engine)
    assert in_chunks(model, rows, [100, 4_500], engine).frame.equals(whole.frame)


def test_log_odds_of_probabilities_rank_the_answers_of_two_models_together() -> None:
    calibration = Calibration(method="platt", slope=0.5, intercept=-1.0)
    margin = np.array([-40.0, -1.0, 0.0, 3.0])
    np.testing.assert_allclose(logit(calibration.apply(margin)), -1.0 + 0.5 * margin, rtol=1e-9)
    assert logit(np.array([0.0, 0.5, 1.0])).tolist() == [-np.inf, 0.0, np.inf]


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
