"""Where a model's rows lie: below its family's folder, by its slice's prefix, and never outside the table."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from churnlib.adapters.parquet_layout import folder_below
from churnlib.adapters.parquet_table import ParquetTable
from churnlib.errors import ChurnError
from churnlib.records import KnownVariant
from churnlib.usecases.folders import Folders
from tests.loops import MODEL, Loop, batch_frame, small_spec, week, write_spec


def know(loop: Loop, model: str, **dimensions: str) -> None:
    with loop.services.ledger.begin() as tx:
        tx.save_variants([KnownVariant(model=model, family=MODEL, dimensions=dimensions, first_as_of=week(0))])


def folders(loop: Loop) -> Folders:
    return Folders(loop.services.ledger, loop.services.specs)


def test_a_slice_lies_below_its_family_by_its_prefix(empty: Loop) -> None:
    know(empty, "telly-eu-client-b", geography="EU", company="Client B")
    found = folders(empty)
    assert found(MODEL) == MODEL
    assert found("telly-eu-client-b") == "telly/geography-eu/company-client-b"
    assert found("another") == "another"


def test_a_slice_that_becomes_known_is_found_from_then_on(empty: Loop) -> None:
    found = folders(empty)
    assert found("telly-us") == "telly-us"
    know(empty, "telly-us", geography="US")
    assert found("telly-us") == "telly/geography-us"


def test_a_model_with_a_spec_of_its_own_has_a_folder_of_its_own(empty: Loop) -> None:
    know(empty, "telly-us", geography="US")
    write_spec(empty.services.specs, small_spec(name="telly-us"))
    assert folders(empty)("telly-us") == "telly-us"


@pytest.mark.parametrize("value", ["../../etc", "/etc", "..", "as_of=2025-01-06", "a/../../b", "\x00"])
def test_whatever_customers_are_called_their_rows_stay_below_the_table(empty: Loop, value: str) -> None:
    know(empty, "telly-odd", geography=value)
    folder = folder_below(folders(empty), "telly-odd")
    assert folder.startswith("telly/geography-")
    assert folder.count("/") == 1
    assert ".." not in folder


@pytest.mark.parametrize("folder", ["../x", "/x", "x//y", "x/as_of=2025-01-06", "", "x/.."])
def test_a_folder_that_could_leave_the_table_is_refused(folder: str) -> None:
    with pytest.raises(ChurnError, match="cannot be the name of a folder"):
        folder_below(lambda _: folder, "telly")


def test_a_models_name_is_checked_before_it_is_looked_up(empty: Loop) -> None:
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        folder_below(folders(empty), "../telly")


def test_rows_of_a_base_model_and_of_its_slices_do_not_mix(empty: Loop, tmp_path: Path) -> None:
    know(empty, "telly-us", geography="US")
    table = ParquetTable(tmp_path / "rows", folders(empty))
    frame, day = batch_frame(0), week(0)
    place = Path(table.replace("telly-us", "b1", day, frame.head(10).lazy()))
    table.replace(MODEL, "b1", day, frame.tail(5).lazy())
    assert place == tmp_path / "rows" / "telly" / "geography-us" / f"as_of={day}" / "b1.parquet"
    counts = []
    for model in (MODEL, "telly-us"):
        rows = table.scan(model, since=date.min)
        assert rows is not None
        counts.append(rows.collect().height)
    assert counts == [5, 10]
    table.remove(MODEL, "b1")
    assert table.scan(MODEL) is None
    assert place.is_file()
