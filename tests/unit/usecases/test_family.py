"""A family of models week by week: scored by slice, measured, watched, retrained and corrected as one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.ports import CHALLENGER, CHAMPION
from churnlib.records import BatchStatus, ReportKind
from churnlib.spec import AS_OF, ID, LABEL
from churnlib.usecases.bundles import conclude_together, settle_together
from churnlib.usecases.campaign import make_campaign
from churnlib.usecases.drift import check_drift, check_family
from churnlib.usecases.explaining import explain
from churnlib.usecases.fleet_training import Call, calls_beside, retrain_family
from churnlib.usecases.labelled import Matured, matured_by_model, matured_of, rows_from_history
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.situation import situation_of
from tests.families import (
    EU,
    GROWN_WEEKS,
    TINY,
    US,
    batches_of,
    became,
    customers,
    family_spec,
    live,
    rows,
    score,
    tell,
)
from tests.loops import MODEL, Loop, make_loop, run, week, write_spec

NEXT = GROWN_WEEKS + 1
"""The first week that is scored by the slices' own models."""


def of_region(frame: pl.DataFrame, region: str) -> pl.DataFrame:
    return frame.filter(pl.col("region") == region)


def predicted(loop: Loop, model: str, batch_id: str) -> pl.DataFrame:
    return rows(loop.services.predictions.scan_batch(model, batch_id))


def expected_history(weeks: list[int], region: str | None = None) -> pl.DataFrame:
    """What was delivered of those weeks, with what became of it."""
    frames = [customers(number).join(became(customers(number)), on=[ID, AS_OF]) for number in weeks]
    frame = pl.concat(frames).sort(AS_OF, ID)
    return frame if region is None else of_region(frame, region)


def test_without_models_of_their_own_slices_fall_back_and_the_predictions_say_so(family: Loop) -> None:
    first = batches_of(family, MODEL)[0]
    predictions = predicted(family, MODEL, first.batch_id)
    assert predictions["model"].unique().to_list() == [MODEL]
    counted = dict(predictions.group_by("variant").len().iter_rows())
    assert counted == {"geography-us": 239, "geography-eu": 216, "geography-san-marino": 24, "": 1}
    assert [known.model for known in family.services.slices(MODEL)] == [EU, TINY, US]


def test_a_slice_with_a_model_is_scored_by_it_and_the_others_fall_back(family: Loop) -> None:
    done = score(family, NEXT)
    own = {batch.model: predicted(family, batch.model, done.batch.batch_id) for batch in done.slices}
    base = predicted(family, MODEL, done.batch.batch_id)
    assert {model: frame["variant"].unique().to_list() for model, frame in own.items()} == {
        EU: ["geography-eu"],
        US: ["geography-us"],
    }
    assert set(base["variant"]) == {"geography-san-marino", ""}
    assert [frame["model"].unique().to_list() for frame in (own[US], base)] == [[US], [MODEL]]
    scored = pl.concat([base, *own.values()])[ID].sort()
    assert scored.equals(customers(NEXT)[ID].sort())
    (event,) = [event for event in family.sent("churn.batch.scored") if event.payload["as_of"] == str(week(NEXT))]
    assert (event.model, event.payload["rows"]) == (MODEL, 480)


def test_the_rows_of_a_slice_lie_below_its_prefix(family: Loop) -> None:
    done = score(family, NEXT)
    place = Path(f"as_of={week(NEXT)}") / f"{done.batch.batch_id}.parquet"
    for table in ("predictions", "snapshots"):
        root = family.data / table
        assert (root / MODEL / "geography-us" / place).is_file()
        assert (root / MODEL / place).is_file()
        assert {path.name for path in root.iterdir()} == {MODEL}


def test_a_slice_whose_model_was_delivered_is_known_before_its_rows_are_written(
    grown_family: Path, tmp_path: Path
) -> None:
    """Nobody has seen a customer of the slice yet: its model came from elsewhere."""
    new = make_loop(tmp_path / "new", spec=family_spec(), now=week(0))
    for model in (MODEL, US):
        (release,) = (grown_family / "registry" / model).iterdir()
        new.register(release, model=model)
    done = score(new, 0)
    assert [batch.model for batch in done.slices] == [US]
    assert predicted(new, US, done.batch.batch_id).height == 239
    checked = check_family(new.services, run(), model=MODEL, batch_id=done.batch.batch_id)
    assert {model: result.measurement.rows for model, result in checked.done.items()} == {MODEL: 480, US: 239}


