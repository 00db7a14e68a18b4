"""What every inbox does. A new one joins by one arm of the fixture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from churnlib.adapters.fallback_inbox import FallbackInbox
from churnlib.adapters.inbox import LocalInbox
from churnlib.adapters.s3_bucket import Bucket
from churnlib.adapters.s3_inbox import S3Inbox
from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.intake.files import content_id
from churnlib.ports import Inbox

ERROR = {"error": "3 of 4 rows: “tenure” is above 72", "rows": 4, "hint": "Correct the column."}


class Place(Protocol):
    """Where senders put files, and what people find there."""

    def new_inbox(self, *, settle_seconds: float = 0.0, wait_for_marker: bool = False) -> Inbox: ...
    def put(
        self, name: str, content: str = "id\n1\n", *, model: str = "telco", base: str = "incoming"
    ) -> None: ...
    def take(self, name: str, *, model: str = "telco") -> None: ...
    def tree(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Folders:
    data: Path

    def new_inbox(self, *, settle_seconds: float = 0.0, wait_for_marker: bool = False) -> Inbox:
        return LocalInbox(self.data, settle_seconds=settle_seconds, wait_for_marker=wait_for_marker)

    def put(self, name: str, content: str = "id\n1\n", *, model: str = "telco", base: str = "incoming") -> None:
        path = self.data / base / model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def take(self, name: str, *, model: str = "telco") -> None:
        (self.data / "incoming" / model / name).unlink()

    def tree(self) -> Mapping[str, str]:
        found = (path for path in self.data.rglob("*") if path.is_file())
        return {path.relative_to(self.data).as_posix(): path.read_text() for path in found}


@dataclass(frozen=True)
class Objects:
    aws: Any
    url: str
    folder: Path

    def new_inbox(self, *, settle_seconds: float = 0.0, wait_for_marker: bool = False) -> Inbox:
        return S3Inbox(
            Bucket(self.url, endpoint_url=self.aws.endpoint),
            self.folder / "cache",
            settle_seconds=settle_seconds,
            wait_for_marker=wait_for_marker,
        )

    def put(self, name: str, content: str = "id\n1\n", *, model: str = "telco", base: str = "incoming") -> None:
        self.aws.client("s3").put_object(**self._at(f"{base}/{model}/{name}"), Body=content.encode())

    def take(self, name: str, *, model: str = "telco") -> None:
        self.aws.client("s3").delete_object(**self._at(f"incoming/{model}/{name}"))

    def tree(self) -> Mapping[str, str]:
        client = self.aws.client("s3")
        keys = self.aws.keys(self.url)
        return {key: client.get_object(**self._at(key))["Body"].read().decode() for key in keys}

    def _at(self, key: str) -> dict[str, str]:
        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{key}"}


@dataclass(frozen=True)
class Both(Objects):
    """Files are put on S3, and the local folders stay empty."""

    def new_inbox(self, *, settle_seconds: float = 0.0, wait_for_marker: bool = False) -> Inbox:
        stored = super().new_inbox(settle_seconds=settle_seconds, wait_for_marker=wait_for_marker)
        assert isinstance(stored, S3Inbox)
        return FallbackInbox(stored, LocalInbox(self.folder / "data", settle_seconds=settle_seconds))


@pytest.fixture(params=["local", "s3", "s3, then local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Folders(tmp_path)
    aws = request.getfixturevalue("aws")
    return (Objects if request.param == "s3" else Both)(aws, aws.new_bucket(), tmp_path)


@pytest.fixture
def inbox(place: Place) -> Inbox:
    return place.new_inbox()


def names(inbox: Inbox) -> list[str]:
    return [path.name for path in inbox.pending("telco")]


def only(inbox: Inbox) -> Path:
    (path,) = inbox.pending("telco")
    return path


# what waits


def test_a_model_without_anything_has_nothing_waiting(inbox: Inbox) -> None:
    assert list(inbox.pending("telco")) == []
    assert list(inbox.pending_outcomes("telco")) == []


def test_files_wait_in_the_order_of_their_names_and_can_be_read(inbox: Inbox, place: Place) -> None:
    wanted = ["a 7.csv", "b.csv.gz", "c+%20&=.parquet", "d.json", "e.CSV", "große Ä.tsv", "п.csv"]
    for name in reversed(wanted):
        place.put(name, f"content of {name}")
    waiting = inbox.pending("telco")
    assert [path.name for path in waiting] == wanted
    assert [path.read_text() for path in waiting] == [f"content of {name}" for name in wanted]


@pytest.mark.parametrize("name", [".a.csv", "a.csv.tmp", "a.csv.part", "a.csv.error.json", "README.md"])
def test_what_is_hidden_or_unfinished_does_not_wait(inbox: Inbox, place: Place, name: str) -> None:
    place.put(name)
    assert list(inbox.pending("telco")) == []


def test_outcomes_wait_apart_from_batches(inbox: Inbox, place: Place) -> None:
    for name in ("a.csv", "outcomes/a.csv", "outcomes/o.parquet"):
        place.put(name, name)
    assert names(inbox) == ["a.csv"]
    assert [path.read_text() for path in inbox.pending_outcomes("telco")] == [
        "outcomes/a.csv",
        "outcomes/o.parquet",
    ]


def test_models_have_inboxes_of_their_own(inbox: Inbox, place: Place) -> None:
    place.put("a.csv", model="telco-us")
    assert list(inbox.pending("telco")) == []


def test_a_folder_of_parts_waits_as_one_and_not_while_it_is_written(inbox: Inbox, place: Place) -> None:
    for name in ("part-0.parquet", "deep/part-1.parquet", "_SUCCESS", "notes.txt"):
        place.put(f"week 1/{name}", name)
    place.put("week 2/part-0.parquet")
    place.put("week 2/part-1.parquet.tmp")
    place.put("week 3/_temporary/0/part-0.parquet")
    place.put("week 3/part-0.parquet")
    place.put("notes/read me.txt")
    folder = only(inbox)
    assert folder.name == "week 1"
    assert (folder / "deep" / "part-1.parquet").read_text() == "deep/part-1.parquet"
    assert len([*folder.rglob("*.parquet")]) == 2


def test_where_markers_are_waited_for_nothing_is_complete_without_one(place: Place) -> None:
    inbox = place.new_inbox(wait_for_marker=True)
    place.put("a.csv")
    place.put("week 1/part-0.parquet")
    assert names(inbox) == []
    place.put("a.csv.done", "")
    place.put("week 1/_SUCCESS", "")
    assert names(inbox) == ["a.csv", "week 1"]


def test_a_marker_goes_with_its_file(place: Place) -> None:
    inbox = place.new_inbox(wait_for_marker=True)
    place.put("a.csv")
    place.put("a.csv.done", "")
    inbox.accept("telco", only(inbox))
    assert place.tree() == {"processed/telco/a.csv": "id\n1\n"}
    place.put("a.csv", "later")
    assert names(inbox) == []


@pytest.mark.parametrize("model", ["", "..", "../telco", "/etc", "a/b"])
def test_a_model_that_could_leave_its_folder_is_refused(inbox: Inbox, place: Place, model: str) -> None:
    place.put("a.csv")
    path = only(inbox)
    for act in (inbox.pending, inbox.pending_outcomes):
        with pytest.raises(ChurnError, match="cannot be the name of a model"):
            act(model)
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        inbox.resolve(model, "a.csv")
    with pytest.raises(ChurnError, match="cannot be the name of a model"):
        inbox.accept(model, path)


# names


@pytest.mark.parametrize("name", ["a.csv", "outcomes/o.csv", "week 1"])
def test_a_name_is_found_where_it_waits_and_then_where_it_went(inbox: Inbox, place: Place, name: str) -> None:
    place.put(name if "." in name else f"{name}/part-0.parquet", "x")
    waiting = inbox.resolve("telco", name)
    assert waiting in {*inbox.pending("telco"), *inbox.pending_outcomes("telco")}
    assert inbox.name_of("telco", waiting) == name
    content = content_id(waiting)
    accepted = inbox.accept("telco", waiting)
    found = inbox.resolve("telco", name)
    assert content_id(found) == content
    assert found == accepted
    assert inbox.name_of("telco", found) == name


def test_of_deliveries_with_one_name_the_last_accepted_is_found(inbox: Inbox, place: Place) -> None:
    for week in range(3):
        place.put("customers.csv", f"id\n{week}\n")
        inbox.accept("telco", only(inbox))
    assert inbox.resolve("telco", "customers.csv").read_text() == "id\n2\n"


def test_an_outcome_file_is_found_by_its_folder_and_name(inbox: Inbox, place: Place) -> None:
    place.put("outcomes/o.csv")
    with pytest.raises(ChurnError) as refusal:
        inbox.resolve("telco", "o.csv")
    assert refusal.value.hint == "Did you mean outcomes/o.csv?"


@pytest.mark.parametrize("name", ["", ".", "..", "../bank/a.csv", "x/../../bank/a.csv", "/etc/passwd", "a\0.csv"])
def test_a_name_that_leads_out_of_the_inbox_is_refused(inbox: Inbox, place: Place, name: str) -> None:
    place.put("a.csv")
    place.put("a.csv", model="bank")
    with pytest.raises(ChurnError, match="leads out of the inbox"):
        inbox.resolve("telco", name)


def test_a_file_that_is_nowhere_is_refused_by_name(inbox: Inbox) -> None:
    with pytest.raises(ChurnError, match=r"no file 'gone\.csv'") as refusal:
        inbox.resolve("telco", "gone.csv")
    assert not isinstance(refusal.value, ServiceUnavailable)


def test_a_file_of_somebody_else_is_never_moved(inbox: Inbox, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "own" / "own.csv"
    path.parent.mkdir()
    path.write_text("x")
    assert not inbox.owns(path)
    assert inbox.name_of("telco", path) == "own.csv"
    assert inbox.origin("telco", path) == str(path)
    assert inbox.accept("telco", path) == path
    assert inbox.refuse("telco", path, ERROR) == path
    assert path.read_text() == "x"


def test_a_file_has_an_address_before_and_after_it_is_moved(inbox: Inbox, place: Place) -> None:
    place.put("a 1.csv")
    path = only(inbox)
    assert inbox.owns(path)
    assert inbox.origin("telco", path).endswith("/incoming/telco/a 1.csv")
    accepted = inbox.accept("telco", path)
    assert inbox.owns(accepted)
    assert inbox.origin("telco", accepted).endswith("/processed/telco/a 1.csv")


# accepting


def test_accepted_files_keep_their_names_and_outcomes_their_folder(inbox: Inbox, place: Place) -> None:
    place.put("Week 10.csv.gz", "batch")
    place.put("outcomes/a.csv", "outcomes")
    for path in (*inbox.pending("telco"), *inbox.pending_outcomes("telco")):
        inbox.accept("telco", path)
    assert place.tree() == {
        "processed/telco/Week 10.csv.gz": "batch",
        "processed/telco/outcomes/a.csv": "outcomes",
    }


def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(inbox: Inbox, place: Place) -> None:
    for content in ("one", "two", "three", "two"):
        place.put("c.csv.gz", content)
        inbox.accept("telco", only(inbox))
    assert place.tree() == {
        "processed/telco/c.csv.gz": "one",
        "processed/telco/c~2.csv.gz": "two",
        "processed/telco/c~3.csv.gz": "three",
    }


def test_accepting_again_changes_nothing(inbox: Inbox, place: Place) -> None:
    place.put("a.csv")
    path = only(inbox)
    accepted = inbox.accept("telco", path)
    assert inbox.accept("telco", path) == accepted
    assert inbox.accept("telco", accepted) == accepted
    assert place.tree() == {"processed/telco/a.csv": "id\n1\n"}


def test_a_folder_of_parts_moves_as_a_whole_with_all_that_is_in_it(inbox: Inbox, place: Place) -> None:
    for content in ("one", "one", "two"):
        place.put("week 1/part-0.parquet", content)
        place.put("week 1/deep/part-1.parquet", "same")
        place.put("week 1/_SUCCESS", "")
        inbox.accept("telco", only(inbox))
    assert place.tree() == {
        "processed/telco/week 1/part-0.parquet": "one",
        "processed/telco/week 1/deep/part-1.parquet": "same",
        "processed/telco/week 1/_SUCCESS": "",
        "processed/telco/week 1~2/part-0.parquet": "two",
        "processed/telco/week 1~2/deep/part-1.parquet": "same",
        "processed/telco/week 1~2/_SUCCESS": "",
    }


def test_what_was_delivered_anew_while_the_former_was_read_stays(inbox: Inbox, place: Place) -> None:
    place.put("a.csv", "former")
    path = only(inbox)
    read = content_id(path)
    place.put("a.csv", "corrected, and longer")
    inbox.accept("telco", path, content_id=read)
    assert only(inbox).read_text() == "corrected, and longer"
    assert place.tree()["incoming/telco/a.csv"] == "corrected, and longer"


def test_a_file_that_is_gone_is_said(inbox: Inbox, place: Place) -> None:
    place.put("a.csv")
    path = only(inbox)
    place.take("a.csv")
    path.unlink(missing_ok=True)
    with pytest.raises(ServiceUnavailable, match=r"a\.csv cannot be moved"):
        inbox.accept("telco", path)


# refusing


def test_a_refused_file_lies_beside_its_reason(inbox: Inbox, place: Place) -> None:
    place.put("a.csv", "x")
    refused = inbox.refuse("telco", only(inbox), ERROR)
    assert inbox.origin("telco", refused).endswith("/failed/telco/a.csv")
    found = dict(place.tree())
    assert json.loads(found.pop("failed/telco/a.csv.error.json")) == ERROR
    assert found == {"failed/telco/a.csv": "x"}


def test_two_refused_files_of_one_name_keep_their_own_reasons(inbox: Inbox, place: Place) -> None:
    for content in ("one", "two"):
        place.put("a.csv", content)
        inbox.refuse("telco", only(inbox), {"error": content})
    found = place.tree()
    assert (found["failed/telco/a.csv"], found["failed/telco/a~2.csv"]) == ("one", "two")
    assert json.loads(found["failed/telco/a.csv.error.json"]) == {"error": "one"}
    assert json.loads(found["failed/telco/a~2.csv.error.json"]) == {"error": "two"}


def test_refusing_again_changes_nothing(inbox: Inbox, place: Place) -> None:
    place.put("a.csv")
    path = only(inbox)
    refused = inbox.refuse("telco", path, ERROR)
    assert inbox.refuse("telco", path, ERROR) == refused
    assert inbox.refuse("telco", refused, ERROR) == refused
    assert len(place.tree()) == 2


def test_a_refused_folder_keeps_its_parts(inbox: Inbox, place: Place) -> None:
    place.put("week 1/part-0.parquet", "x")
    inbox.refuse("telco", only(inbox), ERROR)
    assert sorted(place.tree()) == ["failed/telco/week 1.error.json", "failed/telco/week 1/part-0.parquet"]


def test_a_file_that_was_accepted_can_still_be_refused(inbox: Inbox, place: Place) -> None:
    place.put("a.csv", "x")
    inbox.accept("telco", only(inbox))
    refused = inbox.refuse("telco", inbox.resolve("telco", "a.csv"), ERROR)
    assert inbox.origin("telco", refused).endswith("/failed/telco/a.csv")
    assert sorted(place.tree()) == ["failed/telco/a.csv", "failed/telco/a.csv.error.json"]
