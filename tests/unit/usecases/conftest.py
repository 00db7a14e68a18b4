"""A champion that was trained once, an empty loop, and one that has the champion."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from churnlib.adapters.ledger import SqlLedger
from churnlib.spec import AS_OF, ID
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.retraining import train_from_file
from churnlib.usecases.scoring import score_file
from tests import builders, families
from tests.loops import MODEL, Loop, MakeLoop, as_delivered, batch_frame, close, make_loop, outcomes_of, run, week

LIVED_WEEKS = 6


@pytest.fixture(scope="session")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger, migrated once."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    SqlLedger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 1,500 customers labelled by the builders' rule, AUC about 0.75."""
    loop = make_loop(tmp_path_factory.mktemp("release"))
    accepted = builders.accepted(1500, seed=1, as_of=week(-2))
    labelled = accepted.join(outcomes_of(accepted), on=[ID, AS_OF], how="inner")
    path = loop.folder / "labelled.csv"
    as_delivered(labelled).write_csv(path)
    made = train_from_file(loop.services, run(), model=MODEL, path=path)
    return loop.registry.fetch(MODEL, made.version.version)


@pytest.fixture
def make(tmp_path: Path, ledger_file: Path, release: Path) -> MakeLoop:
    """Makes loops whose version 1 is champion, each in a folder of its own."""
    numbers = count()

    def made() -> Loop:
        loop = _empty(tmp_path / str(next(numbers)), ledger_file)
        loop.register(release)
        return loop

    return made


@pytest.fixture
def empty(tmp_path: Path, ledger_file: Path) -> Loop:
    """A loop that has no model yet."""
    return _empty(tmp_path / "empty", ledger_file)


@pytest.fixture
def loop(make: MakeLoop) -> Loop:
    """A loop whose version 1 is champion."""
    return make()


@pytest.fixture(scope="session")
def lived_data(tmp_path_factory: pytest.TempPathFactory, ledger_file: Path, release: Path) -> Path:
    """What six weeks leave behind in which customers do the opposite of what version 1 learned."""
    loop = _empty(tmp_path_factory.mktemp("lived") / "home", ledger_file)
    loop.register(release)
    for number in range(LIVED_WEEKS):
        loop.clock.set_to(week(number))
        score_file(loop.services, run(), model=MODEL, path=loop.deliver(batch_frame(number), f"{number}.csv"))
        if number > 0:
            outcomes = outcomes_of(batch_frame(number - 1), turned=True)
            take_outcomes(loop.services, run(), model=MODEL, path=loop.deliver(outcomes, f"outcomes/{number}.csv"))
    close(loop)
    return loop.data


@pytest.fixture
def make_lived(tmp_path: Path, lived_data: Path, release: Path) -> MakeLoop:
    """Makes loops that have lived for six weeks, of which five have matured; it is the last one's day."""
    numbers = count()

    def made() -> Loop:
        folder = tmp_path / f"lived-{next(numbers)}"
        shutil.copytree(lived_data, folder / "data")
        loop = make_loop(folder, now=week(LIVED_WEEKS - 1))
        loop.register(release)
        return loop

    return made


@pytest.fixture
def lived(make_lived: MakeLoop) -> Loop:
    """A loop that has lived for six weeks."""
    return make_lived()


@pytest.fixture(scope="session")
def grown_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a family of models leaves behind that has lived until two of its slices have their own."""
    folder = tmp_path_factory.mktemp("family") / "home"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("churnlib.usecases.training.write_plots", lambda *_: [])
        families.grow(folder)
    return folder


@pytest.fixture
def family(tmp_path: Path, grown_family: Path) -> Loop:
    """A family of models on the day after two of its slices got their own."""
    return families.grown(grown_family, tmp_path / "family")


@pytest.fixture
def frame() -> pl.DataFrame:
    """The accepted rows of the first week."""
    return batch_frame(0)


def _empty(folder: Path, ledger_file: Path) -> Loop:
    (folder / "data").mkdir(parents=True)
    shutil.copy(ledger_file, folder / "data" / "ledger.db")
    return make_loop(folder)
