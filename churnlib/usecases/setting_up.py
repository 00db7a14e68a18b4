"""Prepare everything that an installation needs, part by part; what is wrong with one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from churnlib.errors import ChurnError, ServiceUnavailable
from churnlib.ports import Ledger, Progress
from churnlib.ports.preparing import Preparation, Prepared
from churnlib.spec import Spec, load_spec
from churnlib.variants import Variant


class State(StrEnum):
    """How a part came out."""

    DONE = "done"
    THERE = "was there"
    MEND = "to mend"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class PartReport:
    """One part.

    Attributes:
        said: what there is, or what is wrong.
        hint: how to mend it; None where nothing is wrong.
    """

    part: str
    state: State
    said: str
    hint: str | None = None


def set_up(
    preparations: Iterable[Preparation], progress: Progress, *, scrub: Callable[[str], str]
) -> list[PartReport]:
    """Prepare one after the other.

    Args:
        preparations: in the order in which they need each other.
        progress: told which part it is about.
        scrub: takes secrets out of a text, whoever wrote it.
    """
    reports = []
    for each in preparations:
        progress.step(f"preparing {each.part}")
        state, said, hint = _outcome(each)
        reports.append(PartReport(each.part, state, scrub(said), hint if hint is None else scrub(hint)))
    return reports


def exit_code(reports: Iterable[PartReport]) -> int:
    """3 where a service could not be reached, 2 where something is to be mended, else 0."""
    states = {report.state for report in reports}
    if State.UNREACHABLE in states:
        return ServiceUnavailable.exit_code
    return ChurnError.exit_code if State.MEND in states else 0


def readable_specs(folder: Path) -> tuple[list[Spec], list[ChurnError]]:
    """All specs that can be read, by name, and what is wrong with the others."""
    specs, errors = [], []
    for path in sorted(folder.glob("*.toml")):
        try:
            specs.append(load_spec(path))
        except ChurnError as error:
            errors.append(error)
    return specs, errors


def prepare_specs(folder: Path) -> Prepared:
    """Make the folder, and read what is in it.

    Raises:
        SpecError: the first that cannot be read; its message says how many others there are.
    """
    is_new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    specs, errors = readable_specs(folder)
    if errors:
        more = f" So have {len(errors) - 1} others." if len(errors) > 1 else ""
        raise ChurnError(f"{errors[0].message}{more}", hint=errors[0].hint)
    return Prepared(
        is_new, f"{folder}: {', '.join(spec.name for spec in specs) or 'none yet, churn init writes one'}"
    )


def experiment_names(specs: Iterable[Spec], ledger: Ledger) -> list[str]:
    """Of every spec, and of every slice of its customers that was ever seen; each once."""
    found: dict[str, None] = {}
    own = {spec.name: spec for spec in specs}
    for spec in own.values():
        found[spec.experiment] = None
        with ledger.begin() as tx:
            known = tx.variants(spec.name)
        for variant in known:
            if variant.model not in own:
                found[spec.of_variant(Variant(dimensions=variant.dimensions)).experiment] = None
    return list(found)


def prepare_inbox(incoming: Path, models: Iterable[str]) -> Prepared:
    """A folder for each model, and in it one for outcomes."""
    folders = [incoming / model / "outcomes" for model in models]
    missing = [folder for folder in folders if not folder.is_dir()]
    for folder in [incoming, *missing]:
        folder.mkdir(parents=True, exist_ok=True)
    return Prepared(
        bool(missing), f"{incoming}/: {', '.join(folder.parent.name for folder in folders) or 'no model'}"
    )


def _outcome(preparation: Preparation) -> tuple[State, str, str | None]:
    try:
        prepared = preparation.prepare()
    except ServiceUnavailable as error:
        return State.UNREACHABLE, error.message, error.hint
    except ChurnError as error:
        return State.MEND, error.message, error.hint
    except OSError as error:
        said = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
        return State.MEND, said, "Give this user the right to write there, and see that the disk has space."
    return State.DONE if prepared.is_new else State.THERE, prepared.said, None
