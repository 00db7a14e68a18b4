"""Read, check and apply `prefect.yaml` and `deployments/automations.yaml`."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.events import EVENT_TYPES, Event, Scalar
from churnlib.settings import ROOT, child_environment

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

PREFECT_FILE = ROOT / "prefect.yaml"
AUTOMATIONS_FILE = ROOT / "deployments" / "automations.yaml"
WORK_POOL = "churn"

_TEMPLATE = re.compile(r"\{\{ event\.payload\.(\w+) \}\}")


@dataclass(frozen=True)
class Link:
    """One arrow of the chain: an event that starts a deployment.

    Attributes:
        deployment: `<flow>/<deployment>`.
        parameters: literal, or `{{ event.payload.<field> }}`.
    """

    event: str
    deployment: str
    parameters: Mapping[str, str]

    def render(self, event: Event) -> dict[str, Scalar]:
        """The run's parameters for this event."""
        return {name: _render(value, event) for name, value in self.parameters.items()}


def links(path: Path = PREFECT_FILE) -> list[Link]:
    """Every arrow that `prefect.yaml` draws."""
    return [
        Link(event, f"{load_flow(entry).name}/{entry['name']}", trigger.get("parameters") or {})
        for entry in _read(path)["deployments"]
        for trigger in entry.get("triggers") or []
        for event in trigger["expect"]
    ]


def problems(path: Path = PREFECT_FILE) -> list[str]:
    """What is wrong with the file, in words; empty when nothing is.

    Prefect accepts a misspelt key in a trigger silently and then fires on any event.
    """
    return [problem for entry in _read(path)["deployments"] for problem in _entry_problems(entry)]


def apply(prefect_api_url: str, *, root: Path = ROOT) -> list[str]:
    """Create or update the work pool, the deployments and the automations; returns what was done.

    Raises:
        ChurnError: the files are wrong, or Prefect refused them.
        ServiceUnavailable: Prefect does not answer.
    """
    found = problems(root / "prefect.yaml")
    if found:
        raise ChurnError(f"prefect.yaml is wrong: {'; '.join(found)}.", hint="Correct it and deploy again.")
    _require_server(prefect_api_url)
    environment = {"PREFECT_API_URL": prefect_api_url, "CHURN_ROOT": str(root)}
    _prefect(["work-pool", "create", WORK_POOL, "--type", "process", "--overwrite"], root, environment)
    _prefect(["deploy", "--all"], root, environment)
    names = [f"deployment {entry['name']}" for entry in _read(root / "prefect.yaml")["deployments"]]
    return names + _apply_automations(prefect_api_url, root / "deployments" / "automations.yaml")


def _entry_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    try:
        accepted = set(inspect.signature(load_flow(entry).fn).parameters)
    except (ImportError, AttributeError) as error:
        yield f"{entry['name']}: {entry['entrypoint']} cannot be imported ({error})"
        return
    for trigger in entry.get("triggers") or []:
        yield from (f"{entry['name']}: {problem}" for problem in _trigger_problems(trigger, accepted))


def _trigger_problems(trigger: Mapping[str, Any], accepted: set[str]) -> Iterator[str]:
    from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

    payloads = {kind.name: {"key", "model", *kind.payload} for kind in EVENT_TYPES}
    for key in set(trigger) - set(DeploymentEventTrigger.model_fields) - {"type"}:
        yield f"unknown trigger key {key!r}"
    if not trigger.get("expect"):
        yield "a trigger without expect fires on every event"
    for event in trigger.get("expect") or []:
        if event not in payloads:
            yield f"unknown event {event!r}"
            continue
        for name, value in (trigger.get("parameters") or {}).items():
            if name not in accepted:
                yield f"the flow has no parameter {name!r}"
            field = _TEMPLATE.fullmatch(str(value))
            if field is None and "{{" in str(value):
                yield f"parameter {name}: only a plain '{{{{ event.payload.<field> }}}}' is understood"
            if field is not None and field[1] not in payloads[event]:
                yield f"{event} carries no {field[1]!r}"


def _apply_automations(prefect_api_url: str, path: Path) -> list[str]:
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore
    from prefect.settings import PREFECT_API_URL, temporary_settings

    done = []
    with temporary_settings({PREFECT_API_URL: prefect_api_url}), get_client(sync_client=True) as client:
        for entry in _read(path)["automations"]:
            for action in entry["actions"]:
                named = client.read_deployment_by_name(action.pop("deployment"))
                action |= {"deployment_id": str(named.id), "source": "selected"}
            wanted = AutomationCore.model_validate(entry)
            done.append(f"automation {wanted.name}: {_upsert(client, wanted)}")
    return done


def _upsert(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return "created"
    kept, *doubles = found
    for double in doubles:
        client.delete_automation(double.id)
    if type(wanted)(**kept.model_dump(exclude={"id", "owner_resource"})) == wanted:
        return "unchanged"
    client.update_automation(kept.id, wanted)
    return "updated"


def _require_server(prefect_api_url: str) -> None:
    import httpx

    try:
        httpx.get(f"{prefect_api_url}/health", timeout=5).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceUnavailable(
            f"Prefect at {prefect_api_url} does not answer.",
            hint="Start the local stack with `churn up`, or set CHURN_PREFECT_API_URL.",
        ) from error


def _prefect(arguments: list[str], root: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(  # noqa: S603  fixed arguments
        command,
        cwd=root,
        env=child_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ChurnError(
            f"prefect {arguments[0]} failed: {' '.join(last)}", hint="Its full output: run it by hand."
        )


def load_flow(entry: Mapping[str, Any]) -> Flow[..., Any]:
    """Import the flow that a deployment names."""
    path, name = entry["entrypoint"].split(":")
    found: Flow[..., Any] = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    return found


def _render(value: str, event: Event) -> Scalar:
    field = _TEMPLATE.fullmatch(str(value))
    return event.payload[field[1]] if field else value


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(path.read_text())
    return content
