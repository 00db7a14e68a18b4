"""A delivery waits once it is complete: by its size and time, or by its marker."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from churnlib.adapters.inbox import LocalInbox
from churnlib.ports import Inbox


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def deliver(data: Path, name: str, content: str = "id\n1\n", *, model: str = "telco") -> Path:
    path = data / "incoming" / model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Contents by name below the folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


@dataclass
class Disk:
    """Time as the disk tells it, what happens while the inbox sleeps, and the inbox itself."""

    data: Path
    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = LocalInbox(self.data, settle_seconds=2.0, sleep=self.sleep, clock=lambda: self.now)

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the others work."""
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()

    def write(self, name: str, content: str = "id\n1\n", *, age: float = 0.0) -> Path:
        """Write a file that was changed so many seconds ago; in the future where that is negative."""
        path = deliver(self.data, name, content)
        changed = round((self.now - age) * 1e9)
        os.utime(path, ns=(changed, changed))
        return path

    def pending(self) -> list[str]:
        """Names of what waits."""
        return [path.name for path in self.inbox.pending("telco")]


@pytest.fixture
def disk(data: Path) -> Disk:
    return Disk(data)


# by size and time


def test_an_old_file_waits_at_once(disk: Disk) -> None:
    disk.write("a.csv", age=2.0)
    assert disk.pending() == ["a.csv"]
    assert disk.slept == []


def test_a_young_file_is_looked_at_again_after_what_is_left_of_the_time(disk: Disk) -> None:
    disk.write("a.csv", age=1.5)
    assert disk.pending() == ["a.csv"]
    assert disk.slept == pytest.approx([0.5])


def test_the_wait_is_one_for_all_files(disk: Disk) -> None:
    for number, age in enumerate((0.25, 1.0, 1.75, 100.0)):
        disk.write(f"{number}.csv", age=age)
    assert disk.pending() == ["0.csv", "1.csv", "2.csv", "3.csv"]
    assert disk.slept == pytest.approx([1.75])


def test_a_file_that_grows_waits_for_the_next_time_and_keeps_no_other_waiting(disk: Disk) -> None:
    disk.write("a.csv", "id\n", age=1)
    disk.write("b.csv", age=1)
    disk.write("c.csv", age=9)
    disk.meanwhile = lambda: disk.write("a.csv", "id\n1\n", age=0.1)
    assert disk.pending() == ["b.csv", "c.csv"]
    disk.meanwhile = lambda: None
    assert disk.pending() == ["a.csv", "b.csv", "c.csv"]


def test_a_file_that_grows_at_every_look_never_waits(disk: Disk) -> None:
    lines = ["id\n"]

    def write() -> None:
        lines.append("1\n")
        disk.write("a.csv", "".join(lines), age=0.5)

    write()
    disk.meanwhile = write
    assert [disk.pending() for _ in range(5)] == [[]] * 5
    disk.now += 2
    assert disk.pending() == ["a.csv"]


def test_a_file_rewritten_with_as_many_bytes_is_still_being_written(disk: Disk) -> None:
    disk.write("a.csv", "id\n1\n", age=1)
    disk.meanwhile = lambda: disk.write("a.csv", "id\n2\n", age=0.1)
    assert disk.pending() == []


def test_a_file_that_goes_while_it_is_looked_at_does_not_wait(disk: Disk) -> None:
    path = disk.write("a.csv", age=1)
    disk.meanwhile = path.unlink
    assert disk.pending() == []


def test_a_time_in_the_future_counts_as_young_only_as_long_as_it_changes(disk: Disk) -> None:
    disk.write("a.csv", age=-3600)
    disk.meanwhile = lambda: disk.write("a.csv", age=-3600)
    assert disk.pending() == []
    disk.meanwhile = lambda: None
    assert disk.pending() == ["a.csv"]
    assert disk.slept == pytest.approx([2.0, 2.0])
    assert disk.pending() == ["a.csv"], "what was seen to stay"
    assert len(disk.slept) == 2, "is not waited for again"
    disk.write("a.csv", "id\n2\n", age=-3600)
    assert disk.pending() == ["a.csv"]
    assert len(disk.slept) == 3, "unless it changed"