def test_history_is_whole_whoever_scored_then(family: Loop) -> None:
    live(family, 2, first=NEXT)
    weeks = [*range(GROWN_WEEKS), NEXT, NEXT + 1]
    history = rows_from_history(family.services, family_spec())
    assert history.frame.equals(expected_history(weeks).select(history.frame.columns))
    for model, region in ((US, "US"), (TINY, "San Marino")):
        spec = family.services.spec(model)
        mine = rows_from_history(family.services, spec)
        assert mine.frame.equals(expected_history(weeks, region).select(mine.frame.columns))
        churned = int(mine.frame[LABEL].sum())
        assert matured_of(family.services, spec) == Matured(
            tuple(week(number) for number in weeks), mine.frame.height, churned
        )


def test_one_look_counts_what_each_model_could_learn_from(family: Loop) -> None:
    live(family, 1, first=NEXT)
    counted = matured_by_model(family.services, family_spec())
    assert set(counted) == {MODEL, US, EU, TINY}
    assert counted[US] == matured_of(family.services, family.services.spec(US))
    assert counted[MODEL] == matured_of(family.services, family_spec())
    assert counted[MODEL].rows == sum(counted[model].rows for model in (US, EU, TINY)) + 6, (
        "one a week has no region"
    )


def test_a_slice_that_was_never_seen_has_nothing_to_learn_from(family: Loop) -> None:
    spec = family_spec().of_variant(family_spec().variant.model_copy(update={"dimensions": {"geography": "Mars"}}))
    assert matured_of(family.services, spec) == Matured()
    with pytest.raises(ChurnError, match="telly-mars has no customers whose outcomes are known"):
        rows_from_history(family.services, spec)


def test_outcomes_are_delivered_once_and_measure_every_model_that_scored(family: Loop) -> None:
    score(family, NEXT)
    taken = tell(family, NEXT)
    measured = {report.model: report.values["matured"] for report in taken.reports}
    assert measured == {MODEL: 480, EU: 216, US: 239}
    assert (taken.file.model, taken.failed) == (MODEL, {})
    live_auc = family.registry.points(US, 1, "live.auc")
    assert len(live_auc) == 1


def test_outcomes_of_a_slice_alone_are_refused_with_the_way_out(family: Loop) -> None:
    path = family.deliver(became(customers(0)), "outcomes/us.csv")
    with pytest.raises(ChurnError, match=r"for all of telly at once. churn outcomes telly FILE"):
        take_outcomes(family.services, run(), model=US, path=path)


def test_a_base_model_does_not_drift_because_slices_got_models_of_their_own(family: Loop) -> None:
    done = score(family, NEXT)
    assert done.batch.accepted == 25
    checked = check_family(family.services, run(), model=MODEL, batch_id=done.batch.batch_id)
    assert list(checked.done) == [MODEL, EU, US]
    assert {model: result.measurement.rows for model, result in checked.done.items()} == {
        MODEL: 480,
        EU: 216,
        US: 239,
    }
    assert checked.done[MODEL].verdict.verdict == "stable"


def test_drift_is_found_in_the_slice_that_moved(family: Loop) -> None:
    is_us = (pl.col("region") == "US").fill_null(value=False)
    calls = pl.when(is_us).then(pl.col("support_calls") + 4).otherwise("support_calls").alias("support_calls")
    few = family_spec(drift={"min_rows": 100})
    write_spec(family.services.specs, few)
    for number in (NEXT, NEXT + 1):
        done = score(family, number, customers(number).with_columns(calls))
        key = f"event-{number}"
        checked = check_family(family.services, run(), model=MODEL, batch_id=done.batch.batch_id, key=key)
    verdicts = {model: result.verdict.verdict for model, result in checked.done.items()}
    assert (verdicts[US], verdicts[EU]) == ("drifted", "stable")
    assert {event.model for event in family.sent("churn.drift.detected")} >= {US}
    assert EU not in {event.model for event in family.sent("churn.drift.detected")}
    with family.services.ledger.begin() as tx:
        claim = tx.claim("event-7", owner="x", now=family.clock(), lease_seconds=1)
    assert claim.state == "done"
    assert claim.result is not None
    assert "drifted" in claim.result


