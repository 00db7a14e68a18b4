"""Files come in, go to processed/ or failed/, and none is lost, overwritten or taken too early."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from churnlib.adapters.inbox import LocalInbox
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.intake.files import content_id
from churnlib.ports import Inbox

ERROR = {"error": "3 of 4 rows: “tenure” is above 72", "rows": 4, "hint": "Correct the column."}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def inbox(data: Path) -> Inbox:
    return LocalInbox(data, settle_seconds=0)


def deliver(data: Path, name: str, content: str = "id\n1\n", *, model: str = "telco") -> Path:
    path = data / "incoming" / model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def tree(folder: Path) -> dict[str, str]:
    """Contents by name below the folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


# what waits


def test_a_model_without_a_folder_has_nothing_waiting(inbox: Inbox) -> None:
    assert list(inbox.pending("telco")) == []
    assert list(inbox.pending_outcomes("telco")) == []


def test_files_of_every_format_wait_in_the_order_of_their_names(inbox: Inbox, data: Path) -> None:
    names = ["a.csv", "b.csv.gz", "c.parquet", "d.json", "e.jsonl", "f.NDJSON", "g 7.CSV", "h.tsv"]
    for name in reversed(names):
        deliver(data, name)
    assert [path.name for path in inbox.pending("telco")] == names


@pytest.mark.parametrize("name", ["week.xlsx", "week.txt", "week", "week.CSV.zip", "done"])
def test_a_file_of_an_unknown_form_waits_to_be_refused_with_its_reason(
    inbox: Inbox, data: Path, name: str
) -> None:
    deliver(data, name)
    deliver(data, f"outcomes/{name}")
    assert [path.name for path in inbox.pending("telco")] == [name]
    assert [path.name for path in inbox.pending_outcomes("telco")] == [name]


@pytest.mark.parametrize(
    "name",
    [
        ".a.csv",
        "~$a.xlsx",
        "a.csv.tmp",
        "a.csv.part",
        "a.csv.crdownload",
        "a.csv.error.json",
        "README.md",
        "readme.md",
        "a.csv.done",
        "_SUCCESS",
    ],
)
def test_what_is_hidden_unfinished_or_no_delivery_does_not_wait(inbox: Inbox, data: Path, name: str) -> None:
    deliver(data, name)
    assert list(inbox.pending("telco")) == []


def test_outcomes_wait_apart_from_batches(inbox: Inbox, data: Path) -> None:
    deliver(data, "a.csv")
    deliver(data, "outcomes/a.csv")
    deliver(data, "outcomes/o.parquet")
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]
    assert [path.name for path in inbox.pending_outcomes("telco")] == ["a.csv", "o.parquet"]


def test_a_folder_of_parquet_parts_waits_once_it_is_complete(inbox: Inbox, data: Path) -> None:
    deliver(data, "week 1/part-0.parquet")
    deliver(data, "week 2/part-0.parquet")
    deliver(data, "week 2/part-1.parquet.tmp")
    deliver(data, "week 3/_temporary/part-0.parquet")
    deliver(data, "week 3/part-0.parquet")
    deliver(data, "week 4/as_of=2026-01-05/part-0.parquet")
    deliver(data, "notes/read me.txt")
    deliver(data, "hidden/.part-0.parquet")
    (data / "incoming" / "telco" / "empty").mkdir()
    assert [path.name for path in inbox.pending("telco")] == ["week 1", "week 4"]


def test_models_have_inboxes_of_their_own(inbox: Inbox, data: Path) -> None:
    deliver(data, "a.csv", model="telco-us")
    assert list(inbox.pending("telco")) == []


