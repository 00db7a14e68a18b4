"""The same rows, spec and code give the same bytes, and are not trained again unless somebody insists."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnlib.ports import CHAMPION
from churnlib.records import ApprovalStatus
from churnlib.spec import AS_OF, ID
from churnlib.usecases.by_hand import rollback
from churnlib.usecases.promotion import conclude, settle
from churnlib.usecases.retraining import TrainResult, retrain, train_from_file
from churnlib.usecases.switching import promote
from churnlib.usecases.unchanged import Unchanged
from tests import builders
from tests.loops import MODEL, Loop, MakeLoop, as_delivered, outcomes_of, run, small_spec, week, write_spec

SAYS_WHEN = {"manifest.json", "lineage.json"}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thirds of the time."""
    monkeypatch.setattr("churnlib.usecases.training.write_plots", lambda *_: [])


def labelled_file(loop: Loop, *, turned: bool = False, rows: int = 1500, name: str = "labelled") -> Path:
    accepted = builders.accepted(rows, seed=77, as_of=week(-2))
    labelled = accepted.join(outcomes_of(accepted, turned=turned), on=[ID, AS_OF])
    path = loop.folder / f"{name}-{turned}-{rows}.csv"
    as_delivered(labelled).write_csv(path)
    return path


def train(loop: Loop, path: Path, *, force: bool = False) -> TrainResult:
    run_id = f"run-{len(loop.registry.versions(MODEL))}-{len(loop.decisions())}"
    return train_from_file(loop.services, run(run_id), model=MODEL, path=path, force=force)


def refused(loop: Loop, path: Path) -> str:
    before = len(loop.registry.versions(MODEL))
    with pytest.raises(Unchanged) as raised:
        train(loop, path)
    assert len(loop.registry.versions(MODEL)) == before
    return "; ".join(raised.value.decision.reasons)


def answer(loop: Loop, *, approve: bool) -> None:
    with loop.services.ledger.begin() as tx:
        approval = tx.approvals(MODEL)[-1]
    settle(loop.services, approval.approval_id, approve=approve, who="ann", source="cli", reason=None)
    conclude(loop.services, run(), approval.approval_id)


def content(loop: Loop, version: int) -> dict[str, bytes]:
    folder = loop.registry.fetch(MODEL, version)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in SAYS_WHEN}


def test_the_same_rows_spec_and_seed_give_the_same_bytes(make: MakeLoop) -> None:
    first, second = make(), make()
    for loop in (first, second):
        loop.registry.delete_version(MODEL, 1)
    second.clock.move(days=3)
    made = [train(loop, labelled_file(loop)).version.version for loop in (first, second)]
    assert content(first, made[0]) == content(second, made[1])
    assert len(content(first, made[0])) >= 7


def test_another_seed_gives_other_bytes(make: MakeLoop) -> None:
    first, second = make(), make()
    for loop in (first, second):
        loop.registry.delete_version(MODEL, 1)
    write_spec(second.services.specs, small_spec(training={"seed": 8}))
    made = [train(loop, labelled_file(loop)).version.version for loop in (first, second)]
    assert content(first, made[0])["booster.ubj"] != content(second, made[1])["booster.ubj"]


def test_the_champion_s_own_file_is_not_trained_again_and_that_is_on_record(empty: Loop) -> None:
    path = labelled_file(empty)
    train(empty, path)
    same = labelled_file(empty, name="under another name")
    assert refused(empty, same) == "nothing changed since version 1, which is champion: not trained"
    [decision] = empty.decisions()
    assert (decision.action, decision.trigger, decision.reasons) == (
        "wait",
        "hand",
        ("nothing changed since version 1, which is champion: not trained",),
    )


def test_by_force_it_is_trained_all_the_same_and_gives_the_same_booster(empty: Loop) -> None:
    path = labelled_file(empty)
    train(empty, path)
    again = train(empty, path, force=True)
    assert again.version.version == 2
    assert again.alias is None, "a twin does not win"
    assert content(empty, 1)["booster.ubj"] == content(empty, 2)["booster.ubj"]