def test_a_slice_that_cannot_be_checked_stops_no_other_and_is_named(family: Loop) -> None:
    done = score(family, NEXT)
    (family.registry.fetch(US, 1) / "booster.ubj").write_bytes(b"broken")
    checked = check_family(family.restarted(), run(), model=MODEL, batch_id=done.batch.batch_id, key="event")
    assert (list(checked.done), list(checked.failed)) == ([MODEL, EU], [US])
    assert checked.text.startswith("telly-us: ")
    with family.services.ledger.begin() as tx:
        assert tx.claim("event", owner="x", now=family.clock(), lease_seconds=1).state == "done"
    with pytest.raises(ChurnError, match=r"booster\.ubj"):
        check_drift(family.restarted(), run(), model=US, batch_id=done.batch.batch_id)


def test_a_correction_supersedes_the_delivery_for_every_model(family: Loop) -> None:
    former = score(family, NEXT)
    corrected = customers(NEXT).with_columns(pl.col("monthly_charge") + 1)
    later = score(family, NEXT, corrected, name="corrected.csv")
    states = {
        (batch.model, batch.batch_id == later.batch.batch_id): batch.status
        for model in (MODEL, US, EU)
        for batch in batches_of(family, model)
        if batch.as_of == week(NEXT)
    }
    assert former.batch.batch_id != later.batch.batch_id
    assert states == {
        (model, is_later): BatchStatus.SCORED if is_later else BatchStatus.SUPERSEDED
        for model in (MODEL, US, EU)
        for is_later in (False, True)
    }
    tell(family, NEXT)
    us = rows_from_history(family.services, family.services.spec(US)).frame.filter(pl.col(AS_OF) == week(NEXT))
    assert us["monthly_charge"].to_list() == of_region(corrected.sort(ID), "US")["monthly_charge"].to_list()
    assert rows_from_history(family.services, family_spec()).frame.height == (GROWN_WEEKS + 1) * 480


def test_a_slice_gets_its_first_model_with_its_tags_in_its_own_experiment(family: Loop) -> None:
    assert family.champion() == 1
    with family.services.ledger.begin() as tx:
        (first,) = tx.transitions(US)
    assert (first.kind, first.to_version, first.who) == ("initial", 1, "tester")
    release = family.services.release(US, 1)
    assert release.spec.variant.dimensions == {"geography": "US"}
    assert (release.spec.name, release.spec.experiment) == (US, "churn_prediction-geography-us")
    assert release.lineage.rows == GROWN_WEEKS * 239


def test_too_few_matured_outcomes_are_a_recorded_answer(family: Loop) -> None:
    with family.services.ledger.begin() as tx:
        (decision,) = tx.decisions(TINY)
    assert decision.action == "wait"
    (reason,) = decision.reasons
    assert reason.startswith("120 matured rows, ")
    assert reason.endswith("training needs 200 and 30")
    assert family.registry.versions(TINY) == []


def test_a_slice_without_a_model_waits_where_the_data_of_its_base_model_is_broken(family: Loop) -> None:
    with family.services.ledger.begin() as tx:
        reports = tx.reports(MODEL, ReportKind.DRIFT)
        assert reports == []
    gone = customers(NEXT).with_columns(monthly_charge=pl.lit(None, pl.Float64))
    done = score(family, NEXT, gone)
    check_drift(family.services, run(), model=MODEL, batch_id=done.batch.batch_id)
    assert situation_of(family.services, family.services.spec(TINY), "schedule", "").triage == "broken_data"
    assert situation_of(family.services, family.services.spec(US), "schedule", "").triage == "none"


