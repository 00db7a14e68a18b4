"""Every part of an installation is tried, whatever became of the others, and no secret is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports import Silent
from churnlib.ports.preparing import Preparation, Prepared
from churnlib.usecases.setting_up import PartReport, State, exit_code, prepare_inbox, prepare_specs, set_up


def raising(error: Exception) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        raise error

    return prepare


WRONG = ChurnError("No right at db:sesame@host.", hint="Ask sesame.")
DOWN = ServiceUnavailable("It does not answer.", hint="Start it.")


def reports(*prepare: Callable[[], Prepared]) -> list[PartReport]:
    parts = [Preparation(f"part {number}", each) for number, each in enumerate(prepare)]
    return set_up(parts, Silent(), scrub=lambda text: text.replace("sesame", "***"))


def test_what_is_wrong_with_one_does_not_stop_the_others() -> None:
    found = reports(
        raising(DOWN),
        raising(WRONG),
        raising(PermissionError(13, "Permission denied", "/x")),
        lambda: Prepared(True, "made"),
    )
    assert [each.state for each in found] == [State.UNREACHABLE, State.MEND, State.MEND, State.DONE]
    assert found[2].said == "/x: Permission denied."
    assert [each.hint is None for each in found] == [False, False, False, True]


def test_secrets_are_taken_out_of_what_is_said_and_of_the_hint() -> None:
    (found,) = reports(raising(WRONG))
    assert (found.said, found.hint) == ("No right at db:***@host.", "Ask ***.")


@pytest.mark.parametrize(
    ("errors", "code"), [((), 0), ((WRONG,), 2), ((DOWN,), 3), ((DOWN, WRONG), 3), ((WRONG, DOWN), 3)]
)
def test_the_exit_code_is_that_of_the_worst(errors: tuple[Exception, ...], code: int) -> None:
    assert exit_code(reports(lambda: Prepared(False, "there"), *map(raising, errors))) == code


def test_a_fault_of_ours_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        reports(raising(ZeroDivisionError()))


def test_folders_are_new_once(tmp_path: Path) -> None:
    made = [prepare_inbox(tmp_path / "incoming", ["a", "b"]).is_new for _ in range(2)]
    made += [prepare_specs(tmp_path / "models").is_new for _ in range(2)]
    assert made == [True, False, True, False]
    assert (tmp_path / "incoming" / "b" / "outcomes").is_dir()


def test_the_first_broken_spec_is_named_and_the_others_counted(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.toml").write_text("nonsense = 1")
    with pytest.raises(ChurnError, match=r"a\.toml.* So have 2 others\."):
        prepare_specs(tmp_path)
