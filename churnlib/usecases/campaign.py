"""Choose whom to contact, record each contact once, and write the list."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from churnlib.errors import ChurnError, FileRefused
from churnlib.ports import LedgerTransaction
from churnlib.records import Batch, Contact
from churnlib.spec import CampaignPolicy
from churnlib.usecases.call_list import Row, check_free, list_text, write_list
from churnlib.usecases.choosing import Chosen, choose, most_contacts, policy_of
from churnlib.usecases.drift import find_batch
from churnlib.usecases.services import Run, Services
from churnlib.usecases.slices import family_predictions
from churnlib.usecases.told_reasons import reason_count, reasons_by_customer


@dataclass(frozen=True)
class Campaign:
    """A list of customers to contact.

    Attributes:
        policy: what the list was made by, the command's own size and budget included.
        contacted_on: date of the list; of a repeated one the day on which it was made first.
        rows: best first.
        held_out: customers who would be on the list, and are left alone to be compared with.
        rested: customers who would be on it, but were contacted a short while ago; None where it is repeated.
        path: the file.
        is_new: whether the contacts were recorded now; a repeated list is the same to the letter.
    """

    campaign_id: str
    batch: Batch
    policy: CampaignPolicy
    contacted_on: date
    rows: tuple[Row, ...]
    held_out: int
    rested: int | None
    path: Path
    is_new: bool

    @property
    def expected(self) -> float:
        """Leavers that the probabilities promise among them: their sum."""
        return math.fsum(row.contact.probability for row in self.rows)

    @property
    def cost(self) -> float | None:
        """Of all contacts; None where the spec names no cost."""
        return None if self.policy.cost is None else float(len(self.rows) * Decimal(str(self.policy.cost)))

    @property
    def value_at_risk(self) -> float | None:
        """Of the customers on the list whose value is known; None where none is."""
        known = [row.contact.value_at_risk for row in self.rows if row.contact.value_at_risk is not None]
        return math.fsum(known) if known else None


@dataclass(frozen=True)
class _Plan:
    """What a list is made from, and by; `most` customers are on it."""

    batch: Batch
    policy: CampaignPolicy
    most: int
    predictions: pl.LazyFrame
    today: date

    @cached_property
    def campaign_id(self) -> str:
        """The same for the same model, batch and policy."""
        said = f"{self.batch.model}\n{self.batch.batch_id}\n{self.policy.model_dump_json()}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def rest_since(self) -> date:
        """First day on which a contact still keeps a customer off the list."""
        return self.today - timedelta(days=self.policy.rest_days)


def make_campaign(
    services: Services,
    run: Run,
    *,
    model: str,
    folder: Path,
    batch: str | None = None,
    size: int | None = None,
    budget: float | None = None,
    out: Path | None = None,
    force: bool = False,
) -> Campaign:
    """Make a list from the newest batch that counts; the same call again writes the same list.

    The ledger commits all contacts before the file is written, so that a list which somebody holds is on
    record; killed in between, the next call writes the file from that record.

    Args:
        services: the ports.
        run: who is at work.
        model: registered model name.
        folder: where lists are kept; the default file is `<model>/<as_of>-<campaign id>.csv` below it.
        batch: the beginning of another batch's id.
        size: most customers on the list, instead of the spec's.
        budget: most money for it, instead of the spec's.
        out: another file, or a folder that is there.
        force: replace a file of other content.

    Raises:
        ChurnError: no batch, no value to rank by, nothing to spend, nobody left, or another file in the way.
    """
    plan = _plan(services, model, batch, size, budget)
    name = f"{plan.batch.as_of}-{plan.campaign_id}.csv"
    if out is None:
        (folder / model).mkdir(parents=True, exist_ok=True)
        out = folder / model
    path = (out / name if out.is_dir() else out).resolve()
    run.progress.step(f"choosing from {plan.batch.accepted:,} customers as of {plan.batch.as_of}")
    made = None
    while made is None:
        made = _make(services, plan, path, force=force)
    return made


def _plan(services: Services, model: str, batch: str | None, size: int | None, budget: float | None) -> _Plan:
    policy = policy_of(services.spec(model), size, budget)
    most = most_contacts(policy)
    batch_id = find_batch(services, model, batch)
    with services.ledger.begin() as tx:
        found = tx.batch(model, batch_id)
    assert found is not None
    predictions = family_predictions(services, found)
    if predictions is None:
        raise FileRefused(
            f"The predictions of batch {batch_id[:12]} ({found.source}) are gone from the tables.",
            hint="Restore them from a backup, or score a newer file.",
        )
    return _Plan(found, policy, most, predictions, services.clock().date())


def _make(services: Services, plan: _Plan, path: Path, *, force: bool) -> Campaign | None:
    """Choose, record and write; None where another list was recorded while this one was chosen."""
    with services.ledger.begin() as tx:
        known = _known(tx, plan)
    contacts = [contact for contact in known if contact.campaign_id == plan.campaign_id]
    chosen = None if contacts else _choose(plan, known)
    if chosen is not None:
        contacts = _contacts(plan, chosen)
    rows = _rows(services, plan, contacts)
    text = list_text(rows, reasons=reason_count(plan.predictions))
    check_free(path, text, force=force)  # rather now than once the contacts are on record
    if chosen is not None and not _record(services, plan, contacts, len(known)):
        return None
    write_list(path, text, force=force)
    return Campaign(
        campaign_id=plan.campaign_id,
        batch=plan.batch,
        policy=plan.policy,
        contacted_on=contacts[0].contacted_on,
        rows=rows,
        held_out=len(contacts) - len(rows),
        rested=None if chosen is None else chosen.rested,
        path=path,
        is_new=chosen is not None,
    )


def _known(tx: LedgerTransaction, plan: _Plan) -> list[Contact]:
    """Every contact that may matter: those of this very list, and those whose customers rest."""
    assert plan.batch.as_of is not None
    return tx.contacts(plan.batch.model, since=min(plan.rest_since, plan.batch.as_of))


def _choose(plan: _Plan, known: Sequence[Contact]) -> Chosen:
    resting = [contact for contact in known if contact.contacted_on >= plan.rest_since]
    chosen = choose(
        plan.predictions,
        plan.policy,
        plan.most,
        contacted={contact.customer_id for contact in resting if contact.group == "contact"},
        held_out={contact.customer_id for contact in resting if contact.group == "holdout"},
    )
    if chosen.ranked == 0:
        raise ChurnError(
            f"No customer of batch {plan.batch.batch_id[:12]} ({plan.batch.source}) has a value at risk.",
            hint="Score with a version that was trained with columns.value, or rank_by = 'probability'.",
        )
    if chosen.listed.is_empty():
        raise ChurnError(
            f"Nobody is left to contact: of {chosen.ranked:,} customers {chosen.rested:,} were contacted within "
            f"{plan.policy.rest_days} days, the others are in the holdout.",
            hint="Score a newer file, or lower rest_days or holdout_share under [campaign] in the spec.",
        )
    return chosen


def _contacts(plan: _Plan, chosen: Chosen) -> list[Contact]:
    assert plan.batch.as_of is not None
    groups: tuple[tuple[Literal["contact", "holdout"], pl.DataFrame], ...] = (
        ("contact", chosen.listed),
        ("holdout", chosen.holdout),
    )
    return [
        Contact(
            model=plan.batch.model,
            campaign_id=plan.campaign_id,
            customer_id=customer_id,
            batch_id=plan.batch.batch_id,
            as_of=plan.batch.as_of,
            group=group,
            rank=rank if group == "contact" else None,
            contacted_on=plan.today,
            probability=probability,
            value_at_risk=value_at_risk,
        )
        for group, frame in groups
        for rank, (customer_id, probability, value_at_risk) in enumerate(frame.iter_rows(), start=1)
    ]


def _rows(services: Services, plan: _Plan, contacts: Sequence[Contact]) -> tuple[Row, ...]:
    listed = [contact for contact in contacts if contact.group == "contact"]
    customers = [contact.customer_id for contact in listed]
    told = reasons_by_customer(services, plan.predictions, customers)
    return tuple(Row(contact, told.get(contact.customer_id, ())) for contact in listed)


def _record(services: Services, plan: _Plan, contacts: Sequence[Contact], known: int) -> bool:
    """The commit point. False, and nothing is on record, where another list came first: contacts only grow."""
    with services.ledger.begin() as tx:
        if len(_known(tx, plan)) != known:
            return False
        tx.save_contacts(contacts)
    return True
