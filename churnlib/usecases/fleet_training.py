"""Train the models of a family together: a few at a time, and one request to a person about all that won."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from churnlib.errors import ChurnError
from churnlib.events import DRIFT_DETECTED, PERFORMANCE_DEGRADED, event_key
from churnlib.monitoring.policy import Trigger
from churnlib.records import Approval
from churnlib.spec import Spec
from churnlib.usecases.fleet import Fleet, apart, over
from churnlib.usecases.judged_training import LEASE_SECONDS, Together, TrainResult
from churnlib.usecases.labelled import LabelledRows, matured_by_model, rows_from_file
from churnlib.usecases.lifecycle import AliasBusy
from churnlib.usecases.proposing import ask
from churnlib.usecases.retraining import RetrainResult, retrain, train_on
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.slices import Counted, count_slices, record_slices
from churnlib.usecases.unchanged import Unchanged


@dataclass(frozen=True)
class Call:
    """A call for a training of one model.

    Attributes:
        reason: in words.
        key: of the event or command behind it.
    """

    model: str
    reason: str
    key: str


@dataclass(frozen=True)
class FamilyRetrained:
    """The policy's answer for each model, and the requests to a person: one, or a bundle."""

    models: Fleet[RetrainResult]
    requests: tuple[Approval, ...] = ()


@dataclass(frozen=True)
class FamilyTrained:
    """What came of one labelled file.

    Attributes:
        base: `Unchanged` where it has learned from the same file before; likewise the slices'.
        slices: those with enough rows, by registered model.
        falling_back: slices with too few rows, which the base model scores.
        requests: to a person: one, or a bundle.
    """

    base: TrainResult | Unchanged
    slices: Fleet[TrainResult | Unchanged]
    falling_back: tuple[Counted, ...]
    requests: tuple[Approval, ...] = ()


@dataclass
class _Asked:
    """What was gathered, asked about once."""

    together: Together
    failed: dict[str, ChurnError] = field(default_factory=dict)

    def ask(self, services: Services, run: Run) -> tuple[Approval, ...]:
        proposals = sorted(self.together.proposals, key=lambda each: each.version.model)
        opened: list[Approval] = []
        if proposals:
            try:
                opened = ask(services, run, proposals)
            except AliasBusy as error:
                self.failed[proposals[0].version.model] = error
        there = {approval.model for approval in opened}
        for each in proposals:
            if each.version.model not in there:
                busy = AliasBusy("Its aliases were being moved.", hint="Run it again.")
                self.failed.setdefault(each.version.model, busy)
        dispatch(services)
        return tuple(opened)


def calls_beside(services: Services, run: Run, *, model: str, reason: str, key: str) -> list[Call]:
    """The calls that the same delivered file has raised in the family and nobody has answered, this one first.

    The run takes their events' keys: the runs that those start find the work done. Ten slices that drift together
    are retrained together, and a person is asked once.
    """
    mine = Call(model, reason, key)
    with services.ledger.begin() as tx:
        event = tx.event(key)
    if event is None or event.type not in {DRIFT_DETECTED, PERFORMANCE_DEGRADED}:
        return [mine]
    subject = key.removeprefix(event_key(event.type, model=model, subject=""))
    others = [name for name in services.family_models(services.family(model)) if name != model]
    found = [mine]
    with services.ledger.begin() as tx:
        for name in others:
            beside = tx.event(event_key(event.type, model=name, subject=subject))
            if beside is None:
                continue
            claim = tx.claim(beside.key, owner=run.run_id, now=services.clock(), lease_seconds=LEASE_SECONDS)
            if claim.state == "mine":
                found.append(Call(name, str(beside.payload["reason"]), beside.key))
    return found


