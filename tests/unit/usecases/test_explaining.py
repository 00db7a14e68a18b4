"""A customer's record is whole: every score, why, by which version, from which file, and what came of it."""

from __future__ import annotations

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.records import BatchStatus
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.campaign import make_campaign
from churnlib.usecases.explaining import Explanation, Outcome, explain
from tests.loops import MODEL, Loop, run, small_spec, week, write_spec
from tests.scored import lay

OTHERS = {"other": 0.1, "another": 0.3}


def look(loop: Loop, customer_id: str = "ann") -> Explanation:
    return explain(loop.services, run(), model=MODEL, customer_id=customer_id)


def test_every_score_is_there_oldest_first_with_reasons_and_lineage(loop: Loop) -> None:
    for number, risk in ((1, 0.6), (0, 0.2), (2, 0.9)):
        lay(loop, {**OTHERS, "ann": risk}, number=number)
    found = look(loop)
    assert [(one.as_of, one.probability) for one in found.scores] == [
        (week(0), 0.2),
        (week(1), 0.6),
        (week(2), 0.9),
    ]
    last = found.scores[-1]
    assert last.reasons == ("support calls: 7, raises the risk", "autopay: yes, lowers the risk")
    assert (last.version, last.percentile, last.decile) == (1, 100.0, 1)
    assert last.value_at_risk == pytest.approx(90)
    assert (last.run_id, last.batch.source, last.batch.origin) == ("run-1", "week 2.csv", "/incoming/week 2.csv")
    assert (found.contacts, found.quarantined) == ((), ())
    assert {one.beside == {} for one in found.scores} == {True}


def test_the_versions_say_what_they_learned_from(loop: Loop) -> None:
    lay(loop, {"ann": 0.5})
    (version,) = look(loop).versions
    registered = loop.registry.version(MODEL, 1)
    assert registered is not None
    assert (version.version, version.run_id) == (1, registered.run_id)
    assert version.cutoff == loop.services.release(MODEL, 1).cutoff


def test_a_superseded_score_is_shown_and_does_not_count(loop: Loop) -> None:
    lay(loop, {"ann": 0.2}, batch_id="a" * 64, status=BatchStatus.SUPERSEDED)
    lay(loop, {"ann": 0.3}, batch_id="b" * 64)
    assert [(one.probability, one.counts) for one in look(loop).scores] == [(0.2, False), (0.3, True)]


def test_rows_that_a_killed_run_left_are_no_scores(loop: Loop) -> None:
    lay(loop, {"ann": 0.2})
    unfinished = lay(loop, {"ann": 0.9}, number=1)
    with loop.services.ledger.begin() as tx:
        tx.save_batch(unfinished.model_copy(update={"status": BatchStatus.ARRIVED, "scored_at": None}))
    assert [one.probability for one in look(loop).scores] == [0.2]


def test_each_row_names_the_version_that_scored_it_and_the_score_beside(loop: Loop) -> None:
    lay(loop, {"ann": 0.2, "bob": 0.4}, version=pl.Series([1, 2]))
    beside = pl.DataFrame({ID: ["ann", "bob"], "probability": [0.6, 0.7], "version": [2, 1]})
    rows = beside.with_columns(pl.lit(week(0)).alias(AS_OF), batch_id=pl.lit("00" * 32))
    loop.services.shadows.replace(MODEL, "00" * 32, week(0), rows.lazy())
    ann, bob = (look(loop, customer).scores[0] for customer in ("ann", "bob"))
    assert (ann.version, ann.beside) == (1, {2: 0.6})
    assert (bob.version, bob.beside) == (2, {1: 0.7})


