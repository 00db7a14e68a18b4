"""A labelled file trains a family: the base model on all rows, and a model for each slice that has enough."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from churnlib.errors import ChurnError
from churnlib.ports import CHALLENGER, CHAMPION
from churnlib.spec import AS_OF, ID
from churnlib.usecases.bundles import conclude_together, settle_together
from churnlib.usecases.fleet_training import Call, FamilyTrained, retrain_family, train_family
from churnlib.usecases.retraining import TrainResult, train_from_file
from churnlib.usecases.unchanged import Unchanged
from tests.families import (
    EU,
    FAMILY,
    REGIONS,
    TINY,
    US,
    became,
    customers,
    family_spec,
    labelled_file,
    score,
    train_base,
)
from tests.loops import MODEL, Loop, as_delivered, make_loop, run, week, write_spec


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churnlib.usecases.training.write_plots", lambda *_: [])


@pytest.fixture
def new(tmp_path: Path) -> Loop:
    """A family without any model."""
    return make_loop(tmp_path / "new", spec=family_spec(), now=week(-1))


def trained(loop: Loop, path: Path, run_id: str = "train", *, force: bool = False) -> FamilyTrained:
    return train_family(loop.services, run(run_id), model=MODEL, path=path, force=force)


def aliases(done: FamilyTrained) -> dict[str, str | None]:
    results = {MODEL: done.base, **done.slices.done}
    return {model: result.alias for model, result in results.items() if isinstance(result, TrainResult)}


def file_of(loop: Loop, frame: pl.DataFrame, name: str) -> Path:
    path = loop.folder / name
    as_delivered(frame).write_csv(path)
    return path


def test_each_slice_with_enough_rows_gets_a_model_and_the_others_are_listed_with_counts(new: Loop) -> None:
    done = trained(new, labelled_file(new, rows=2000))
    assert aliases(done) == {MODEL: CHAMPION, EU: CHAMPION, US: CHAMPION}
    (few,) = done.falling_back
    assert (few.variant.dimensions, few.rows) == ({"geography": REGIONS[2]}, 100)
    assert 0 < few.positives < 100
    assert (done.slices.failed, done.requests) == ({}, ())
    assert new.registry.all_with(CHAMPION) == {MODEL: 1, EU: 1, US: 1}
    assert new.services.release(MODEL, 1).lineage.rows == 2000
    assert new.services.release(US, 1).lineage.rows == 999


def test_names_tags_and_experiments_of_a_slice_say_which_it_is(new: Loop) -> None:
    trained(new, labelled_file(new))
    tags = new.registry.versions(US)[0].tags
    assert (tags["geography"], tags["training_date"]) == ("US", str(week(-1)))
    assert "geography" not in new.registry.versions(MODEL)[0].tags
    assert new.registry.experiment(US, 1) == "churn_prediction-geography-us"
    assert new.registry.experiment(MODEL, 1) == "churn_prediction"


def test_slices_of_a_labelled_file_are_known_from_then_on(new: Loop) -> None:
    trained(new, labelled_file(new))
    assert [known.model for known in new.services.slices(MODEL)] == [EU, TINY, US]
    assert new.services.spec(TINY).variant.dimensions == {"geography": "San Marino"}
    done = score(new, 0)
    assert {batch.model: batch.accepted for batch in done.slices} == {EU: 216, US: 239}


def test_a_slices_model_can_be_trained_alone_on_its_rows_of_the_file(new: Loop) -> None:
    train_base(new)
    with pytest.raises(ChurnError):
        train_from_file(new.services, run(), model=US, path=labelled_file(new))
    score(new, 0)
    result = train_from_file(new.services, run(), model=US, path=labelled_file(new))
    assert (result.version.model, result.rows.frame.height, result.alias) == (US, 999, CHAMPION)


def test_the_same_file_trains_only_what_has_not_learned_from_it(new: Loop) -> None:
    path = labelled_file(new)
    train_from_file(new.services, run("base"), model=MODEL, path=path)
    done = trained(new, path)
    assert isinstance(done.base, Unchanged)
    assert aliases(done) == {EU: CHAMPION, US: CHAMPION}
    again = trained(new, path, "again")
    assert aliases(again) == {}
    assert all(isinstance(each, Unchanged) for each in again.slices.done.values())
    assert len(new.registry.versions(US)) == 1


def test_challengers_of_one_file_are_one_request(new: Loop) -> None:
    trained(new, labelled_file(new))
    turned = ("US", "EU", "San Marino")
    done = trained(new, labelled_file(new, -1, rows=3000, turned=turned), "turned")
    assert aliases(done) == {MODEL: CHALLENGER, EU: CHALLENGER, US: CHALLENGER}
    assert [request.model for request in done.requests] == [MODEL, EU, US]
    assert len({request.bundle for request in done.requests}) == 1
    asked = done.requests[1].approval_id
    settle_together(new.services, asked, approve=True, who="ann", source="cli", reason=None)
    conclude_together(new.services, run(), asked)
    assert new.registry.all_with(CHAMPION) == {MODEL: 2, EU: 2, US: 2}


def test_a_slice_that_cannot_be_trained_stops_no_other(new: Loop) -> None:
    with new.services.ledger.begin() as tx:
        tx.claim(f"training:{EU}", owner="somebody", now=new.clock(), lease_seconds=60)
    done = trained(new, labelled_file(new))
    assert aliases(done) == {MODEL: CHAMPION, US: CHAMPION}
    assert list(done.slices.failed) == [EU]
    assert "by somebody" in done.slices.text


def test_a_family_without_dimensions_has_no_slices(loop: Loop) -> None:
    with pytest.raises(ChurnError, match="telly has no slices") as refused:
        trained(loop, loop.folder / "any.csv")
    assert "[variants]" in refused.value.hint


def test_two_dimensions_make_slices_of_both_and_of_one_where_the_other_is_missing(new: Loop) -> None:
    dimensions = {"geography": "region", "company": "plan"}
    write_spec(new.services.specs, family_spec(variants={**FAMILY["variants"], "dimensions": dimensions}))
    done = trained(new, labelled_file(new, rows=3000))
    assert "telly-us-basic" in done.slices.done
    few = [each.variant.registered_model(MODEL) for each in done.falling_back]
    assert {"telly-us", "telly-basic"} & set(few), "customers without a plan, and the one without a region"
    assert new.registry.versions("telly-us-basic")[0].tags["company_id"] == "basic"
    assert new.registry.experiment("telly-us-basic", 1) == "churn_prediction-geography-us-company-basic"


def test_the_first_model_of_a_slice_waits_where_the_base_model_ranks_its_customers_better(new: Loop) -> None:
    """The slice's own rows say the opposite of what its customers do later; the base model knows better."""
    plenty = [customers(number, 1500) for number in (-9, -7)]
    good = pl.concat([frame.join(became(frame), on=[ID, AS_OF]) for frame in plenty])
    train_from_file(new.services, run("base"), model=MODEL, path=file_of(new, good, "good.csv"))
    wrong = customers(-5, 800)
    right = customers(-3, 1500)
    frames = [wrong.join(became(wrong, turned=REGIONS), on=[ID, AS_OF]), right.join(became(right), on=[ID, AS_OF])]
    path = file_of(new, pl.concat(frames), "misleading.csv")
    write_spec(new.services.specs, family_spec(training={"test_share": 0.4}))
    done = trained(new, path)
    held = done.slices.done[US]
    assert isinstance(held, TrainResult)
    assert held.alias is None
    assert held.gate is not None
    assert held.gate.reasons[0].startswith("the base model v1 ranks them better: AUC -")
    assert US not in new.registry.all_with(CHAMPION)
    assert {event.model for event in new.sent("churn.challenger.held")} >= {US}


def test_a_policy_is_asked_about_every_slice_and_by_hand_skips_the_waiting(family: Loop) -> None:
    calls = [Call(model, "by hand", f"hand:{model}") for model in family.services.family_models(MODEL)]
    done = retrain_family(family.services, run("hand"), calls, trigger="hand")
    answers = {model: result.decision.action for model, result in done.models.done.items()}
    assert answers == {MODEL: "retrain", EU: "retrain", TINY: "wait", US: "retrain"}
    with family.services.ledger.begin() as tx:
        assert [decision.trigger for decision in tx.decisions(US)] == ["schedule", "hand"]
