"""A stream of parts is the contract of the whole file, whatever the parts."""

from __future__ import annotations

import gc
import weakref
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churnlib.errors import FileRefused
from churnlib.intake import stream
from churnlib.intake.contract import Checked, check
from churnlib.intake.files import read_raw
from churnlib.intake.sorting import Sorted, sort_rows
from churnlib.intake.stream import BatchStream
from churnlib.spec import AS_OF, ID, Spec, parse_spec

TODAY = date(2026, 3, 2)
FEATURES: dict[str, dict[str, Any]] = {
    "n": {"type": "number", "min": 0, "max": 72, "nullable": False},
    "plan": {"type": "category", "categories": ["basic", "pro"]},
    "flag": {"type": "boolean"},
    "since": {"type": "date", "input_only": True},
    "late": {"type": "number", "required": False},
}


def a_spec(*, share: float = 1.0, max_age_days: int | None = None, as_of: str | None = "day") -> Spec:
    content = {
        "name": "telco",
        "columns": {"id": "id", **({"as_of": as_of} if as_of else {})},
        "input": {"max_bad_share": share},
        "features": FEATURES,
        **({"max_age_days": max_age_days} if max_age_days else {}),
    }
    return parse_spec(content, source="test")


def opened(path: Path, spec: Spec, *, rows: int = 2) -> BatchStream:
    return BatchStream(path, spec, source=path.name, delivered_on=TODAY, today=TODAY, rows=rows)


def checked(path: Path, spec: Spec) -> Checked:
    return check(read_raw(path, spec.input), spec, source=path.name, delivered_on=TODAY, today=TODAY)


def assert_same_outcome(path: Path, spec: Spec, rows: int) -> None:
    """Stream and contract sort rows alike with the same totals, or refuse the file in the same words."""
    batch = opened(path, spec, rows=rows)
    try:
        expected = checked(path, spec)
    except FileRefused as error:
        with pytest.raises(FileRefused) as caught:
            list(batch.parts())
        assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
        return
    parts = list(batch.parts())
    totals = batch.totals
    assert pl.concat([part.accepted for part in parts]).equals(expected.accepted)
    assert pl.concat([part.quarantined for part in parts]).equals(expected.quarantined)
    assert list(totals.quarantined_by.items()) == list(expected.quarantined_by.items())
    assert (totals.rows, totals.accepted) == (expected.rows, expected.accepted.height)
    assert (totals.quarantined, totals.as_of) == (expected.quarantined.height, expected.as_of)
    assert (batch.extra_columns, batch.absent_columns) == (expected.extra_columns, expected.absent_columns)
    assert all(part.accepted.schema == batch.accepted_schema for part in parts)
    assert all(part.quarantined.schema == batch.quarantined_schema for part in parts)


DAYS = st.sampled_from(["2026-03-01"] * 5 + ["2026-03-01 10:00:00", "2026-02-20", "2026-03-05", "soon", ""])
ROW = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", " a", "c", "d", "e", "", "NA"]),
        "day": st.just("2026-03-01"),
        "n": st.one_of(st.just("1"), st.sampled_from(["1", "0.5", " 2", "-1", "73", "x", "", "inf"])),
        "plan": st.sampled_from(["basic", "pro", "pro ", "gold", ""]),
        "flag": st.sampled_from(["yes", "0", "perhaps", ""]),
        "since": st.sampled_from(["2020-01-31", "2020-02-30", ""]),
        "note": st.sampled_from(["", "x,y", 'a "b"']),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=14)