def test_an_outcome_stands_with_the_score_that_it_answers(loop: Loop) -> None:
    for number in range(3):
        lay(loop, {"ann": 0.5}, number=number)
    for number, churned in ((0, False), (1, True)):
        truth = pl.DataFrame({ID: ["ann", "other"], AS_OF: week(number), LABEL: [churned, not churned]})
        loop.know(truth, known_at=week(number + 1), file_id=f"file-{number}")
    loop.clock.set_to(week(2))
    outcomes = [one.outcome for one in look(loop).scores]
    assert outcomes == [Outcome(False, week(1)), Outcome(True, week(2)), None]
    loop.clock.set_to(week(1))
    assert [one.outcome is None for one in look(loop).scores] == [False, True, True]


def test_contacts_of_the_customer_are_there(loop: Loop) -> None:
    write_spec(loop.services.specs, small_spec(campaign={"holdout_share": 0}))
    lay(loop, {"ann": 0.5, "bob": 0.9})
    made = make_campaign(loop.services, run(), model=MODEL, folder=loop.data)
    (contact,) = look(loop).contacts
    assert (contact.campaign_id, contact.rank, contact.group) == (made.campaign_id, 2, "contact")


@pytest.mark.parametrize(
    ("raw", "customer_id"), [(["  ann ", "bob"], "ann"), ([7, 8], "7"), ([7.0, 8.5], "7"), (["ann", None], "ann")]
)
def test_a_quarantined_row_is_found_by_the_id_that_the_contract_reads(
    loop: Loop, raw: list[object], customer_id: str
) -> None:
    reasons = [["support_calls: not a number", "plan: missing"], ["customer_id: missing"]]
    lay(loop, OTHERS, quarantined=list(zip(raw, reasons, strict=True)))
    lay(loop, OTHERS, number=1)
    found = look(loop, customer_id)
    assert (found.scores, found.versions) == ((), ())
    assert [(one.batch.as_of, one.reasons) for one in found.quarantined] == [(week(0), tuple(reasons[0]))]


def test_quarantine_without_a_column_of_ids_hides_nothing_else(loop: Loop) -> None:
    batch = lay(loop, {"ann": 0.5}, quarantined=[("x", ["plan: missing"])])
    rows = pl.DataFrame({"kunde": ["ann"], "_reasons": [["plan: missing"]]})
    loop.services.quarantine.replace(MODEL, batch.batch_id, week(0), rows.lazy())
    found = look(loop)
    assert (len(found.scores), found.quarantined) == (1, ())


def test_predictions_from_before_reasons_said_their_unit_are_told_too(loop: Loop) -> None:
    lay(loop, {"ann": 0.5}, number=1)
    batch = lay(loop, {"ann": 0.4})
    stored = loop.services.predictions.scan_batch(MODEL, batch.batch_id)
    assert stored is not None
    old = stored.rename({f"reason_{k}_log_odds": f"reason_{k}_contribution" for k in (1, 2, 3)}).collect()
    loop.services.predictions.replace(MODEL, batch.batch_id, week(0), old.lazy())
    then, now = look(loop).scores
    assert then.reasons == now.reasons != ()


def test_without_its_registry_the_scores_are_still_told(loop: Loop) -> None:
    lay(loop, {"ann": 0.5})
    loop.registry.is_down = True
    found = look(loop)
    assert found.scores[0].reasons[0] == "support calls: 7, raises the risk"
    assert [(one.version, one.cutoff, one.run_id) for one in found.versions] == [(1, None, None)]


@pytest.mark.parametrize("customer_id", ["nobody", "Ann", "ann ", "' OR 1=1 --", ""])
def test_an_unknown_customer_is_an_error_that_says_where_was_looked(loop: Loop, customer_id: str) -> None:
    for number in (2, 1):
        lay(loop, {"ann": 0.5}, number=number, quarantined=[("x", ["plan: missing"])])
    with pytest.raises(ChurnError) as refused:
        look(loop, customer_id)
    assert repr(customer_id) in refused.value.message
    assert f"2 were looked at, from {week(1)} on" in refused.value.message
    assert "'customer'" in refused.value.hint


def test_without_a_scored_batch_there_is_nothing_to_explain(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="No batch of telly was scored yet"):
        look(loop)
