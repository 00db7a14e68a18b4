"""Score one delivered file with the champion, exactly once."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from churnlib.errors import FileRefused
from churnlib.events import BATCH_REFUSED, BATCH_SCORED, make_event
from churnlib.intake.stream import BatchStream
from churnlib.ports import LedgerTransaction
from churnlib.records import Batch, BatchStatus, KnownVariant
from churnlib.usecases.batches import hold, superseded, take, work_key
from churnlib.usecases.contenders import contenders
from churnlib.usecases.family import Family
from churnlib.usecases.flowing import Spill
from churnlib.usecases.services import Run, Services, dispatch
from churnlib.usecases.summary import Summary
from churnlib.usecases.writing import Work, write_batch


@dataclass(frozen=True)
class ScoreResult:
    """What came of one file.

    Attributes:
        batch: the ledger's record.
        state: scored now, a `duplicate` of what was scored before, or `busy` in another run.
        summary: the base model's scores in a few numbers; empty where nothing was scored now.
        slices: batches of the slices of the file that have a model of their own.
        extra_columns: columns of the file that the spec does not name; they were ignored.
        absent_columns: optional columns that the file did not have; they were scored as missing.
    """

    batch: Batch
    state: str
    summary: Summary = field(default_factory=Summary)
    slices: tuple[Batch, ...] = ()
    extra_columns: tuple[str, ...] = ()
    absent_columns: tuple[str, ...] = ()

    @property
    def unseen(self) -> dict[str, int]:
        """Values without a code by feature: category values that the training rows did not have."""
        return dict(self.summary.unseen)

    @property
    def engine(self) -> str:
        """What evaluated the trees: `trees`, or `xgboost` and why; empty where nothing was scored now."""
        return self.summary.engine


def score_file(
    services: Services, run: Run, *, model: str, path: Path, as_of: date | None = None, key: str | None = None
) -> ScoreResult:
    """Check, score and record one file; a second call with the same content does nothing twice.

    The order is: rows written, ledger committed, file moved. Killed anywhere, the next call ends
    in the same state. Files outside the inbox are never moved.

    Args:
        services: the ports.
        run: who is at work.
        model: registered model name.
        path: the delivered file.
        as_of: date of the delivery where the file itself has none; default today.
        key: of the event that triggered this, marked as done in the same transaction.

    Raises:
        FileRefused: the file as a whole cannot be used; it is in failed/ then, with the reason.
        NoChampion: nothing to score with; the file stays where it is.
        ReleaseCorrupt: the champion's release does not verify; the file stays where it is.
    """
    services.spec(model)  # a wrong spec is said before anything is claimed
    batch, state = take(services, run, model, path, key)
    if state == "busy":
        return ScoreResult(batch, "busy")
    if state == "duplicate":
        _put_away(services, batch, path)
        return ScoreResult(batch, "duplicate")
    try:
        result = _score(services, run, batch, path, as_of, key)
    except FileRefused as error:
        _refuse(services, run, batch, path, error, key)
        raise
    except BaseException:
        with services.ledger.begin() as tx:
            tx.release(work_key(batch), owner=run.run_id)
        raise
    _put_away(services, batch, path)
    return result


def _put_away(services: Services, batch: Batch, path: Path) -> None:
    """What comes after the commit, and is made up for where an earlier run was killed before it."""
    if services.inbox.owns(path):
        services.inbox.accept(batch.model, path, content_id=batch.batch_id)
    dispatch(services)


def _score(
    services: Services, run: Run, batch: Batch, path: Path, as_of: date | None, key: str | None
) -> ScoreResult:
    spec = services.spec(batch.model)
    models = contenders(services, batch.model, spec)
    today = services.clock().date()
    run.progress.step(f"checking {path.name}")
    stream = BatchStream(
        path,
        models.releases[models.champion].spec,
        source=path.name,
        delivered_on=as_of or today,
        today=today,
    )
    with tempfile.TemporaryDirectory(prefix="churn-rows-") as folder:
        family = Family(services, spec, models, stream, Path(folder))
        work = Work(services, run, batch, slices=family.label)
        aside = Spill(family.quarantined)
        done, summary = write_batch(work, batch, family.parts, stream.accepted_schema, models, aside)
        with services.ledger.begin() as tx:
            tx.save_variants(family.known(done))  # before their models have rows: it says in which folder
        slices = []
        for model, rows, own, nothing in family.own_models():
            mine = batch.model_copy(update={"model": model})
            slices.append(write_batch(work, mine, rows, stream.accepted_schema, own, nothing)[0])
    done, slices = _commit(services, run, done, slices, family.known(done), key)
    return ScoreResult(done, "scored", summary, tuple(slices), stream.extra_columns, stream.absent_columns)


def _commit(
    services: Services, run: Run, done: Batch, slices: list[Batch], known: list[KnownVariant], key: str | None
) -> tuple[Batch, list[Batch]]:
    """The commit point: the batch, its slices, the supersession, the event and the keys in one transaction."""
    assert done.as_of is not None
    event = make_event(
        BATCH_SCORED,
        model=done.model,
        subject=done.batch_id,
        occurred_at=services.clock(),
        batch_id=done.batch_id,
        as_of=done.as_of.isoformat(),
        version=done.version,
        rows=done.accepted + sum(each.accepted for each in slices),
    )
    with services.ledger.begin() as tx:
        hold(tx, services, run, done)
        tx.save_variants(known)
        rivals = _rivals(tx, done)
        later = next((other for other in rivals if other.received_at > done.received_at), None)
        if later is not None:
            done, slices = superseded(done, by=later), [superseded(each, by=later) for each in slices]
        else:
            for other in rivals:
                tx.save_batch(superseded(other, by=done))
            tx.publish(event)
        for each in (done, *slices):
            tx.save_batch(each)
        tx.finish(work_key(done), result="scored", now=services.clock())
        _finish(tx, key, "scored", services)
    return done, slices


def _rivals(tx: LedgerTransaction, done: Batch) -> list[Batch]:
    """Batches of the family that count until now for the same date; its slices' too."""
    models = [done.model, *(each.model for each in tx.variants(done.model))]
    others = [other for model in models for other in tx.batches(model, until=done.as_of)]
    rivals = [other for other in others if other.as_of == done.as_of and other.batch_id != done.batch_id]
    return [other for other in rivals if other.status is BatchStatus.SCORED]


def _refuse(services: Services, run: Run, batch: Batch, path: Path, error: FileRefused, key: str | None) -> None:
    refused = batch.model_copy(
        update={"status": BatchStatus.REFUSED, "reason": error.message, "run_id": run.run_id}
    )
    event = make_event(
        BATCH_REFUSED,
        model=batch.model,
        subject=f"{batch.source}:{batch.batch_id}",
        occurred_at=services.clock(),
        file=batch.source,
        reason=error.message,
    )
    with services.ledger.begin() as tx:
        hold(tx, services, run, batch)
        tx.save_batch(refused)
        tx.publish(event)
        tx.release(work_key(batch), owner=run.run_id)
        _finish(tx, key, "refused", services)
    if services.inbox.owns(path):
        services.inbox.refuse(
            batch.model, path, {"file": batch.source, "error": error.message, "hint": error.hint}
        )
    dispatch(services)


def _finish(tx: LedgerTransaction, key: str | None, result: str, services: Services) -> None:
    if key is not None:
        tx.finish(key, result=result, now=services.clock())
