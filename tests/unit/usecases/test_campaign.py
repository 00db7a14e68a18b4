"""Whom to contact: the best, each on record once, in a file that is safe to open and never lost."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.modelling.hashing import stable_hash
from churnlib.records import Batch, BatchStatus, Contact
from churnlib.usecases import campaign as under_test
from churnlib.usecases.call_list import safe_cell
from churnlib.usecases.campaign import Campaign, make_campaign
from churnlib.usecases.choosing import choose
from tests import builders
from tests.loops import MODEL, Loop, run, small_spec, week, write_spec
from tests.scored import lay

RISKS = {f"c{number:03}": (number * 37 % 200) / 200 for number in range(200)}
POLICY = {"size": 20, "holdout_share": 0.2, "rest_days": 10}
FIRST_REASON, SECOND_REASON = "support calls: 7, raises the risk", "autopay: yes, lowers the risk"


@pytest.fixture
def home(loop: Loop) -> Loop:
    """A champion, a scored batch, and a policy for it."""
    set_policy(loop)
    lay(loop, RISKS)
    return loop


def set_policy(loop: Loop, **changes: Any) -> None:
    write_spec(loop.services.specs, small_spec(campaign={**POLICY, **changes}))


def make(loop: Loop, **options: Any) -> Campaign:
    return make_campaign(loop.services, run(), model=MODEL, folder=loop.data / "campaigns", **options)


def contacts(loop: Loop) -> list[Contact]:
    with loop.services.ledger.begin() as tx:
        return tx.contacts(MODEL)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def customers(made: Campaign) -> list[str]:
    return [row.contact.customer_id for row in made.rows]


def held(ids: list[str], share: float = 0.2) -> set[str]:
    places = stable_hash(pl.Series(ids), seed=20260101) / 2.0**64
    return {customer for customer, place in zip(ids, places, strict=True) if place < share}


# the list


def test_the_riskiest_are_listed_without_the_holdout_which_is_recorded_at_equal_rank(home: Loop) -> None:
    made = make(home)
    ranked = sorted(RISKS, key=lambda customer: -RISKS[customer])
    never = held(ranked)
    best = [customer for customer in ranked if customer not in never][:20]
    assert customers(made) == best
    recorded = contacts(home)
    assert [(one.customer_id, one.rank) for one in recorded if one.group == "contact"] == [
        (customer, rank) for rank, customer in enumerate(best, start=1)
    ]
    depth = ranked[: ranked.index(best[-1])]
    assert {one.customer_id for one in recorded if one.group == "holdout"} == never & set(depth) != set()
    assert made.held_out == len(never & set(depth))
    assert {(one.as_of, one.contacted_on, one.batch_id) for one in recorded} == {
        (week(0), week(0), made.batch.batch_id)
    }


def test_the_file_has_one_row_a_customer_with_reasons_in_words(home: Loop) -> None:
    made = make(home)
    assert made.path == home.data / "campaigns" / MODEL / f"{week(0)}-{made.campaign_id}.csv"
    told = rows(made.path)
    assert list(told[0]) == [
        "rank",
        "customer_id",
        "probability",
        "value_at_risk",
        "reason_1",
        "reason_2",
        "reason_3",
    ]
    assert [row["customer_id"] for row in told] == customers(made)
    assert [row["rank"] for row in told] == [str(rank) for rank in range(1, 21)]
    assert float(told[0]["probability"]) == RISKS[told[0]["customer_id"]]
    assert float(told[0]["value_at_risk"]) == pytest.approx(100 * RISKS[told[0]["customer_id"]])
    assert {(row["reason_1"], row["reason_2"], row["reason_3"]) for row in told} == {
        (FIRST_REASON, SECOND_REASON, "")
    }


def test_a_feature_is_called_what_it_is_called_today(home: Loop) -> None:
    features = {**builders.FEATURES, "support_calls": {"type": "number", "label": "calls in 90 days"}}
    write_spec(home.services.specs, small_spec(features=features))
    assert make(home).rows[0].reasons[0] == "calls in 90 days: 7, raises the risk"


def test_a_version_that_is_gone_is_told_in_todays_words(home: Loop) -> None:
    home.registry.delete_version(MODEL, 1)
    assert make(home).rows[0].reasons == (FIRST_REASON, SECOND_REASON)


def test_the_sums_are_of_those_on_the_list(home: Loop) -> None:
    set_policy(home, cost=2.5)
    made = make(home)
    risks = [RISKS[customer] for customer in customers(made)]
    assert made.expected == pytest.approx(sum(risks))
    assert made.value_at_risk == pytest.approx(100 * sum(risks))
    assert made.cost == 50.0


def test_a_budget_limits_the_list_of_the_most_valuable(home: Loop) -> None:
    set_policy(home, rank_by="value_at_risk", cost=2, holdout_share=0)
    lay(home, RISKS, value_at_risk=pl.col("probability") * pl.int_range(pl.len()))
    worth = {customer: risk * number for number, (customer, risk) in enumerate(RISKS.items())}
    assert customers(make(home, budget=7.0)) == sorted(worth, key=lambda customer: -worth[customer])[:3]


def test_the_newest_counting_batch_is_taken_or_the_one_that_is_named(home: Loop) -> None:
    home.clock.set_to(week(2))
    later = lay(home, {"d1": 0.5, "d2": 0.4, "d3": 0.6}, number=1)
    lay(home, {"e1": 0.9}, number=2, status=BatchStatus.SUPERSEDED)
    assert make(home).batch == later
    assert make(home, batch="0000").batch.as_of == week(0)


# exactly once


def test_the_same_command_again_writes_the_same_and_records_nobody_twice(home: Loop) -> None:
    first = make(home)
    content, recorded = first.path.read_bytes(), contacts(home)
    first.path.unlink()
    home.clock.move(days=3)
    again = make(home)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.path.read_bytes() == content
    assert contacts(home) == recorded
    assert (again.rows, again.held_out, again.contacted_on) == (first.rows, first.held_out, first.contacted_on)
    assert (first.rested, again.rested) == (0, None)


def test_killed_after_the_commit_the_next_run_writes_the_file_from_the_record(
    home: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(under_test, "write_list", dies)
        with pytest.raises(KeyboardInterrupt):
            make(home)
    recorded = contacts(home)
    assert list((home.data / "campaigns" / MODEL).iterdir()) == []
    made = make(home)
    assert contacts(home) == recorded
    assert [row["customer_id"] for row in rows(made.path)] == [
        one.customer_id for one in recorded if one.group == "contact"
    ]


def test_of_many_at_once_one_records_and_all_write_the_same_list(home: Loop) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make(home), range(4)))
    assert sorted(one.is_new for one in made) == [False, False, False, True]
    assert len({tuple(customers(one)) for one in made}) == 1
    assert len(contacts(home)) == len(made[0].rows) + made[0].held_out
    assert [path.name for path in made[0].path.parent.iterdir()] == [made[0].path.name]


def test_where_another_list_comes_first_the_choice_is_made_again(
    home: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def slow(*arguments: Any, **options: Any) -> Any:
        tried.append(options)
        if len(tried) == 1:
            make(home, size=5)
        return choose(*arguments, **options)

    monkeypatch.setattr(under_test, "choose", slow)
    made = make(home)
    assert made.rested == 5
    listed = [one.customer_id for one in contacts(home)]
    assert len(listed) == len(set(listed))


def test_customers_rest_after_a_contact_and_then_come_back(home: Loop) -> None:
    first = make(home)
    home.clock.move(days=10)
    lay(home, RISKS, number=1)
    second = make(home)
    assert not set(customers(first)) & set(customers(second))
    assert second.rested == 20
    home.clock.move(days=1)
    lay(home, RISKS, number=2)
    assert set(customers(first)) <= set(customers(make(home, size=30)))


def test_the_holdout_is_never_contacted_and_rests_as_those_do_who_are(home: Loop) -> None:
    for number in range(3):
        lay(home, RISKS, number=number)
        make(home)
        home.clock.move(days=7)
    recorded = contacts(home)
    never = {one.customer_id for one in recorded if one.group == "holdout"}
    assert not never & {one.customer_id for one in recorded if one.group == "contact"}
    seen = [one.customer_id for one in recorded if one.contacted_on < week(2)]
    assert len(seen) == len(set(seen))


# the file


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\uff1d", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(start: str) -> None:
    assert safe_cell(f"{start}cmd|' /C calc'!A1") == f"'{start}cmd|' /C calc'!A1"


@pytest.mark.parametrize("text", ["7216-EWTRS", "plan: a=b, raises the risk", "", "'x", "Ä+"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


def test_ids_and_values_of_customers_cannot_be_formulas(loop: Loop) -> None:
    set_policy(loop, holdout_share=0)
    lay(loop, {"=1+1": 0.9, "-2": 0.8, 'a",=B1': 0.7}, reason_1_feature=pl.lit("@SUM(A1)"))
    made = make(loop)
    told = rows(made.path)
    assert [row["customer_id"] for row in told] == ["'=1+1", "'-2", 'a",=B1']
    assert all(row["reason_1"].startswith("'@SUM") for row in told)
    assert [one.customer_id for one in contacts(loop)] == ["=1+1", "-2", 'a",=B1']


def test_another_file_in_the_way_is_refused_before_anything_is_recorded(home: Loop) -> None:
    out = home.folder / "calls.csv"
    out.write_text("mine")
    with pytest.raises(ChurnError, match="other content") as refused:
        make(home, out=out)
    assert "--force" in refused.value.hint
    assert (out.read_text(), contacts(home)) == ("mine", [])
    made = make(home, out=out, force=True)
    assert [row["customer_id"] for row in rows(out)] == customers(made)
    assert make(home, out=out).path == out


def test_a_folder_that_is_there_gets_the_default_name_and_a_missing_one_is_refused(home: Loop) -> None:
    made = make(home, out=home.folder)
    assert made.path == home.folder / f"{week(0)}-{made.campaign_id}.csv"
    with pytest.raises(ChurnError, match="no folder"):
        make(home, size=3, out=home.folder / "missing" / "calls.csv")
    assert len(contacts(home)) == len(made.rows) + made.held_out


@pytest.mark.parametrize("force", [True, False])
def test_what_is_no_plain_file_is_never_replaced(home: Loop, force: bool) -> None:
    with pytest.raises(ChurnError, match="no file that could be replaced"):
        make(home, out=Path("/dev/null"), force=force)
    assert Path("/dev/null").is_char_device()
    assert contacts(home) == []


def test_a_link_stays_a_link(home: Loop) -> None:
    target, link = home.folder / "target.csv", home.folder / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    assert make(home, out=link, force=True).path == target
    assert link.is_symlink()
    assert len(rows(target)) == 20


# refusals


def test_without_a_scored_batch_there_is_no_list(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="No batch of telly was scored yet") as refused:
        make(loop)
    assert "churn score telly" in refused.value.hint


def test_a_batch_whose_predictions_are_gone_says_so(home: Loop) -> None:
    home.services.predictions.remove(MODEL, batch(home).batch_id)
    with pytest.raises(ChurnError, match=r"week 0.csv.*are gone"):
        make(home)


def test_without_values_there_is_no_list_by_value(home: Loop) -> None:
    set_policy(home, rank_by="value_at_risk")
    lay(home, RISKS, value_at_risk=pl.lit(None, pl.Float64))
    with pytest.raises(ChurnError, match=r"No customer of batch 0000.*value at risk") as refused:
        make(home)
    assert "columns.value" in refused.value.hint


def test_when_nobody_is_left_it_says_who_rests(loop: Loop) -> None:
    set_policy(loop, holdout_share=0)
    lay(loop, {"a": 0.9, "b": 0.8})
    make(loop)
    with pytest.raises(ChurnError, match="of 2 customers 2 were contacted within 10 days") as refused:
        make(loop, size=3)
    assert "rest_days" in refused.value.hint
    assert len(contacts(loop)) == 2


def batch(loop: Loop) -> Batch:
    return loop.batches()[0]
