"""What `churn campaign` prints: whom to call first and why, who is left alone, and where the list is."""

from __future__ import annotations

from churnlib.records import Contact
from churnlib.usecases.campaign import Campaign
from flows.output import counted, near, next_step, print_json, print_table, say

SHOWN = 5


def campaign_result(made: Campaign, *, as_json: bool) -> None:
    """The first few of the list, its sums, and what was left out."""
    if as_json:
        return print_json(campaign_json(made))
    batch, policy = made.batch, made.policy
    by = "value at risk" if policy.rank_by == "value_at_risk" else "risk"
    say(
        f"{counted(len(made.rows), 'customer')} of {batch.model} to contact, highest {by} first, "
        f"from {batch.accepted:,} scored as of {batch.as_of} (campaign {made.campaign_id[:8]})."
    )
    if not made.is_new:
        say(f"This list was made on {made.contacted_on} already: it is the same, and nobody is recorded twice.")
    first = made.rows[:SHOWN]
    print_table(
        "First on the list",
        [
            {
                "rank": row.contact.rank,
                "customer": row.contact.customer_id,
                "risk": f"{row.contact.probability:.1%}",
                "value at risk": _money(row.contact.value_at_risk),
                "why": "; ".join(row.reasons),
            }
            for row in first
        ],
    )
    say("")
    for line in summary_lines(made):
        say(line)
    say(f"List: {near(made.path)}")
    customer = first[0].contact.customer_id
    return next_step("explain", batch.model, *(["--"] if customer.startswith("-") else []), customer)


def summary_lines(made: Campaign) -> list[str]:
    """What the list promises and costs, and who is left out."""
    share = made.expected / len(made.rows)
    lines = [f"About {made.expected:,.0f} of them can be expected to leave ({share:.1%})."]
    money = []
    if made.value_at_risk is not None:
        money.append(f"{_money(made.value_at_risk)} of yearly value is at risk")
    if made.cost is not None:
        money.append(f"the contacts cost {made.cost:,.2f}".removesuffix(".00"))
    if money:
        said = "; ".join(money)
        lines.append(f"{said[0].upper()}{said[1:]}.")
    out = []
    if made.held_out:
        people = counted(made.held_out, "customer")
        out.append(f"{people} of the same rank, held out to measure what contacts are worth")
    if made.rested:
        out.append(f"{made.rested:,} who were contacted within {counted(made.policy.rest_days, 'day')}")
    return [*lines, f"Not on it: {'; '.join(out)}."] if out else lines


def campaign_json(made: Campaign) -> dict[str, object]:
    """The list for machines; its rows are in the file."""
    return {
        "model": made.batch.model,
        "campaign_id": made.campaign_id,
        "batch_id": made.batch.batch_id,
        "as_of": str(made.batch.as_of),
        "contacted_on": str(made.contacted_on),
        "is_new": made.is_new,
        "file": str(made.path),
        "contacts": len(made.rows),
        "held_out": made.held_out,
        "rested": made.rested,
        "expected_leavers": made.expected,
        "value_at_risk": made.value_at_risk,
        "cost": made.cost,
        "policy": made.policy.model_dump(),
        "first": [{**_contact(row.contact), "reasons": row.reasons} for row in made.rows[:SHOWN]],
    }


def _contact(contact: Contact) -> dict[str, object]:
    return contact.model_dump(mode="json", include={"rank", "customer_id", "probability", "value_at_risk"})


def _money(amount: float | None) -> str | None:
    return None if amount is None else f"{amount:,.0f}"
