"""Two versions of a model side by side: on the same rows where there are any, and in what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from churnlib.errors import ChurnError
from churnlib.governance import side_by_side_facts as facts
from churnlib.governance.comparison import compare
from churnlib.governance.gates import judge
from churnlib.governance.side_by_side import CallChange, Gap, Measured, SideBySide
from churnlib.governance.side_by_side_calls import call_change
from churnlib.governance.side_by_side_measures import curve, measures
from churnlib.governance.side_by_side_page import can_draw
from churnlib.modelling.scoring import score
from churnlib.modelling.speed import Timer
from churnlib.ports import ModelVersion
from churnlib.spec import Spec
from churnlib.usecases.comparing_file import file_rows
from churnlib.usecases.comparing_keeping import keep
from churnlib.usecases.comparing_rows import (
    CommonRows,
    NothingToCompareOn,
    Side,
    later_rows,
    newest_rows,
    without_outcomes,
)
from churnlib.usecases.comparing_speed import speed_of
from churnlib.usecases.services import Run, Services

NO_SPEED = Gap(
    what="speed",
    why="There are no rows with the columns of both versions, so neither was timed.",
    way_out="Name a labelled file that has them: --data FILE.",
)


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes:
        page: where the page was written; None where none was asked for.
        artifacts: what stands in the second version's run in MLflow, by its path there.
        note: why something was not written; empty where all was.
    """

    found: SideBySide
    page: Path | None
    artifacts: tuple[str, ...]
    note: str = ""


def compare_versions(
    services: Services,
    run: Run,
    *,
    model: str,
    first: int,
    second: int,
    timer: Timer,
    data: Path | None = None,
    page: Path | None = None,
) -> Compared:
    """Compare two versions, and keep the result with the second one's run.

    Args:
        services: the ports.
        run: shows how far it is.
        model: registered model name.
        first: version that is compared with, usually the champion.
        second: version that is looked at.
        timer: CPU seconds of this process.
        data: labelled file; None takes the newest snapshots with outcomes.
        page: where to write the page for people as well; None writes it to MLflow only.

    Raises:
        ChurnError: the same version twice, no such version, a file that lacks a column of either; a page is
            asked for and matplotlib is not installed.
    """
    if page is not None:
        can_draw(must=True)
    versions = _versions(services, model, first, second)
    spec = services.spec(model)
    found = _side_by_side(services, run, spec, versions, data, timer)
    run.progress.step("writing the comparison")
    artifacts, note = keep(services, found, page)
    return Compared(found, page, artifacts, note)


def _versions(services: Services, model: str, first: int, second: int) -> tuple[ModelVersion, ModelVersion]:
    if first == second:
        raise ChurnError(
            f"Version {first} of {model} cannot be compared with itself.",
            hint=f"Name two versions; `churn search {model}` lists them.",
        )
    found = [services.registry.version(model, number) for number in (first, second)]
    for number, version in zip((first, second), found, strict=True):
        if version is None:
            there = sorted(each.version for each in services.registry.versions(model))
            which = f"it has {', '.join(f'v{each}' for each in there)}" if there else "it has none"
            raise ChurnError(f"{model} has no version {number}; {which}.", hint=f"See churn search {model}.")
    one, two = found
    assert one is not None
    assert two is not None
    return one, two


def _side_by_side(
    services: Services,
    run: Run,
    spec: Spec,
    versions: tuple[ModelVersion, ModelVersion],
    data: Path | None,
    timer: Timer,
) -> SideBySide:
    run.progress.step(f"loading v{versions[0].version} and v{versions[1].version}")
    first, second = (Side(each.version, services.release(each.model, each.version)) for each in versions)
    run.progress.step("looking for rows that neither learned from")
    honest, rows, gaps = _rows(services, spec, first, second, data)
    measured = None
    if honest is not None:
        run.progress.step(f"measuring both on {honest.second.height:,} customers")
        try:
            measured = _measure(honest, spec, first, second)
        except ChurnError as error:
            gaps = [*gaps, Gap(what="metrics", why=error.message, way_out=error.hint)]
    run.progress.step("timing both")
    speed = speed_of(services, spec.name, rows, first, second, timer)
    if speed is None:
        gaps = [*gaps, NO_SPEED]
    one, two = first.release, second.release
    return SideBySide(
        model=spec.name,
        first=first.version,
        second=second.version,
        aliases=(versions[0].aliases, versions[1].aliases),
        made_at=services.clock(),
        measured=measured,
        own=facts.own_metrics(one, two),
        calls=None if rows is None else _calls(rows, spec, first, second),
        importance=facts.importance(one, two),
        settings=facts.setting_differences(one, two, versions[0].params, versions[1].params),
        lineage=facts.lineage(one, two, who=_who(services, versions), trigger=_triggers(versions)),
        footprint=facts.footprint(one, two, _sizes(services, versions)),
        speed=speed,
        gaps=tuple(gaps),
    )


