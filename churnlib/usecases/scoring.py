"""Score one delivered file with the champion, exactly once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from churnlib.errors import FileRefused
from churnlib.events import BATCH_REFUSED, BATCH_SCORED, make_event
from churnlib.intake.contract import Checked, check
from churnlib.intake.files import read_raw
from churnlib.modelling.release import Release
from churnlib.modelling.scoring import score
from churnlib.ports import LedgerTransaction
from churnlib.records import Batch, BatchStatus
from churnlib.usecases.batches import hold, superseded, take, work_key
from churnlib.usecases.services import Run, Services, dispatch


@dataclass(frozen=True)
class ScoreResult:
    """What came of one file.

    Attributes:
        batch: the ledger's record.
        state: scored now, a `duplicate` of what was scored before, or `busy` in another run.
        unseen: values without a code by feature (category values the training rows did not have).
        extra_columns: columns of the file that the spec does not name; they were ignored.
        absent_columns: optional columns that the file did not have; they were scored as missing.
        engine: what evaluated the trees: `trees`, or `xgboost` and why; empty where nothing was scored now.
    """

    batch: Batch
    state: str
    unseen: dict[str, int]
    extra_columns: tuple[str, ...] = ()
    absent_columns: tuple[str, ...] = ()
    engine: str = ""


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
        return ScoreResult(batch, "busy", {})
    if state == "duplicate":
        _put_away(services, model, path)
        return ScoreResult(batch, "duplicate", {})
    try:
        champion = services.champion(model)
        release = services.release(model, champion.version)
        result = _score(services, run, release, champion.version, batch, path, as_of, key)
    except FileRefused as error:
        _refuse(services, run, batch, path, error, key)
        raise
    except BaseException:
        with services.ledger.begin() as tx:
            tx.release(work_key(batch), owner=run.run_id)
        raise
    _put_away(services, model, path)
    return result


def _put_away(services: Services, model: str, path: Path) -> None:
    """What comes after the commit, and is made up for where an earlier run was killed before it."""
    if services.inbox.owns(path):
        services.inbox.accept(model, path)
    dispatch(services)


def _score(
    services: Services,
    run: Run,
    release: Release,
    version: int,
    batch: Batch,
    path: Path,
    as_of: date | None,
    key: str | None,
) -> ScoreResult:
    started = time.monotonic()
    # columns and features as the release was trained on; how files are written, as the spec says today
    spec = release.spec.model_copy(update={"input": services.spec(batch.model).input})
    today = services.clock().date()
    run.progress.step(f"checking {path.name}")
    checked = check(read_raw(path, spec.input), spec, source=path.name, delivered_on=as_of or today, today=today)
    run.progress.step(f"scoring {checked.accepted.height:,} customers with version {version}")
    scored = score(release, checked.accepted)
    frame = scored.frame.with_columns(
        pl.lit(batch.model).alias("model"),
        pl.lit(version, pl.Int64).alias("version"),
        pl.lit(run.run_id).alias("run_id"),
        pl.lit(batch.batch_id).alias("batch_id"),
        pl.lit(services.clock()).cast(pl.Datetime("us", "UTC")).alias("scored_at"),
    )
    with services.ledger.begin() as tx:
        hold(tx, services, run, batch)
    output = _write(services, batch, checked, frame)
    done = batch.model_copy(
        update={
            "as_of": checked.as_of,
            "status": BatchStatus.SCORED,
            "rows": checked.rows,
            "accepted": checked.accepted.height,
            "quarantined": checked.quarantined.height,
            "quarantined_by": checked.quarantined_by,
            "version": version,
            "run_id": run.run_id,
            "output": output,
            "seconds": round(time.monotonic() - started, 3),
            "scored_at": services.clock(),
            "reason": None,
        }
    )
    done = _commit(services, run, done, key)
    return ScoreResult(done, "scored", scored.unseen, checked.extra_columns, checked.absent_columns, scored.engine)


def _write(services: Services, batch: Batch, checked: Checked, frame: pl.DataFrame) -> str:
    """Write rows before the ledger says that they are there."""
    place = (batch.model, batch.batch_id, checked.as_of)
    services.snapshots.replace(*place, checked.accepted.lazy())
    if checked.quarantined.height:
        services.quarantine.replace(*place, checked.quarantined.lazy())
    return services.predictions.replace(*place, frame.lazy())


def _commit(services: Services, run: Run, done: Batch, key: str | None) -> Batch:
    """The commit point: the batch, the supersession, the event and the keys in one transaction."""
    assert done.as_of is not None
    event = make_event(
        BATCH_SCORED,
        model=done.model,
        subject=done.batch_id,
        occurred_at=services.clock(),
        batch_id=done.batch_id,
        as_of=done.as_of.isoformat(),
        version=done.version,
        rows=done.accepted,
    )
    with services.ledger.begin() as tx:
        hold(tx, services, run, done)
        others = [other for other in tx.batches(done.model) if other.as_of == done.as_of]
        rivals = [other for other in others if other.status is BatchStatus.SCORED]
        later = next((other for other in rivals if other.received_at > done.received_at), None)
        if later is not None:
            done = superseded(done, by=later)
        else:
            for other in rivals:
                tx.save_batch(superseded(other, by=done))
            tx.publish(event)
        tx.save_batch(done)
        tx.finish(work_key(done), result="scored", now=services.clock())
        _finish(tx, key, "scored", services)
    return done


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
