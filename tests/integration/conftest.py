"""A home with a champion and a short history, and the real stack around it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from churnlib.settings import ROOT, Settings
from churnlib.simulation.changes import make_change
from churnlib.simulation.world import World
from churnlib.usecases.services import Services
from flows import deployments
from flows.stack import Stack
from flows.wiring import services

MODEL = "subscription"
CUSTOMERS = 3000
FIRST_MONDAY = date(2026, 3, 2)
CHANGE_WEEK = 10


@dataclass(frozen=True)
class Home:
    """One installation: its settings, its services without a bus, and the business that it serves."""

    settings: Settings
    services: Services
    world: World


def make_home(folder: Path) -> Home:
    """An empty installation with the demo's spec, made small enough for tests."""
    settings = Settings(home=folder, prefect_api_url=None)
    settings.specs.mkdir(parents=True)
    shutil.copy(ROOT / "models" / f"{MODEL}.toml", settings.specs)
    change = make_change("price_rise", week=CHANGE_WEEK)
    return Home(settings, services(settings), World(7, CUSTOMERS, first_monday=FIRST_MONDAY, change=change))


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The installation that the running stack serves."""
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def stack(stack_home: Home) -> Iterator[Stack]:
    """The real Prefect server, worker, approvals service and watcher, deployed."""
    with Stack(stack_home.settings) as running:
        running.start_prefect()
        deployments.apply(running.prefect_api_url)
        running.start_workers()
        running.start_watcher()
        yield running


@pytest.fixture
def live(stack_home: Home, stack: Stack) -> Services:
    """The installation's services, with events going to the running stack."""
    return services(stack_home.settings.model_copy(update={"prefect_api_url": stack.prefect_api_url}))


def now() -> datetime:
    """The clock of tests that need no other."""
    return datetime.now(UTC)