def test_a_slice_is_retrained_promoted_and_scores_the_next_week(family: Loop) -> None:
    live(family, 5, first=NEXT, turned=["US"])
    events = [event for event in family.sent("churn.performance.degraded") if event.model == US]
    assert events, "its customers did the opposite"
    us = family.services.spec(US)
    assert situation_of(family.services, us, "performance", "").matured_rows == 10 * 239
    call = Call(US, "because", events[-1].key)
    done = retrain_family(family.services, run("retrain"), [call], trigger="performance")
    (request,) = done.requests
    assert (request.model, request.bundle, request.champion) == (US, None, 1)
    settle_together(
        family.services, request.approval_id, approve=True, who="ann", source="cli", reason="clear win"
    )
    (concluded,) = conclude_together(family.services, run(), request.approval_id)
    assert concluded.outcome == "promoted v2"
    assert family.registry.version(US, 2) is not None
    scored = {batch.model: batch.version for batch in score(family, NEXT + 5).slices}
    assert scored == {EU: 1, US: 2}
    assert family.champion() == 1


def test_slices_that_got_worse_together_are_retrained_together_and_asked_about_once(family: Loop) -> None:
    live(family, 5, first=NEXT, turned=["US", "EU"])
    degraded = {
        event.model: event.key for event in family.sent("churn.performance.degraded") if event.payload["as_of"]
    }
    assert {US, EU, MODEL} == set(degraded)
    with family.services.ledger.begin() as tx:  # as the flow does
        tx.claim(degraded[US], owner="retrain", now=family.clock(), lease_seconds=60)
    calls = calls_beside(family.services, run("retrain"), model=US, reason="because", key=degraded[US])
    assert [call.model for call in calls] == [US, MODEL, EU]
    assert calls_beside(family.services, run("other"), model=MODEL, reason="", key=degraded[MODEL]) == [
        Call(MODEL, "", degraded[MODEL])
    ], "the others are somebody's already"
    before = len(family.sent("churn.challenger.registered"))
    done = retrain_family(family.services, run("retrain"), calls, trigger="performance")
    assert [result.decision.action for result in done.models.done.values()] == ["retrain"] * 3
    assert [request.model for request in done.requests] == [MODEL, EU, US]
    assert len({request.bundle for request in done.requests}) == 1
    assert len(family.sent("churn.challenger.registered")) == before + 1
    assert set(family.registry.all_with(CHALLENGER)) == {MODEL, EU, US}
    with family.services.ledger.begin() as tx:
        for key in degraded.values():
            assert tx.claim(key, owner="late", now=family.clock(), lease_seconds=1).state == "done"
    again = retrain_family(family.services, run("late"), calls, trigger="performance")
    assert (again.requests, len(family.registry.versions(US))) == ((), 2)
    assert family.registry.by_alias(US, CHAMPION) is not None


def test_outcomes_of_a_day_that_is_not_over_mature_for_no_slice(family: Loop) -> None:
    score(family, NEXT)
    family.know(became(customers(NEXT)), known_at=week(NEXT), file_id="early")
    before = matured_of(family.services, family.services.spec(US)).rows
    family.clock.set_to(week(NEXT) + timedelta(days=7))
    assert matured_of(family.services, family.services.spec(US)).rows == before + 239


def test_a_campaign_chooses_among_the_customers_of_all_models_with_their_own_reasons(family: Loop) -> None:
    done = score(family, NEXT)
    made = make_campaign(family.services, run(), model=MODEL, folder=family.folder / "lists", size=40)
    assert made.batch.batch_id == done.batch.batch_id
    everyone = pl.concat([predicted(family, model, done.batch.batch_id) for model in (MODEL, EU, US)])
    ranked = everyone.sort("probability", descending=True)[ID].to_list()
    listed = [row.contact.customer_id for row in made.rows]
    assert len(listed) == 40
    assert listed == [customer for customer in ranked if customer in set(listed)]
    assert set(everyone.filter(pl.col(ID).is_in(listed))["model"]) >= {EU, US}
    assert all(row.reasons for row in made.rows)
    assert {row.contact.model for row in made.rows} == {MODEL}


def test_a_customer_is_explained_over_all_models_that_scored(family: Loop) -> None:
    score(family, NEXT)
    found = explain(family.services, run(), model=MODEL, customer_id="c00001")
    assert [(each.batch.model, each.version) for each in found.scores] == [(MODEL, 1)] * GROWN_WEEKS + [(US, 1)]
    assert [(each.model, each.version) for each in found.versions] == [(MODEL, 1), (US, 1)]
    assert found.scores[0].outcome is not None
    assert all(each.reasons for each in found.scores)