@given(ROWS, st.booleans(), DAYS, st.sampled_from([1, 2, 3, 100]), st.sampled_from([0.2, 0.6, 1.0]), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_add_up_to_the_contract_of_the_whole_file(
    tmp_path: Path,
    table: list[dict[str, str]],
    is_typed: bool,
    last_day: str,
    rows: int,
    share: float,
    has_day: bool,
) -> None:
    table[-1]["day"] = last_day
    raw = pl.DataFrame(table)
    if is_typed:
        number = pl.col("n").str.strip_chars().cast(pl.Float64, strict=False)
        raw = raw.with_columns(number, pl.col("plan", "id").cast(pl.Categorical))
        raw.write_parquet(tmp_path / "week.parquet")
    else:
        raw.write_csv(tmp_path / "week.csv")
    path = tmp_path / ("week.parquet" if is_typed else "week.csv")
    assert_same_outcome(path, a_spec(share=share, max_age_days=7, as_of="day" if has_day else None), rows)


def put(folder: Path, *rows: str) -> Path:
    path = folder / "week.csv"
    path.write_text("id,day,n,plan,flag,since\n" + "".join(f"{row}\n" for row in rows))
    return path


GOOD = "2026-03-01,1,pro,yes,2020-01-01"


def test_a_customer_is_accepted_once_however_far_apart_the_rows_are(tmp_path: Path) -> None:
    path = put(tmp_path, f"a,{GOOD}", f"b,{GOOD}", f"c,{GOOD}", f"a,{GOOD}", f"d,{GOOD}", f"d,{GOOD}")
    batch = opened(path, a_spec())
    parts = list(batch.parts())
    assert [part.accepted[ID].to_list() for part in parts] == [["a", "b"], ["c"], ["d"]]
    assert [part.by_reason for part in parts] == [{}, {"customer_id: duplicate": 1}, {"customer_id: duplicate": 1}]
    assert batch.totals.quarantined_by == {"customer_id: duplicate": 2}


def test_of_a_customer_whose_first_row_is_bad_the_next_is_accepted(tmp_path: Path) -> None:
    path = put(tmp_path, "a,2026-03-01,x,pro,yes,2020-01-01", f"b,{GOOD}", f"a,{GOOD}")
    assert [part.accepted[ID].to_list() for part in opened(path, a_spec()).parts()] == [["b"], ["a"]]


def test_a_part_may_have_no_accepted_row(tmp_path: Path) -> None:
    path = put(tmp_path, "a,soon,1,pro,yes,", f"b,{GOOD}")
    first, second = opened(path, a_spec(), rows=1).parts()
    assert first.accepted.is_empty()
    assert first.quarantined["_reasons"].to_list() == [["as_of: not a date"]]
    assert second.accepted[AS_OF].to_list() == [date(2026, 3, 1)]


def test_columns_are_checked_before_a_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "week.csv"
    path.write_text("id,n\n1,2\n")
    with pytest.raises(FileRefused, match="lacks 4 columns"):
        opened(path, a_spec())


def test_a_refusal_of_the_whole_comes_after_the_last_part(tmp_path: Path) -> None:
    path = put(tmp_path, f"a,{GOOD}", "b,2026-03-01,x,gold,yes,", "c,2026-03-01,x,pro,yes,")
    parts = opened(path, a_spec(share=0.5), rows=1).parts()
    assert [next(parts).accepted.height for _ in range(3)] == [1, 0, 0]
    with pytest.raises(FileRefused) as caught:
        next(parts)
    assert caught.value.message == (
        "week.csv: 2 of 3 rows break the contract (limit 50 %): "
        "n: not a number (2), plan: not one of basic, pro (1)."
    )


def test_there_are_no_totals_before_the_end(tmp_path: Path) -> None:
    batch = opened(put(tmp_path, f"a,{GOOD}"), a_spec())
    next(batch.parts())
    with pytest.raises(AssertionError, match="to their end"):
        _ = batch.totals


def test_a_stream_can_be_read_again(tmp_path: Path) -> None:
    batch = opened(put(tmp_path, f"a,{GOOD}", f"a,{GOOD}", f"b,{GOOD}"), a_spec())
    first = [part.accepted.rows() for part in batch.parts()]
    totals = batch.totals
    assert [part.accepted.rows() for part in batch.parts()] == first
    assert batch.totals == totals


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_no_part_is_kept_while_the_next_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path = put(tmp_path, *(f"c{row},{GOOD}" for row in range(9)))
    if form != "csv":
        raw = pl.read_csv(path, infer_schema=False)
        path = tmp_path / f"week.{form}"
        raw.write_parquet(path) if form == "parquet" else raw.write_ndjson(path)
    alive: list[weakref.ref[Sorted | pl.DataFrame]] = []

    def watched(chunk: pl.DataFrame, *others: Any) -> Sorted:
        gc.collect()
        assert not any(former() for former in alive)
        part = sort_rows(chunk, *others)
        alive.extend((weakref.ref(chunk), weakref.ref(part)))
        return part

    monkeypatch.setattr(stream, "sort_rows", watched)
    for part in opened(path, a_spec()).parts():
        del part
    assert len(alive) == 10
