"""What inspection finds suspicious, what it leaves out, and that its spec loads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import FileRefused
from churnlib.intake.inspection import Inspection, inspect
from churnlib.intake.inspection_bars import bars_of
from churnlib.intake.inspection_columns import Column
from churnlib.intake.inspection_report import write_report
from churnlib.intake.lone_auc import lone_auc
from churnlib.intake.twins import twin_categories
from churnlib.spec import Spec, load_spec

ROWS = 400
CHURNED = np.random.default_rng(1).permutation(np.arange(ROWS) % 4 == 0)
REAL = {
    "telco": ("telco/telco_customer_churn.csv", "customerID", "Churn"),
    "bank": ("bank/churn_modelling.csv", "CustomerId", "Exited"),
    "ecommerce": ("ecommerce/ecommerce_churn.csv", "CustomerID", "Churn"),
    "telecom_mlc": ("telecom_mlc/mlc_churn.csv", "rownames", "churn"),
}


def looked_at(folder: Path, columns: dict[str, Any], **options: Any) -> tuple[Inspection, Spec]:
    random = np.random.default_rng(7)
    base = {
        "id": [f"c{row}" for row in random.permutation(ROWS)],
        "spend": random.normal(50, 9, ROWS).round(2),
        "churned_out": np.where(CHURNED, "Yes", "No"),
    }
    path = folder / "customers.csv"
    pl.DataFrame({**base, **columns}).write_csv(path)
    options = {"name": "shop", "id_column": "id", "label_column": "churned_out", **options}
    found = inspect(path, **options)
    (folder / "shop.toml").write_text(found.spec_text, encoding="utf-8")
    return found, load_spec(folder / "shop.toml")


def kinds(found: Inspection, column: str) -> set[str]:
    return {warning.kind for warning in found.warnings if warning.column == column}


def test_types_are_the_narrowest_that_fit_every_cell(tmp_path: Path) -> None:
    found, spec = looked_at(
        tmp_path,
        {
            "calls": ["", "1.5", "3", "NA"] * 100,
            "zip": ["01234", "99999"] * 200,
            "is_member": ["True", "false"] * 200,
            "plan": ["Yes", "No", "1", "2"] * 100,
            "tenure": [3, 9, 27, 81] * 100,
            "DaysSinceLastOrder": [3, 9, 27, 81] * 100,
        },
    )
    types = {name: feature.type for name, feature in spec.features.items()}
    assert types == {
        "spend": "number",
        "calls": "number",
        "zip": "category",
        "is_member": "boolean",
        "plan": "category",
        "tenure": "number",
        "DaysSinceLastOrder": "number",
    }
    assert spec.clocks == {"tenure"}
    assert found.features == len(spec.model_features) == 7
    assert all(feature.nullable and feature.categories is None for feature in spec.features.values())


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["same"] * ROWS, "constant"),
        ([None] * ROWS, "constant"),
        (list(range(100, 100 + ROWS)), "id_like"),
        ([f"name {row}" for row in range(ROWS)], "id_like"),
        ([f"g{row % 201}" for row in range(ROWS)], "id_like"),
        (np.where(CHURNED, 1.5, -1.5) + np.arange(ROWS) / ROWS, "leak"),
        (np.where(CHURNED, "closed", "open"), "leak"),
        (np.where(CHURNED, 1, np.arange(ROWS) % 2 * 2), "leak"),
        (["gone" if churned else None for churned in CHURNED], "one_class_only"),
        ([None if churned and row % 3 else row % 7 for row, churned in enumerate(CHURNED)], "one_class_only"),
        (["2026-01-01", "2026-02-01"] * 200, "date"),
    ],
)
def test_columns_that_serve_no_model_are_left_out_and_stand_as_comments(
    tmp_path: Path, column: Any, kind: str
) -> None:
    found, spec = looked_at(tmp_path, {"odd": column})
    assert kind in kinds(found, "odd")
    assert list(spec.features) == ["spend"]
    assert "\n# odd = {" in found.spec_text


def test_a_column_turned_on_again_loads(tmp_path: Path) -> None:
    found, _ = looked_at(tmp_path, {"odd": np.where(CHURNED, "closed", "open"), "a = b #": ["2026-01-01"] * ROWS})
    turned_on = found.spec_text.replace("\n# odd", "\nodd").replace('\n# "a =', '\n"a =')
    (tmp_path / "shop.toml").write_text(turned_on, encoding="utf-8")
    assert list(load_spec(tmp_path / "shop.toml").features) == ["spend", "odd", "a = b #"]


def test_few_missing_cells_of_one_class_are_chance(tmp_path: Path) -> None:
    column = [None if not churned and row < 14 else row % 7 for row, churned in enumerate(CHURNED)]
    found, spec = looked_at(tmp_path, {"odd": column})
    assert kinds(found, "odd") == set()
    assert "odd" in spec.features


def test_a_warning_alone_keeps_the_column(tmp_path: Path) -> None:
    found, spec = looked_at(
        tmp_path,
        {
            "charges": [" ", "1", "2", "3"] * 100,
            "plan": ["Phone", "mobile phone", "Mobile Phone", "TV"] * 100,
            "rare": [None] * 390 + [1, 2] * 5,
            "mixed": ["unknown"] * 4 + [str(row % 9) for row in range(ROWS - 4)],
        },
    )
    assert kinds(found, "charges") == {"blank_numbers"}
    assert kinds(found, "plan") == {"twin_categories"}
    assert kinds(found, "rare") == {"mostly_missing"}
    assert kinds(found, "mixed") == {"mixed_numbers"}
    assert list(spec.features) == ["spend", "charges", "plan", "rare", "mixed"]


def test_copies_and_repeated_ids_are_counted(tmp_path: Path) -> None:
    ids = [f"c{row}" for row in range(ROWS - 3)] + ["c0", "c1", "c2"]
    found, _ = looked_at(tmp_path, {"id": ids, "spend": [row % 50 for row in range(ROWS)]})
    messages = {warning.kind: warning.message for warning in found.warnings}
    assert messages["duplicate_ids"].startswith("3 rows repeat id")
    different = len({(row % 50, bool(churned)) for row, churned in enumerate(CHURNED)})
    assert messages["duplicates"].startswith(f"{ROWS - different} rows are copies")


def test_an_id_that_counts_rows_is_warned_of(tmp_path: Path) -> None:
    assert kinds(looked_at(tmp_path, {"id": range(1, ROWS + 1)})[0], "id") == {"row_number"}


@pytest.mark.parametrize(
    ("classes", "positive", "expected"),
    [
        (("Yes", "No"), None, "Yes"),
        (("No", "Yes"), None, "Yes"),
        ((1, 0), None, 1),
        (("True", "False"), None, "True"),
        (("gold", "silver"), None, "gold"),
        (("silver", "gold"), "GOLD", "gold"),
        (("Existing", "Exited"), None, "Exited"),
    ],
)
def test_the_positive_class_is_guessed_or_given(
    tmp_path: Path, classes: tuple[Any, Any], positive: str | None, expected: Any
) -> None:
    labels = [classes[0] if churned else classes[1] for churned in CHURNED]
    _, spec = looked_at(tmp_path, {"churned_out": labels}, positive=positive)
    assert spec.columns.positive == expected


def test_a_column_of_dates_called_as_of_is_found(tmp_path: Path) -> None:
    assert looked_at(tmp_path, {"as_of": ["2026-01-01"] * ROWS})[1].columns.as_of == "as_of"
    found, spec = looked_at(tmp_path, {"as_of": ["soon"] * ROWS})
    assert spec.columns.as_of is None
    assert "reserved" in kinds(found, "as_of")
    with pytest.raises(FileRefused, match="400 of 400 cells of 'spend' are no dates"):
        looked_at(tmp_path, {}, as_of_column="spend")


def test_delimiter_and_encoding_are_found_and_written_into_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"{row * 7 % 100};Orléans{row % 2};{row % 3 % 2}\n" for row in range(100))
    path.write_bytes(f"id;city;y\n{rows}".encode("latin-1"))
    found = inspect(path, name="a", id_column="id", label_column="y")
    assert {warning.kind for warning in found.warnings} >= {"delimiter", "encoding"}
    (tmp_path / "a.toml").write_text(found.spec_text, encoding="utf-8")
    how = load_spec(tmp_path / "a.toml").input
    assert (how.delimiter, how.encoding) == (";", "latin-1")


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({}, {"id_column": "Id"}, "no column 'Id' (is 'id' meant?)"),
        ({}, {"label_column": "id"}, "both the id and the label"),
        ({}, {"label_column": "spend"}, "classes instead of two"),
        ({}, {"positive": "maybe"}, "never 'maybe'"),
        ({"churned_out": ["No"] * ROWS}, {}, "only one class"),
        ({"spend": [1] * ROWS}, {}, "'spend' is '1.0' in every row"),
    ],
)
def test_files_without_a_question_to_learn_are_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(FileRefused) as caught:
        looked_at(tmp_path, columns, **options)
    assert said in caught.value.message


def test_hostile_names_and_values_break_neither_spec_nor_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    columns = {
        evil: ["a\nb", "$x$ \\frac", "\x07\u2028bell", evil] * 100,
        'q"uo\nte': ["x", "$"] * 200,
        "a.b = 1 #": np.where(CHURNED, "\n]", "x"),
    }
    found, spec = looked_at(tmp_path, columns)
    assert set(spec.features) == {"spend", evil, 'q"uo\nte'}
    page = write_report(found, tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("data:image/svg+xml;base64,") == 5


def test_the_page_holds_every_column_and_loads_nothing(tmp_path: Path) -> None:
    columns = {"day": ["2026-01-01", "2026-02-01"] * 200, "none": [None] * ROWS, "tags": ["a", None] * 200}
    found, _ = looked_at(tmp_path, columns)
    page = write_report(found, tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("spend", "day", "none", "tags", "400", "25 %", "left out"):
        assert text in page
    assert "http" not in page


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9), st.integers(0, 5).map(float)), min_size=2, max_size=80))
@settings(max_examples=100, deadline=None)
def test_bars_count_every_labelled_row_once(cells: list[float | None]) -> None:
    values = pl.Series("x", cells, dtype=pl.Float64)
    churned = pl.Series([[True, False, None][row % 3] for row in range(len(cells))])
    column = Column("x", "number", values, values.null_count(), values.drop_nulls().n_unique())
    if column.distinct:
        bars = bars_of(column, churned)
        assert sum(bars.rows) == churned.count()
        assert sum(bars.churned) == churned.sum()


def test_lone_auc_agrees_with_sklearn_on_ranks_and_sees_what_turns() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(3)
    churned = random.random(3000) < 0.2
    score = random.normal(size=3000) + churned
    column = Column("x", "number", pl.Series(-score), 0, 3000)
    assert math.isclose(lone_auc(column, pl.Series(churned)), roc_auc_score(churned, score), abs_tol=0.01)
    turned = Column("x", "number", pl.Series(np.where(churned, 0.0, random.choice([-1, 1], 3000))), 0, 3)
    assert lone_auc(turned, pl.Series(churned)) > 0.999


def test_a_category_of_single_customers_says_nothing() -> None:
    churned = pl.Series(np.random.default_rng(3).random(2000) < 0.3)
    names = pl.Series([f"name {row}" for row in range(2000)])
    assert lone_auc(Column("x", "category", names, 0, 2000), churned) < 0.55


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (["yes", "Yes"], 1),
        (["Month-to-month", "month to month"], 1),
        (["Phone", "Mobile Phone"], 1),
        (["COD", "Cash on Delivery"], 1),
        (["No", "No internet service", "Yes"], 0),
        (["One year", "Two year"], 0),
        (["satisfied", "very satisfied", "not satisfied"], 0),
        (["area code 1", "area code"], 0),
        (["男", "女"], 0),
    ],
)
def test_twins_are_spellings_and_not_opposites(categories: list[str], expected: int) -> None:
    assert len(twin_categories(categories)) == expected


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_files_give_a_spec_that_loads(real_data: Path, tmp_path: Path, name: str) -> None:
    file, id_column, label = REAL[name]
    found = inspect(real_data / file, name=name, id_column=id_column, label_column=label)
    (tmp_path / f"{name}.toml").write_text(found.spec_text, encoding="utf-8")
    spec = load_spec(tmp_path / f"{name}.toml")
    assert len(spec.features) == found.features
    expected = {
        "telco": {("TotalCharges", "blank_numbers"), ("", "duplicates")},
        "bank": {("RowNumber", "id_like"), ("Surname", "high_cardinality")},
        "ecommerce": {("PreferredLoginDevice", "twin_categories"), ("", "duplicates")},
        "telecom_mlc": {("rownames", "row_number")},
    }
    assert {(warning.column, warning.kind) for warning in found.warnings} >= expected[name]
    copies = [warning.message for warning in found.warnings if warning.kind == "duplicates"]
    assert name != "ecommerce" or copies[0].startswith("556 rows")


@pytest.mark.real_data
def test_real_blank_numbers_are_missing_and_no_row_is_lost(real_data: Path, tmp_path: Path) -> None:
    from datetime import date

    from churnlib.intake.contract import check
    from churnlib.intake.files import read_raw

    path = real_data / REAL["telco"][0]
    (tmp_path / "telco.toml").write_text(
        inspect(path, name="telco", id_column="customerID", label_column="Churn").spec_text, encoding="utf-8"
    )
    spec, today = load_spec(tmp_path / "telco.toml"), date(2026, 1, 5)
    found = check(
        read_raw(path, spec.input), spec, source=path.name, delivered_on=today, today=today, labelled=True
    )
    assert (found.rows, found.accepted.height) == (7043, 7043)
    assert found.accepted["TotalCharges"].null_count() == 11
    assert found.accepted["churned"].sum() == 1869
