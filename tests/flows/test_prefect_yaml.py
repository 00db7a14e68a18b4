"""`prefect.yaml` says what it means: Prefect accepts a misspelt trigger key and then fires on any event."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from churnlib.errors import ChurnError
from churnlib.events import (
    BATCH_ARRIVED,
    BATCH_SCORED,
    CHALLENGER_REGISTERED,
    DRIFT_DETECTED,
    EVENT_TYPES,
    OUTCOMES_ARRIVED,
    PERFORMANCE_DEGRADED,
    make_event,
)
from flows.deployments import PREFECT_FILE, apply, links, problems

CONTENT: dict[str, Any] = yaml.safe_load(PREFECT_FILE.read_text())


def changed(folder: Path, **change: Any) -> Path:
    """A prefect.yaml whose only deployment is scoring, with its trigger changed (None removes a key)."""
    scoring = next(entry for entry in CONTENT["deployments"] if entry["name"] == "scoring")
    trigger = {**scoring["triggers"][0], **change}
    trigger = {key: value for key, value in trigger.items() if value is not None}
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": [{**scoring, "triggers": [trigger]}]}))
    return path


def test_the_file_has_no_problem() -> None:
    assert problems() == []


def test_every_link_of_the_chain_is_drawn_once() -> None:
    assert sorted((link.event, link.deployment) for link in links()) == [
        (BATCH_ARRIVED.name, "churn-scoring/scoring"),
        (BATCH_SCORED.name, "churn-drift/drift"),
        (CHALLENGER_REGISTERED.name, "churn-promotion/promotion"),
        (DRIFT_DETECTED.name, "churn-retraining/retraining"),
        (OUTCOMES_ARRIVED.name, "churn-outcomes/outcomes"),
        (PERFORMANCE_DEGRADED.name, "churn-retraining/retraining"),
    ]


def test_a_misspelt_trigger_key_is_found(tmp_path: Path) -> None:
    path = changed(tmp_path, expect=None, expects=["churn.batch.arrived"])
    found = " ".join(problems(path))
    assert "unknown trigger key 'expects'" in found
    assert "fires on every event" in found


@pytest.mark.parametrize("expect", [[], None])
def test_a_trigger_without_expect_is_found(tmp_path: Path, expect: list[str] | None) -> None:
    assert any("fires on every event" in problem for problem in problems(changed(tmp_path, expect=expect)))


def test_an_unknown_event_name_is_found(tmp_path: Path) -> None:
    path = changed(tmp_path, expect=["churn.batch.arived"])
    assert any("unknown event 'churn.batch.arived'" in problem for problem in problems(path))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"fle": "{{ event.payload.file }}"}, "no parameter 'fle'"),
        ({"file": "{{ event.payload.path }}"}, "carries no 'path'"),
        ({"key": "{{ event.id }}"}, "only a plain"),
        ({"file": "{{ event.payload.file | tojson }}"}, "only a plain"),
    ],
)
def test_a_parameter_that_would_fail_at_run_time_is_found(
    tmp_path: Path, parameters: dict[str, str], said: str
) -> None:
    assert any(said in problem for problem in problems(changed(tmp_path, parameters=parameters)))


def test_a_flow_that_cannot_be_imported_is_found(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": [{"name": "x", "entrypoint": "flows/nowhere.py:nothing"}]}))
    assert any("cannot be imported" in problem for problem in problems(path))


def test_a_wrong_file_is_not_deployed(tmp_path: Path) -> None:
    changed(tmp_path, expect=["churn.batch.arived"])
    with pytest.raises(ChurnError, match="unknown event"):
        apply("http://127.0.0.1:9/api", root=tmp_path)


def test_a_link_renders_what_the_event_carries_and_keeps_types() -> None:
    link = next(link for link in links() if link.event == CHALLENGER_REGISTERED.name)
    event = make_event(
        CHALLENGER_REGISTERED,
        model="m",
        subject="2",
        occurred_at=datetime(2026, 1, 5, tzinfo=UTC),
        version=2,
        as_of="2026-01-05",
        approval_id="a",
    )
    assert link.render(event) == {"model": "m", "version": 2, "approval_id": "a", "key": event.key}


def test_every_event_that_starts_a_run_carries_the_key_that_makes_it_act_once() -> None:
    for link in links():
        assert link.parameters["key"] == "{{ event.payload.key }}"


def test_an_event_with_other_fields_than_its_type_declares_is_refused() -> None:
    with pytest.raises(ValueError, match="carries"):
        make_event(BATCH_ARRIVED, model="m", subject="s", occurred_at=datetime(2026, 1, 5, tzinfo=UTC), path="x")


def test_event_names_are_unique() -> None:
    assert len({kind.name for kind in EVENT_TYPES}) == len(EVENT_TYPES)


def test_schedules_are_what_the_readme_says() -> None:
    schedules = {entry["name"]: entry.get("schedules", []) for entry in CONTENT["deployments"]}
    assert schedules["scoring"][0]["cron"] == "0 0 * * 1"
    assert schedules["scoring"][0]["timezone"] == "UTC"
    assert schedules["retraining"][0]["interval"] == 90 * 24 * 3600
    assert schedules["outcomes"][0]["cron"].endswith("* * 1")
    assert schedules["watchdog"][0]["cron"] == "*/5 * * * *"


def test_one_training_at_a_time_and_the_others_wait() -> None:
    retraining = next(entry for entry in CONTENT["deployments"] if entry["name"] == "retraining")
    assert retraining["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_every_deployment_reads_well_in_the_form() -> None:
    from prefect.utilities.callables import parameter_schema

    from flows.deployments import load_flow

    for entry in CONTENT["deployments"]:
        assert entry["description"].endswith(".")
        assert "churn" in entry["tags"]
        for name, field in parameter_schema(load_flow(entry)).properties.items():
            assert field.get("description"), f"{entry['name']}: {name} has no description"
