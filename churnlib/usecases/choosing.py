"""Who is on a list: the best of a batch, without those who rest and those who are never contacted."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from churnlib.errors import ChurnError
from churnlib.modelling.hashing import stable_hash
from churnlib.spec import ID, CampaignPolicy, Spec


@dataclass(frozen=True)
class Chosen:
    """The top of a batch, down to the last customer on the list.

    Attributes:
        listed: customers on the list, best first: `customer_id`, `probability`, `value_at_risk`.
        holdout: customers who would be on it but are never contacted; the same columns and order.
        rested: customers who would be on it but were contacted a short while ago.
        ranked: rows that were looked at; fewer than asked for only where the batch has no more.
    """

    listed: pl.DataFrame
    holdout: pl.DataFrame
    rested: int
    ranked: int


def policy_of(spec: Spec, size: int | None, budget: float | None) -> CampaignPolicy:
    """The spec's policy with the command's size and budget where they are given.

    Raises:
        ChurnError: a list of nobody, a budget that is none, or one for contacts whose cost nobody knows.
    """
    policy = spec.campaign
    if size is not None and size < 1:
        raise ChurnError(f"A list of {size} customers is none.", hint="Give a --size of 1 or more.")
    if budget is not None and not (0 < budget < math.inf):
        raise ChurnError(f"A budget of {budget:g} buys nothing.", hint="Give a --budget above 0.")
    if budget is not None and policy.cost is None:
        raise ChurnError(
            f"A budget needs the cost of one contact, and models/{spec.name}.toml names none.",
            hint="Write it there, under [campaign]: cost = 2.5",
        )
    given = {"size": size, "budget": budget}
    return policy.model_copy(update={key: value for key, value in given.items() if value is not None})


def most_contacts(policy: CampaignPolicy) -> int:
    """Customers on a list: the policy's size, or fewer where the budget pays for fewer.

    Raises:
        ChurnError: it does not pay for one.
    """
    if policy.budget is None or policy.cost is None:
        return policy.size
    # as they are written: 0.3 // 0.1 is 2 in binary
    paid = int(Decimal(str(policy.budget)) // Decimal(str(policy.cost)))
    if paid == 0:
        raise ChurnError(
            f"A budget of {policy.budget:g} does not pay for one contact, which costs {policy.cost:g}.",
            hint="Give a larger --budget, or correct cost under [campaign] in the spec.",
        )
    return min(policy.size, paid)


def choose(
    predictions: pl.LazyFrame,
    policy: CampaignPolicy,
    most: int,
    *,
    contacted: Collection[str],
    held_out: Collection[str],
) -> Chosen:
    """Choose the best customers of a batch by `policy.rank_by`; ties go by customer id.

    The holdout is whom the hash of the id says, so that its customers stay the same from list to list. Only
    those among the best count, down to the last one who is contacted: both groups are of equal rank. Who was
    in the holdout of a list a short while ago rests as those rest who were contacted, or the groups would
    drift apart from list to list.

    Args:
        predictions: of one batch; read in a stream of which only the best are kept.
        policy: says by what to rank, and who is never contacted.
        most: customers on the list.
        contacted: customers who rest because they were contacted.
        held_out: customers who rest because they were in a holdout.
    """
    rows = math.ceil(1.1 * most / (1 - policy.holdout_share)) + len(contacted) + len(held_out) + 100
    while True:
        best = _best(predictions, policy.rank_by, rows)
        chosen = _choose(best, policy, most, contacted, held_out)
        if chosen.listed.height == most or best.height < rows:
            return chosen
        rows *= 4


def _best(predictions: pl.LazyFrame, rank_by: str, rows: int) -> pl.DataFrame:
    """The best rows, best first. In a stream this keeps so many rows, where a sort would keep them all."""
    known = predictions.select(ID, "probability", "value_at_risk").filter(pl.col(rank_by).is_not_null())
    best = known.top_k(rows, by=[rank_by, ID], reverse=[False, True]).collect(engine="streaming")
    return best.sort(rank_by, ID, descending=[True, False])


def _choose(
    best: pl.DataFrame,
    policy: CampaignPolicy,
    most: int,
    contacted: Collection[str],
    held_out: Collection[str],
) -> Chosen:
    place = stable_hash(best[ID], seed=policy.seed) / 2.0**64
    is_held = pl.col("is_held")
    was_contacted, was_held = (
        pl.col(ID).is_in(pl.Series(list(ids), dtype=pl.String).implode()) for ids in (contacted, held_out)
    )
    sides = best.with_columns(is_held=pl.Series(place < policy.holdout_share)).with_columns(
        is_listed=~is_held & ~was_contacted,
        is_compared=is_held & ~was_contacted & ~was_held,
        rests=~is_held & was_contacted,
    )
    last = sides.filter(pl.col("is_listed").cum_sum().shift(1, fill_value=0) < most)
    return Chosen(
        listed=last.filter("is_listed").select(best.columns),
        holdout=last.filter("is_compared").select(best.columns),
        rested=int(last["rests"].sum()),
        ranked=best.height,
    )
