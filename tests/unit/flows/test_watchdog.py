"""The watchdog tells of aliases that were moved by hand: new ones aloud, all of them in its count."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from churnlib.errors import ServiceUnavailable
from churnlib.usecases.alias_watch import AliasEdit
from churnlib.usecases.services import Services
from flows import watchdog

NEW = AliasEdit("telco", "champion", 3, 5, is_new=True)
KNOWN = AliasEdit("bank", "champion", 1, 2)
NO_SERVICES = cast(Services, None)

Tell = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Tell:
    """What the watchdog says of these edits, and the pages that it leaves."""

    def told(look: Callable[[Services], list[AliasEdit]]) -> tuple[str, list[str]]:
        pages: list[str] = []
        monkeypatch.setattr(watchdog, "look_at_aliases", look)
        monkeypatch.setattr(watchdog, "get_run_logger", lambda: logging.getLogger("watchdog"))
        monkeypatch.setattr(watchdog, "show_text", lambda key, text: pages.append(text))
        return watchdog._tell_of_aliases(NO_SERVICES), pages

    return told


def test_a_new_edit_is_told_with_what_to_do_and_a_known_one_only_counted(
    tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    said, pages = tell(lambda _: [NEW, KNOWN])
    assert said == "aliases moved by hand: 2"
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "The alias champion of telco was set by hand: MLflow says v5, the record says v3. v5 scores"
    )
    assert "churn alias telco --adopt" in line
    [page] = pages
    assert "telco" in page
    assert "bank" not in page


def test_where_all_aliases_stand_nothing_is_told(tell: Tell, caplog: pytest.LogCaptureFixture) -> None:
    assert tell(lambda _: []) == ("aliases moved by hand: 0", [])
    assert caplog.records == []


def test_a_registry_that_does_not_answer_does_not_end_the_watch(
    tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    def down(_: Services) -> list[Any]:
        raise ServiceUnavailable("MLflow does not answer.", hint="Start it.")

    assert tell(down) == ("aliases not looked at", [])
    assert "MLflow does not answer" in caplog.text
