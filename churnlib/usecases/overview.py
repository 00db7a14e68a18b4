"""Every model in one line, what needs a person first: for one model or two thousand, in a few requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from churnlib.errors import ChurnError
from churnlib.governance.succession import recorded_champion, reigns
from churnlib.ports import CHALLENGER, CHAMPION, ModelVersion
from churnlib.records import Approval, ApprovalStatus, Batch, KnownVariant, Report, ReportKind, Transition
from churnlib.usecases.services import Services
from churnlib.variants import Variant

_R = TypeVar("_R", Report, Transition)


@dataclass(frozen=True)
class Line:
    """One model.

    Attributes:
        family: name of the spec.
        variant: the slice, such as `geography-us`; empty for a base model.
        champion: None where nothing scores; a slice's customers are scored by the base model then.
        since: when it became champion.
        by_hand: the champion is another than the record says.
        last_batch: newest one that counts and that the model scored.
        rows: customers in it.
        test_auc: of the champion, when it was trained.
        live_auc: of the champion's newest scores whose outcomes have matured.
        drift: verdict on the newest batch of the champion's that was checked; `performance` likewise.
        approval: the open request about the model.
    """

    model: str
    family: str
    variant: str
    champion: int | None
    since: datetime | None
    by_hand: bool
    challenger: int | None
    last_batch: date | None
    rows: int | None
    test_auc: float | None
    live_auc: float | None
    drift: str | None
    performance: str | None
    approval: Approval | None

    @property
    def falls_back(self) -> bool:
        """Whether the slice has no model of its own."""
        return bool(self.variant) and self.champion is None

    @property
    def attention(self) -> tuple[int, str]:
        """How soon somebody should look (0 is first, 9 not at all), and why in a few words."""
        reasons = (
            (self.by_hand, "alias moved by hand"),
            (self.champion is None and not self.variant, "no champion"),
            (self.drift == "broken", "broken data"),
            (self.approval is not None, "approval"),
            (self.performance == "degraded", "got worse"),
            (self.drift == "drifted", "drifted"),
            (self.performance == "low", "low AUC"),
            (self.drift == "watch", "inputs moved"),
        )
        return next(((place, why) for place, (holds, why) in enumerate(reasons) if holds), (9, ""))


@dataclass(frozen=True)
class _Known:
    """What is on record of all models, by model."""

    batches: Mapping[str, Batch]
    drift: Mapping[str, Sequence[Report]]
    performance: Mapping[str, Sequence[Report]]
    moves: Mapping[str, Sequence[Transition]]
    waiting: Mapping[str, Approval]
    champions: Mapping[str, ModelVersion]
    challengers: Mapping[str, int]


def overview(services: Services, *, family: str | None = None) -> list[Line]:
    """A line for each model: families by what needs attention first, each with its base model before its slices.

    Args:
        services: the ports.
        family: that one only; also the name of a slice's model.

    Raises:
        ChurnError: there is no such family.
    """
    names = services.model_names()
    if family is not None:
        family = services.family(family)
        if family not in names:
            raise ChurnError(f"There is no family {family!r}.", hint=f"There are: {', '.join(names) or 'none'}.")
        names = [family]
    known, slices = _look(services, names)
    families = {name: [_line(known, name, None)] for name in names}
    for each in slices:
        families[each.family].append(_line(known, each.model, each))
    ordered = sorted(families.items(), key=lambda item: (min(line.attention for line in item[1]), item[0]))
    return [line for _, lines in ordered for line in sorted(lines, key=_place)]


def champion_since(champion: ModelVersion, moves: Sequence[Transition]) -> datetime:
    """When the version became champion; a move that only MLflow knows of counts from its registration."""
    present = reigns(moves)[-1:]
    if present and present[0].version == champion.version:
        return present[0].since
    return champion.created_at


def _place(line: Line) -> tuple[bool, bool, tuple[int, str], str]:
    return bool(line.variant), line.falls_back, line.attention, line.model


def _look(services: Services, names: Sequence[str]) -> tuple[_Known, list[KnownVariant]]:
    with services.ledger.begin() as tx:
        batches = tx.newest_batches()
        drift = tx.newest_reports(ReportKind.DRIFT)
        performance = tx.newest_reports(ReportKind.PERFORMANCE)
        pending = tx.approvals(status=ApprovalStatus.PENDING)
        transitions = tx.transitions()
        slices = tx.variants()
    now = services.clock()
    known = _Known(
        batches,
        _by_model(drift),
        _by_model(performance),
        _by_model(transitions),
        {each.model: each for each in pending if each.expires_at > now},
        services.registry.standing(CHAMPION),
        services.registry.all_with(CHALLENGER),
    )
    own = set(services.model_names())
    return known, [each for each in slices if each.family in names and each.model not in own]


def _by_model(records: Iterable[_R]) -> dict[str, list[_R]]:
    found: dict[str, list[_R]] = {}
    for record in records:
        found.setdefault(record.model, []).append(record)
    return found


def _about(reports: Sequence[Report], champion: ModelVersion | None) -> Report | None:
    """The newest report on the champion; what was said about others is history."""
    mine = [report for report in reports if champion is None or report.version == champion.version]
    return mine[-1] if mine else None


def _line(known: _Known, model: str, part: KnownVariant | None) -> Line:
    champion, moves = known.champions.get(model), known.moves.get(model, ())
    batch = known.batches.get(model)
    drift, performance = (_about(kind.get(model, ()), champion) for kind in (known.drift, known.performance))
    return Line(
        model=model,
        family=model if part is None else part.family,
        variant="" if part is None else Variant(dimensions=part.dimensions).prefix().removesuffix("/"),
        champion=None if champion is None else champion.version,
        since=None if champion is None else champion_since(champion, moves),
        by_hand=(None if champion is None else champion.version) != recorded_champion(moves),
        challenger=known.challengers.get(model),
        last_batch=None if batch is None else batch.as_of,
        rows=None if batch is None else batch.accepted,
        test_auc=None if champion is None else champion.metrics.get("test.auc"),
        live_auc=None if performance is None else performance.values.get("auc"),
        drift=None if drift is None else drift.verdict,
        performance=None if performance is None else performance.verdict,
        approval=known.waiting.get(model),
    )