def test_a_link_out_of_the_inbox_or_to_nothing_does_not_wait(inbox: Inbox, data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("id\n")
    deliver(data, "a.csv")
    for name, target in (
        ("b.csv", tmp_path / "secret.csv"),
        ("c.csv", Path("c.csv")),
        ("d.csv", Path("gone.csv")),
    ):
        (data / "incoming" / "telco" / name).symlink_to(target)
    assert [path.name for path in inbox.pending("telco")] == ["a.csv"]


def test_a_name_that_is_not_utf8_is_made_readable(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv")
    path.rename(path.with_name(os.fsdecode(b"m\xe4rz.csv")))
    assert [path.name for path in inbox.pending("telco")] == ["m�rz.csv"]
    assert [path.name for path in inbox.pending("telco")] == ["m�rz.csv"]


@pytest.mark.parametrize("model", ["", "..", "../telco", "/etc", "a/b"])
def test_a_model_that_could_leave_the_folder_is_refused(inbox: Inbox, data: Path, model: str) -> None:
    path = deliver(data, "a.csv")
    for act in (inbox.pending, inbox.pending_outcomes):
        with pytest.raises(ChurnError, match="cannot be the name of a model"):
            act(model)
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        inbox.resolve(model, "a.csv")
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        inbox.accept(model, path)


# names


def test_a_name_is_found_where_it_waits_and_then_where_it_went(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv")
    assert inbox.resolve("telco", "a.csv") == path
    accepted = inbox.accept("telco", path)
    assert inbox.resolve("telco", "a.csv") == accepted


def test_of_deliveries_with_one_name_the_last_accepted_is_found(inbox: Inbox, data: Path) -> None:
    for week in range(3):
        last = inbox.accept("telco", deliver(data, "customers.csv", f"id\n{week}\n"))
    assert inbox.resolve("telco", "customers.csv") == last
    assert last.read_text() == "id\n2\n"


def test_an_outcome_file_is_found_by_its_folder_and_name(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "outcomes/o.csv")
    assert inbox.resolve("telco", "outcomes/o.csv") == path
    with pytest.raises(ChurnError) as refusal:
        inbox.resolve("telco", "o.csv")
    assert refusal.value.hint == "Did you mean outcomes/o.csv?"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../bank/a.csv", "x/../../bank/a.csv", "/etc/passwd", "a\0.csv", "out.csv", "way/a.csv"],
)
def test_a_name_that_leads_out_of_the_inbox_is_refused(
    inbox: Inbox, data: Path, tmp_path: Path, name: str
) -> None:
    deliver(data, "a.csv")
    deliver(data, "a.csv", model="bank")
    (tmp_path / "a.csv").write_text("id\n")
    (data / "incoming" / "telco" / "out.csv").symlink_to(tmp_path / "a.csv")
    (data / "incoming" / "telco" / "way").symlink_to(tmp_path)
    with pytest.raises(ChurnError, match="leads out of the inbox"):
        inbox.resolve("telco", name)


def test_an_inbox_behind_a_link_works(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    data.symlink_to(tmp_path / "mount")
    inbox = LocalInbox(data, settle_seconds=0)
    deliver(data, "a.csv")
    (path,) = inbox.pending("telco")
    assert inbox.resolve("telco", "a.csv") == path
    assert inbox.owns(path)
    assert inbox.accept("telco", data / "incoming" / "telco" / "a.csv").parent.parent.name == "processed"


def test_a_file_that_is_nowhere_is_refused_by_name(inbox: Inbox) -> None:
    with pytest.raises(ChurnError, match=r"no file 'gone\.csv'"):
        inbox.resolve("telco", "gone.csv")


def test_the_inbox_owns_its_three_folders_only(inbox: Inbox, data: Path, tmp_path: Path) -> None:
    assert inbox.owns(deliver(data, "a.csv"))
    assert inbox.owns(data / "processed" / "telco" / "a.csv")
    assert inbox.owns(data / "failed" / "telco" / "a.csv")
    for other in (tmp_path / "a.csv", data / "a.csv", data / "incoming" / ".." / "a.csv"):
        assert not inbox.owns(other)


# accepting


def test_an_accepted_file_keeps_its_name(inbox: Inbox, data: Path) -> None:
    target = inbox.accept("telco", deliver(data, "Week 10.csv.gz", "x"))
    assert target == data / "processed" / "telco" / "Week 10.csv.gz"
    assert tree(data) == {"processed/telco/Week 10.csv.gz": "x"}


def test_outcomes_are_kept_apart_also_when_accepted(inbox: Inbox, data: Path) -> None:
    inbox.accept("telco", deliver(data, "a.csv", "batch"))
    inbox.accept("telco", deliver(data, "outcomes/a.csv", "outcomes"))
    assert tree(data) == {
        "processed/telco/a.csv": "batch",
        "processed/telco/outcomes/a.csv": "outcomes",
    }


def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(inbox: Inbox, data: Path) -> None:
    for content in ("one", "two", "three", "two"):
        inbox.accept("telco", deliver(data, "c.csv.gz", content))
    assert tree(data) == {
        "processed/telco/c.csv.gz": "one",
        "processed/telco/c~2.csv.gz": "two",
        "processed/telco/c~3.csv.gz": "three",
    }


def test_accepting_again_changes_nothing(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv")
    accepted = inbox.accept("telco", path)
    assert inbox.accept("telco", path) == accepted
    assert inbox.accept("telco", accepted) == accepted
    assert tree(data) == {"processed/telco/a.csv": "id\n1\n"}


def test_a_folder_of_parts_moves_as_a_whole(inbox: Inbox, data: Path) -> None:
    for content in ("one", "one", "two"):
        deliver(data, "week 1/part-0.parquet", content)
        deliver(data, "week 1/part-1.parquet", "same")
        inbox.accept("telco", data / "incoming" / "telco" / "week 1")
    assert tree(data) == {
        "processed/telco/week 1/part-0.parquet": "one",
        "processed/telco/week 1/part-1.parquet": "same",
        "processed/telco/week 1~2/part-0.parquet": "two",
        "processed/telco/week 1~2/part-1.parquet": "same",
    }


def test_a_file_of_somebody_else_is_never_moved(inbox: Inbox, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("x")
    assert inbox.accept("telco", path) == path
    assert inbox.refuse("telco", path, ERROR) == path
    assert (path.read_text(), tree(data)) == ("x", {})


def test_a_file_that_holds_what_was_read_of_it_is_put_away(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv", "one")
    read = content_id(path)
    accepted = inbox.accept("telco", path, content_id=read)
    assert inbox.accept("telco", path, content_id=read) == accepted
    assert inbox.accept("telco", accepted, content_id=read) == accepted
    assert tree(data) == {"processed/telco/a.csv": "one"}


def test_a_file_that_changed_after_it_was_read_stays_as_news(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv", "one")
    read = content_id(path)
    deliver(data, "a.csv", "one and more")
    assert inbox.accept("telco", path, content_id=read) == path
    assert tree(data) == {"incoming/telco/a.csv": "one and more"}
    assert list(inbox.pending("telco")) == [path]


def test_a_changed_file_is_not_taken_for_the_one_that_was_put_away(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv", "one")
    read = content_id(path)
    inbox.accept("telco", path, content_id=read)
    deliver(data, "a.csv", "two")
    assert inbox.accept("telco", path, content_id=read) == path
    assert tree(data) == {"processed/telco/a.csv": "one", "incoming/telco/a.csv": "two"}
    deliver(data, "a.csv", "one")
    inbox.accept("telco", path, content_id=read)
    assert tree(data) == {"processed/telco/a.csv": "one"}, "the same again is not kept twice"


@pytest.mark.parametrize("change", ["another part", "no part"])
def test_a_folder_that_changed_after_it_was_read_stays(inbox: Inbox, data: Path, change: str) -> None:
    part = deliver(data, "week 1/part-0.parquet", "one")
    read = content_id(part.parent)
    if change == "another part":
        deliver(data, "week 1/part-1.parquet", "two")
    else:
        part.unlink()
    assert inbox.accept("telco", part.parent, content_id=read) == part.parent
    assert not (data / "processed").exists()


def test_the_origin_of_a_file_is_its_whole_path(inbox: Inbox, data: Path, tmp_path: Path) -> None:
    waiting = deliver(data, "outcomes/a.csv")
    assert inbox.origin("telco", waiting) == f"{data}/incoming/telco/outcomes/a.csv"
    assert (
        inbox.origin("telco", tmp_path / os.fsdecode(b"m\xe4rz.csv"))
        == f"{tmp_path}/m\N{REPLACEMENT CHARACTER}rz.csv"
    )


def test_a_file_that_is_gone_is_said(inbox: Inbox, data: Path) -> None:
    with pytest.raises(ServiceUnavailable, match=r"gone\.csv cannot be moved"):
        inbox.accept("telco", data / "incoming" / "telco" / "gone.csv")


@pytest.mark.parametrize("name", ["a.csv", "week 1"])
def test_a_move_to_another_file_system_keeps_all_and_leaves_nothing(
    inbox: Inbox, data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(data, name if "." in name else f"{name}/part-0.parquet", "x")
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    target = inbox.accept("telco", data / "incoming" / "telco" / name)
    assert target == data / "processed" / "telco" / name
    assert list(tree(data).values()) == ["x"]
    assert list((data / "incoming" / "telco").iterdir()) == []


# refusing


def test_a_refused_file_lies_beside_its_reason(inbox: Inbox, data: Path) -> None:
    target = inbox.refuse("telco", deliver(data, "a.csv", "x"), ERROR)
    assert target == data / "failed" / "telco" / "a.csv"
    text = (data / "failed" / "telco" / "a.csv.error.json").read_text(encoding="utf-8")
    assert json.loads(text) == ERROR
    assert "“tenure”" in text
    assert text.count("\n") > len(ERROR)
    assert sorted(tree(data)) == ["failed/telco/a.csv", "failed/telco/a.csv.error.json"]


def test_two_refused_files_of_one_name_keep_their_own_reasons(inbox: Inbox, data: Path) -> None:
    inbox.refuse("telco", deliver(data, "a.csv", "one"), {"error": "first"})
    inbox.refuse("telco", deliver(data, "a.csv", "two"), {"error": "second"})
    failed = tree(data / "failed" / "telco")
    assert (failed["a.csv"], failed["a~2.csv"]) == ("one", "two")
    assert json.loads(failed["a.csv.error.json"]) == {"error": "first"}
    assert json.loads(failed["a~2.csv.error.json"]) == {"error": "second"}


def test_refusing_again_changes_nothing(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv")
    refused = inbox.refuse("telco", path, ERROR)
    assert inbox.refuse("telco", path, ERROR) == refused
    assert inbox.refuse("telco", refused, ERROR) == refused
    assert len(tree(data)) == 2


def test_a_file_that_was_accepted_can_still_be_refused(inbox: Inbox, data: Path) -> None:
    accepted = inbox.accept("telco", deliver(data, "a.csv", "x"))
    assert inbox.refuse("telco", accepted, ERROR) == data / "failed" / "telco" / "a.csv"
    assert tree(data / "processed") == {}


def test_a_reason_says_dates_and_odd_text_as_text(inbox: Inbox, data: Path) -> None:
    target = inbox.refuse("telco", deliver(data, "a.csv"), {"file": "m\udce4rz", "path": data})
    said = json.loads(target.with_name("a.csv.error.json").read_text(encoding="utf-8"))
    assert said == {"file": "m�rz", "path": str(data)}


def test_a_folder_that_cannot_be_written_leaves_the_file_where_it_is(inbox: Inbox, data: Path) -> None:
    path = deliver(data, "a.csv", "x")
    (data / "processed").write_text("a file where the folder should be")
    with pytest.raises(ServiceUnavailable, match="cannot be moved to") as refusal:
        inbox.accept("telco", path)
    assert refusal.value.hint
    assert path.read_text() == "x"