@pytest.mark.parametrize("change", ["spec", "rows", "code"])
def test_a_change_of_spec_rows_or_code_trains(empty: Loop, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = labelled_file(empty)
    train(empty, path)
    if change == "spec":
        write_spec(empty.services.specs, small_spec(training={"max_depth": 2}))
    if change == "rows":
        path = labelled_file(empty, rows=1501)
    if change == "code":
        monkeypatch.setattr("churnlib.usecases.training.code_version", lambda: "9.9")
    assert train(empty, path).version.version == 2


def test_a_comment_in_the_spec_is_no_change(empty: Loop) -> None:
    path = labelled_file(empty)
    train(empty, path)
    spec = empty.services.specs / f"{MODEL}.toml"
    spec.write_text(f"# a word of explanation\n{spec.read_text()}")
    assert "nothing changed since version 1" in refused(empty, path)


def test_what_the_gates_held_is_not_trained_again_against_the_same_champion(empty: Loop) -> None:
    train(empty, labelled_file(empty))
    weaker = labelled_file(empty, rows=700)
    assert train(empty, weaker).alias is None
    assert refused(empty, weaker) == "nothing changed since version 2, which the gates held: not trained"


def test_against_another_champion_it_is_compared_anew(empty: Loop) -> None:
    train(empty, labelled_file(empty))
    weaker = labelled_file(empty, rows=700)
    train(empty, weaker)
    third = train(empty, labelled_file(empty, rows=800)).version.version
    promote(empty.services, run("switch"), model=MODEL, version=third, reason="by order", sure=True)
    assert train(empty, weaker).version.version == 4


@pytest.mark.parametrize(
    ("then", "says"),
    [
        ("waits", "version 2, which waits for approval"),
        ("rejected", "version 2, which was rejected by ann"),
        ("promoted", "version 2, which is champion"),
        ("left", "version 2, which was champion, and was left"),
        ("expired", None),
    ],
)
def test_a_judged_challenger_is_not_made_again_while_its_answer_stands(
    loop: Loop, then: str, says: str | None
) -> None:
    first = loop.registry.version(MODEL, 1)
    assert first is not None
    path = labelled_file(loop, turned=True)
    assert train(loop, path).alias == "challenger"
    if then in {"rejected", "promoted", "left"}:
        answer(loop, approve=then != "rejected")
    if then == "left":
        rollback(loop.services, run("back"), model=MODEL, reason="complaints")
    if then == "expired":
        loop.clock.move(days=30)
    if says is None:
        assert train(loop, path).version.version == 3
    else:
        assert says in refused(loop, path)


def test_a_version_that_a_killed_training_left_unjudged_is_no_reason_to_stop(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = labelled_file(loop, turned=True)
    with monkeypatch.context() as patched:
        patched.setattr("churnlib.usecases.judged_training.compare_with_champion", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(loop, path)
    assert len(loop.registry.versions(MODEL)) == 2
    assert train(loop, path).alias == "challenger"


def test_a_history_that_did_not_grow_is_not_trained_again_unless_by_force(lived: Loop) -> None:
    def ask(key: str, *, force: bool = False) -> tuple[str, ...]:
        result = retrain(
            lived.services, run(key), model=MODEL, trigger="hand", reason="because", key=key, force=force
        )
        return (result.decision.action, *result.decision.reasons)

    assert ask("one")[0] == "retrain"
    answer(lived, approve=False)
    waits = ("wait", "nothing changed since version 2, which was rejected by ann: not trained")
    assert ask("two") == waits
    assert ask("two") == waits, "the same key gives the recorded answer"
    assert len(lived.registry.versions(MODEL)) == 2
    assert ask("three", force=True)[0] == "retrain"
    assert len(lived.registry.versions(MODEL)) == 3
    assert content(lived, 2) == content(lived, 3)


def test_new_outcomes_are_a_change(lived: Loop) -> None:
    retrain(lived.services, run("1"), model=MODEL, trigger="hand", reason="", key="one")
    answer(lived, approve=False)
    lived.clock.set_to(week(7))
    frame = lived.services.snapshots.scan(MODEL)
    assert frame is not None
    newest = frame.filter(frame.collect().get_column(AS_OF) == week(5)).collect()
    lived.know(outcomes_of(newest, turned=True), known_at=week(6), file_id="late")
    result = retrain(lived.services, run("2"), model=MODEL, trigger="hand", reason="", key="two")
    assert result.decision.action == "retrain"
    with lived.services.ledger.begin() as tx:
        assert tx.approvals(MODEL)[0].status is ApprovalStatus.REJECTED
    assert lived.registry.by_alias(MODEL, CHAMPION) is not None
