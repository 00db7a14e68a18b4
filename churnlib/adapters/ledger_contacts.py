"""Who was contacted, and who was left alone to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, select

from churnlib.adapters.ledger_rows import insert_many, read_all
from churnlib.adapters.ledger_schema import CONTACTS
from churnlib.records import Contact


class Contacts:
    """The part of a transaction that keeps contacts; triggers keep them from being rewritten."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save_contacts(self, contacts: Sequence[Contact]) -> int:
        """Insert, and return how many were new; one with the same key stays as it is."""
        return insert_many(self._connection, CONTACTS, [contact.model_dump() for contact in contacts])

    def contacts(self, model: str, *, since: date | None = None, customer_id: str | None = None) -> list[Contact]:
        """Ordered by date, campaign, then rank, the holdout last; `since` is inclusive."""
        query = select(CONTACTS).where(CONTACTS.c.model == model)
        if since is not None:
            query = query.where(CONTACTS.c.contacted_on >= since)
        if customer_id is not None:
            query = query.where(CONTACTS.c.customer_id == customer_id)
        rank = CONTACTS.c.rank
        order = (CONTACTS.c.contacted_on, CONTACTS.c.campaign_id, rank.is_(None), rank, CONTACTS.c.customer_id)
        return read_all(self._connection, Contact, query.order_by(*order))
