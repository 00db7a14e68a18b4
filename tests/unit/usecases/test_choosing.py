"""The best of a batch are chosen as a sort of all of it would, in a stream that keeps only the best."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError
from churnlib.modelling.hashing import stable_hash
from churnlib.spec import ID, CampaignPolicy
from churnlib.usecases.choosing import choose, most_contacts, policy_of
from tests import builders


def batch(risks: list[float | None]) -> pl.DataFrame:
    """Customers c0, c1, … with these risks, worth 100 times as much."""
    return pl.DataFrame(
        {ID: [f"c{number}" for number in range(len(risks))], "probability": risks},
        schema={ID: pl.String, "probability": pl.Float64},
    ).with_columns(value_at_risk=pl.col("probability") * 100)


def policy(**changes: Any) -> CampaignPolicy:
    return CampaignPolicy(**{"holdout_share": 0.3, **changes})


def is_held(customer_id: str, made: CampaignPolicy) -> bool:
    return bool(stable_hash(pl.Series([customer_id]), seed=made.seed)[0] / 2.0**64 < made.holdout_share)


IDS = st.sets(st.integers(0, 59).map(lambda number: f"c{number}"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    risks=st.lists(st.sampled_from([None, 0.1, 0.2, 0.2, 0.5, 0.9]), max_size=60),
    most=st.integers(1, 70),
    contacted=IDS,
    held_out=IDS,
    share=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
)
def test_the_choice_is_that_of_going_down_the_whole_batch_one_by_one(
    risks: list[float | None], most: int, contacted: set[str], held_out: set[str], share: float
) -> None:
    made = policy(holdout_share=share)
    known = [(risk, f"c{number}") for number, risk in enumerate(risks) if risk is not None]
    listed: list[str] = []
    holdout: list[str] = []
    rested = 0
    for _, customer in sorted(known, key=lambda pair: (-pair[0], pair[1])):
        if len(listed) == most:
            break
        if is_held(customer, made):
            holdout += [customer] if customer not in contacted | held_out else []
        elif customer in contacted:
            rested += 1
        else:
            listed.append(customer)
    chosen = choose(batch(risks).lazy(), made, most, contacted=contacted, held_out=held_out)
    assert chosen.listed[ID].to_list() == listed
    assert chosen.holdout[ID].to_list() == holdout
    assert chosen.rested == rested


def test_a_holdout_that_is_nearly_everyone_is_looked_through_to_the_end() -> None:
    made = policy(holdout_share=0.999)
    everyone = batch([0.5] * 20_000)
    chosen = choose(everyone.lazy(), made, 8, contacted=(), held_out=())
    free = sorted(customer for customer in everyone[ID] if not is_held(customer, made))
    assert chosen.listed[ID].to_list() == free[:8]


def test_by_value_at_risk_customers_without_a_value_are_not_chosen() -> None:
    frame = batch([0.9, 0.8, 0.1]).with_columns(value_at_risk=pl.Series([None, 5.0, 7.0]))
    made = policy(holdout_share=0, rank_by="value_at_risk")
    chosen = choose(frame.lazy(), made, 5, contacted=(), held_out=())
    assert chosen.listed[ID].to_list() == ["c2", "c1"]


def test_the_holdout_is_about_its_share_and_of_the_same_rank_as_those_contacted() -> None:
    frame = builders.accepted(20_000).select(ID, probability=pl.col("monthly_charge") / 100, value_at_risk=1.0)
    chosen = choose(frame.lazy(), policy(holdout_share=0.2), 4000, contacted=(), held_out=())
    held, listed = chosen.holdout, chosen.listed
    assert held.height == pytest.approx(1000, abs=120)
    assert held["probability"].min() >= listed["probability"].min()  # type: ignore[operator]
    assert held["probability"].mean() == pytest.approx(listed["probability"].mean(), abs=0.01)


def test_another_seed_is_another_holdout() -> None:
    everyone = batch([0.5] * 300).lazy()
    one, other = (
        choose(everyone, policy(seed=seed), 300, contacted=(), held_out=()).holdout[ID].to_list()
        for seed in (1, 2)
    )
    assert one != other


@pytest.mark.parametrize(
    ("size", "cost", "budget", "most"),
    [
        (500, None, None, 500),
        (500, 2.5, None, 500),
        (500, 2.5, 10, 4),
        (500, 0.1, 0.3, 3),  # 0.3 // 0.1 is 2 in binary
        (500, 3, 11.99, 3),
        (2, 1, 100, 2),
    ],
)
def test_a_list_is_as_long_as_its_size_and_budget_allow(
    size: int, cost: float | None, budget: float | None, most: int
) -> None:
    assert most_contacts(policy(size=size, cost=cost, budget=budget)) == most


def test_the_commands_size_and_budget_take_the_place_of_the_specs() -> None:
    spec = builders.spec(campaign={"size": 50, "cost": 2, "budget": 20})
    assert policy_of(spec, None, None) == spec.campaign
    assert (policy_of(spec, 7, 6.0).size, policy_of(spec, 7, 6.0).budget) == (7, 6.0)


@pytest.mark.parametrize(
    ("size", "budget", "cost", "said"),
    [
        (0, None, None, "0 customers"),
        (-5, None, None, "-5 customers"),
        (None, 100.0, None, "models/telly.toml names none"),
        (None, 0.0, 2, "buys nothing"),
        (None, -1.0, 2, "buys nothing"),
        (None, float("nan"), 2, "buys nothing"),
        (None, float("inf"), 2, "buys nothing"),
        (None, 1.99, 2, "does not pay for one contact"),
    ],
)
def test_a_list_of_nobody_is_refused_with_the_way_out(
    size: int | None, budget: float | None, cost: float | None, said: str
) -> None:
    spec = builders.spec(campaign={} if cost is None else {"cost": cost})
    with pytest.raises(ChurnError, match=said) as refused:
        most_contacts(policy_of(spec, size, budget))
    assert refused.value.hint


def test_a_batch_without_rows_gives_nobody() -> None:
    chosen = choose(batch([]).lazy(), policy(), 5, contacted={"c1"}, held_out=())
    assert (chosen.listed.height, chosen.holdout.height, chosen.rested, chosen.ranked) == (0, 0, 0, 0)