def _rows(
    services: Services, spec: Spec, first: Side, second: Side, data: Path | None
) -> tuple[CommonRows | None, CommonRows | None, list[Gap]]:
    """Rows to measure on, rows for what needs no outcomes, and what is missing."""
    if data is not None:
        found = file_rows(services, spec, data, first, second)
        return found.honest, found.honest or found.every, [] if found.why is None else [_gap("metrics", found.why)]
    gaps = []
    try:
        rows = later_rows(services, spec, first, second)
        return rows, without_outcomes(rows), []
    except NothingToCompareOn as missing:
        gaps.append(_gap("metrics", missing))
    try:
        return None, newest_rows(services, spec, first, second), gaps
    except NothingToCompareOn as missing:
        return None, None, [*gaps, _gap("call list", missing)]


def _gap(what: str, missing: NothingToCompareOn) -> Gap:
    return Gap(what=what, why=missing.message, way_out=missing.hint)


def _measure(rows: CommonRows, spec: Spec, first: Side, second: Side) -> Measured:
    assert rows.churned is not None
    judging = _judging(spec, second, rows.both)
    one, two = _probabilities(first, rows.first), _probabilities(second, rows.second)
    evidence = compare(
        churned=rows.churned,
        champion_probability=one,
        challenger_probability=two,
        rows=rows.both,
        spec=judging,
        champion=first.version,
        challenger=second.version,
        cutoff=rows.cutoff,
    ).model_copy(update={"rows_are": rows.are})
    return Measured(
        evidence=evidence,
        gates=judge(evidence, spec.promotion),
        measures=measures(evidence, rows.churned, one, two, judging),
        first_curve=curve(rows.churned, one),
        second_curve=curve(rows.churned, two),
        source=rows.source,
        notes=rows.notes,
    )


def _judging(spec: Spec, second: Side, rows: pl.DataFrame) -> Spec:
    """The second version's spec with today's rules, and today's value column where the rows have it."""
    own = second.release.spec
    named = spec.columns.value if spec.columns.value in rows.columns else own.columns.value
    columns = own.columns.model_copy(update={"value": named})
    return own.model_copy(update={"name": spec.name, "promotion": spec.promotion, "columns": columns})


def _probabilities(side: Side, rows: pl.DataFrame) -> np.ndarray:
    return score(side.release, rows, reasons=False).frame.get_column("probability").to_numpy()


def _calls(rows: CommonRows, spec: Spec, first: Side, second: Side) -> CallChange:
    one, two = _probabilities(first, rows.first), _probabilities(second, rows.second)
    return call_change(rows.both, one, two, _judging(spec, second, rows.both), source=rows.source)


def _who(services: Services, versions: Sequence[ModelVersion]) -> tuple[str | None, str | None]:
    """Whose word brought each version into play first, as the ledger has it."""
    with services.ledger.begin() as tx:
        moves = tx.transitions(versions[0].model, every=True)
    first, second = (
        next((move.who for move in moves if move.to_version == version.version), None) for version in versions
    )
    return first, second


def _triggers(versions: Sequence[ModelVersion]) -> tuple[str | None, str | None]:
    first, second = (version.tags.get("churn.trigger") for version in versions)
    return first, second


def _sizes(services: Services, versions: Sequence[ModelVersion]) -> tuple[int, int]:
    first, second = (
        sum(file.stat().st_size for file in services.registry.fetch(each.model, each.version).iterdir())
        for each in versions
    )
    return first, second