def retrain_family(
    services: Services, run: Run, calls: Sequence[Call], *, trigger: Trigger, force: bool = False
) -> FamilyRetrained:
    """Ask the policy about each model of one family, train where it says so, and ask a person once.

    A slice without a model of its own trains its first one when the policy and its matured outcomes allow. A model
    that fails stops no other.

    Args:
        services: the ports.
        run: who is at work.
        calls: one a model.
        trigger: why this is asked.
        force: train even where nothing changed; the policy still is asked.

    Raises:
        ChurnError: there is but one model, and it cannot be trained.
    """
    if len(calls) == 1:
        (call,) = calls
        result = retrain(
            services, run, model=call.model, trigger=trigger, reason=call.reason, key=call.key, force=force
        )
        approval = None if result.trained is None else result.trained.approval
        return FamilyRetrained(Fleet({call.model: result}, {}), () if approval is None else (approval,))
    spec = services.spec(services.family(calls[0].model))
    run.progress.step(f"asking about {len(calls)} models of {spec.name}")
    together = Together(matured=matured_by_model(services, spec), threads=_threads(services))
    asked = {call.model: call for call in calls}

    def one(model: str) -> RetrainResult:
        call = asked[model]
        return retrain(
            *apart(services, run),
            model=model,
            trigger=trigger,
            reason=call.reason,
            key=call.key,
            force=force,
            together=together,
        )

    found = over(list(asked), one, workers=services.workers, progress=run.progress)
    request = _Asked(together)
    requests = request.ask(services, run)
    return FamilyRetrained(Fleet(found.done, {**found.failed, **request.failed}), requests)


def train_family(services: Services, run: Run, *, model: str, path: Path, force: bool = False) -> FamilyTrained:
    """Train the base model on all rows of a labelled file, and a model for each slice that has enough of them.

    Args:
        services: the ports.
        run: who is at work.
        model: the base model; its spec names the dimensions.
        path: the labelled file.
        force: train even where nothing changed since a version that was judged already.

    Raises:
        FileRefused: the file cannot be used.
        ChurnError: the spec names no dimensions, or the base model cannot be trained.
    """
    spec = services.spec(model)
    if spec.variant.dimensions or not spec.variants.dimensions:
        raise ChurnError(
            f"{model} has no slices: its spec names no dimensions.",
            hint=f"Write them into models/{spec.family}.toml, under [variants], and train {spec.family}.",
        )
    rows = rows_from_file(services, spec, path)
    together = Together(threads=_threads(services))
    alone = Together(together.proposals)
    base = _trained(services, run, spec, rows, alone, force=force)
    enough, few = divided(rows, spec)
    record_slices(services, rows.frame, spec)
    run.progress.step(f"training {len(enough)} slices")

    def one(name: str) -> TrainResult | Unchanged:
        wired, quiet = apart(services, run)
        slice_spec = spec.of_variant(enough[name].variant)
        return _trained(wired, quiet, slice_spec, rows.of_slice(slice_spec), together, force=force)

    found = over(list(enough), one, workers=services.workers, progress=run.progress)
    request = _Asked(together)
    requests = request.ask(services, run)
    return FamilyTrained(base, Fleet(found.done, {**found.failed, **request.failed}), few, requests)


def could_have_models(rows: LabelledRows, spec: Spec) -> int:
    """How many slices of a base model's rows have enough of them for a model."""
    return 0 if spec.variant.dimensions else len(divided(rows, spec)[0])


def divided(rows: LabelledRows, spec: Spec) -> tuple[Mapping[str, Counted], tuple[Counted, ...]]:
    """The slices with enough rows of either outcome for a model, by its name; and the others."""
    least, counted = spec.training, count_slices(rows.frame, spec)
    enough = [
        each
        for each in counted
        if each.rows >= least.min_rows and min(each.positives, each.rows - each.positives) >= least.min_positives
    ]
    few = tuple(each for each in counted if each not in enough)
    return {each.variant.registered_model(spec.name): each for each in enough}, few


def _trained(
    services: Services, run: Run, spec: Spec, rows: LabelledRows, together: Together, *, force: bool
) -> TrainResult | Unchanged:
    try:
        return train_on(services, run, spec, rows, force=force, together=together)
    except Unchanged as unchanged:
        return unchanged


def _threads(services: Services) -> int:
    """For each training, where several share the cores."""
    return 0 if services.workers == 1 else max(1, (os.cpu_count() or 1) // services.workers)