def test_a_folder_is_as_young_as_its_newest_part(disk: Disk) -> None:
    disk.write("week 1/part-0.parquet", age=9)
    disk.write("week 2/part-0.parquet", age=9)
    disk.write("week 2/part-1.parquet", age=0.5)
    disk.meanwhile = lambda: disk.write("week 2/part-2.parquet", age=9)
    assert disk.pending() == ["week 1"]
    assert disk.slept == pytest.approx([1.5])
    assert disk.pending() == ["week 1", "week 2"]


def test_outcomes_are_left_alone_until_they_are_complete(disk: Disk) -> None:
    disk.write("outcomes/a.csv", "id\n", age=1)
    disk.meanwhile = lambda: disk.write("outcomes/a.csv", age=0)
    assert list(disk.inbox.pending_outcomes("telco")) == []


def test_with_no_time_to_settle_nothing_is_waited_for(data: Path) -> None:
    disk = Disk(data)
    inbox = LocalInbox(data, settle_seconds=0, sleep=disk.sleep, clock=lambda: disk.now)
    disk.write("a.csv", age=-3600)
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]
    assert disk.slept == []


# by markers


@pytest.fixture
def marked(data: Path) -> Inbox:
    def sleep(seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} s although the marker decides")

    return LocalInbox(data, wait_for_marker=True, sleep=sleep)


def test_with_markers_a_delivery_is_complete_once_its_own_is_there(marked: Inbox, data: Path) -> None:
    for name in ("a.csv", "b.csv", "week 1/part-0.parquet", "week 2/part-0.parquet"):
        deliver(data, name)
    os.utime(data / "incoming" / "telco" / "a.csv", (0, 0))
    assert list(marked.pending("telco")) == []
    deliver(data, "b.csv.done", "")
    deliver(data, "week 2/_SUCCESS", "")
    assert [path.name for path in marked.pending("telco")] == ["b.csv", "week 2"]
    deliver(data, "outcomes/o.csv")
    assert list(marked.pending_outcomes("telco")) == []
    deliver(data, "outcomes/o.csv.done", "")
    assert [path.name for path in marked.pending_outcomes("telco")] == ["o.csv"]


def test_a_marker_goes_with_its_delivery_and_the_next_of_that_name_needs_its_own(
    marked: Inbox, data: Path
) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        deliver(data, name)
        deliver(data, f"{name}.done", "")
    waiting = data / "incoming" / "telco"
    marked.accept("telco", waiting / "a.csv")
    marked.refuse("telco", waiting / "b.csv", {"error": "no"})
    assert sorted(path.name for path in waiting.iterdir()) == ["c.csv", "c.csv.done"]
    assert not any(name.endswith(".done") for name in tree(data / "processed"))
    deliver(data, "a.csv", "id\n")
    assert [path.name for path in marked.pending("telco")] == ["c.csv"]


def test_a_marker_that_a_killed_run_left_is_removed_by_the_next(marked: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv")
    accepted = marked.accept("telco", path)
    for again in (path, accepted):
        marker = deliver(data, "a.csv.done", "")
        assert marked.accept("telco", again) == accepted
        assert not marker.exists()


def test_the_marker_of_a_new_file_is_not_removed_with_the_old_one(marked: Inbox, data: Path) -> None:
    accepted = marked.accept("telco", deliver(data, "a.csv", "old"))
    deliver(data, "a.csv", "new")
    deliver(data, "a.csv.done", "")
    marked.accept("telco", accepted)
    assert [path.name for path in marked.pending("telco")] == ["a.csv"]


def test_a_marked_folder_moves_with_its_marker(marked: Inbox, data: Path) -> None:
    deliver(data, "week 1/part-0.parquet", "one")
    deliver(data, "week 1/_SUCCESS", "")
    marked.accept("telco", data / "incoming" / "telco" / "week 1")
    assert tree(data) == {"processed/telco/week 1/part-0.parquet": "one", "processed/telco/week 1/_SUCCESS": ""}
