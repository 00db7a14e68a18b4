"""How batches lie on the disk, and what a crash or a damaged file leaves."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from churnlib.adapters.parquet_table import ParquetTable
from churnlib.errors import ChurnError, ServiceUnavailable

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
DAY = 24 * 3600


def rows(name: str = "a", as_of: date = MONDAY) -> pl.LazyFrame:
    return pl.LazyFrame({"customer_id": [name], "as_of": [as_of]})


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_batch_is_one_file_under_its_date_and_says_where(tmp_path: Path) -> None:
    path = ParquetTable(tmp_path).replace("telco", "b1", MONDAY, rows())
    assert path == str(tmp_path / "telco" / "as_of=2026-03-02" / "b1.parquet")
    assert files(tmp_path) == ["telco/as_of=2026-03-02/b1.parquet"]


def test_a_batch_of_several_dates_says_so_in_its_name(tmp_path: Path) -> None:
    frame = pl.concat([rows(as_of=TUESDAY), rows(as_of=MONDAY)])
    ParquetTable(tmp_path).replace("telco", "b1", TUESDAY, frame)
    assert files(tmp_path) == ["telco/as_of=2026-03-03/b1.2026-03-02.2026-03-03.parquet"]
    ParquetTable(tmp_path).replace("telco", "b1", TUESDAY, rows(as_of=TUESDAY))
    assert files(tmp_path) == ["telco/as_of=2026-03-03/b1.parquet"]


def test_other_engines_read_the_folders_as_a_hive_table(tmp_path: Path) -> None:
    ParquetTable(tmp_path).replace("telco", "b1", MONDAY, rows().drop("as_of"))
    read = pl.scan_parquet(tmp_path / "telco" / "**" / "*.parquet", hive_partitioning=True).collect()
    assert read["as_of"].to_list() == [MONDAY]


def test_a_batch_has_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        path = Path(ParquetTable(tmp_path).replace("telco", "b1", MONDAY, rows()))
    finally:
        os.umask(former)
    assert path.stat().st_mode & 0o777 == 0o640


def test_leftovers_are_never_read_and_are_removed_after_a_day(tmp_path: Path) -> None:
    table = ParquetTable(tmp_path)
    folder = Path(table.replace("telco", "b1", MONDAY, rows())).parent
    now = (folder / "b1.parquet").stat().st_mtime
    for name, age in ((".old.tmp", DAY + 600), (".new.tmp", DAY - 600)):
        (folder / name).write_bytes(b"half a file")
        os.utime(folder / name, (now - age, now - age))
    assert table.scan("telco") is not None
    table.replace("telco", "b2", TUESDAY, rows(as_of=TUESDAY))
    assert sorted(path.name for path in folder.iterdir()) == [".new.tmp", "b1.parquet"]


def test_of_two_files_of_one_batch_the_later_counts(tmp_path: Path) -> None:
    table = ParquetTable(tmp_path)
    former = Path(table.replace("telco", "b1", MONDAY, rows("former")))
    kept = former.read_bytes()
    later = Path(table.replace("telco", "b1", TUESDAY, rows("later", as_of=TUESDAY)))
    former.write_bytes(kept)  # as if the process had been killed before it removed it
    os.utime(former, ns=(0, later.stat().st_mtime_ns - 1))
    for frame in (table.scan("telco"), table.scan_batch("telco", "b1")):
        assert frame is not None
        assert frame.collect()["customer_id"].to_list() == ["later"]
    assert table.scan("telco", until=MONDAY) is None


def test_a_file_out_of_the_range_is_not_opened_and_one_in_it_is_named(tmp_path: Path) -> None:
    table = ParquetTable(tmp_path)
    damaged = Path(table.replace("telco", "b1", MONDAY, rows()))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    table.replace("telco", "b2", TUESDAY, rows(as_of=TUESDAY))
    assert table.scan("telco", since=TUESDAY) is not None
    with pytest.raises(ChurnError, match="is damaged") as refusal:
        table.scan("telco")
    assert str(damaged) in refusal.value.message


def test_what_is_not_the_tables_is_left_alone(tmp_path: Path) -> None:
    table = ParquetTable(tmp_path)
    folder = Path(table.replace("telco", "b1", MONDAY, rows())).parent
    (folder / "notes (copy).parquet").write_text("")
    (folder / "README").write_text("")
    (folder.parent / "as_of=soon").mkdir()
    (folder.parent / "as_of=soon" / "b1.parquet").write_text("")
    table.remove("telco", "b1")
    assert table.scan("telco") is None
    assert len(files(tmp_path)) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "telco").write_text("a file where the folder should be")
    with pytest.raises(ServiceUnavailable, match="telco/as_of=2026-03-02") as refusal:
        ParquetTable(tmp_path).replace("telco", "b1", MONDAY, rows())
    assert refusal.value.hint


def test_a_full_disk_is_said_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: pl.LazyFrame, path: Path, **_: object) -> None:
        path.write_bytes(b"half a file")
        message = "parquet: File out of specification: underlying IO error: No space left (os error 28)"
        raise pl.exceptions.ComputeError(message)

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
    with pytest.raises(ServiceUnavailable, match="No space left"):
        ParquetTable(tmp_path).replace("telco", "b1", MONDAY, rows())
    assert files(tmp_path) == []
