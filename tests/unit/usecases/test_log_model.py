"""A delivered model becomes a version by the same doors as a trained one, or nothing is written at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost

from churnlib.errors import ChurnError, FileRefused, SpecError
from churnlib.governance.evidence import Evidence, markdown
from churnlib.modelling.metrics import evaluate
from churnlib.modelling.scoring import serve
from churnlib.ports import CHALLENGER
from churnlib.records import Approval, ApprovalStatus
from churnlib.spec import load_spec
from churnlib.usecases.drift import check_drift
from churnlib.usecases.log_model import Delivery, Logged, log_model
from churnlib.usecases.log_model_findings import checks, notes
from churnlib.usecases.outcomes import take_outcomes
from churnlib.usecases.scoring import score_file
from churnlib.usecases.situation import situation_of
from tests.loops import FIRST, Loop, make_loop, run, week

NAME = "shop"
NAMES = ["orders", "days_quiet", "plan_gold"]


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """A loop that knows nothing of the delivered model."""
    return make_loop(tmp_path / "home")


def customers(rows: int, seed: int = 1) -> pl.DataFrame:
    """Rows with an id, what the model takes (the plan as text), and who churned."""
    rng = np.random.default_rng(seed)
    orders, quiet = rng.poisson(4, rows), rng.integers(0, 90, rows)
    gold = rng.random(rows) < 0.3
    churned = rng.random(rows) < 1 / (1 + np.exp(1.5 + 0.4 * orders - 0.06 * quiet + gold))
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:04d}" for number in range(rows)],
            "orders": orders,
            "days_quiet": quiet,
            "plan": np.where(gold, "gold", "basic"),
            "churned": churned.astype(int),
        }
    )


def matrix(frame: pl.DataFrame) -> np.ndarray:
    columns = frame.select("orders", "days_quiet", gold=pl.col("plan") == "gold")
    return columns.select(pl.all().cast(pl.Float32)).to_numpy()


def booster(*, turned: bool = False, noise: bool = False, rounds: int = 20, seed: int = 9) -> xgboost.Booster:
    frame = customers(1500, seed)
    label = frame["churned"].to_numpy()
    label = np.random.default_rng(0).permutation(label) if noise else 1 - label if turned else label
    data = xgboost.DMatrix(matrix(frame), label, feature_names=NAMES)
    settings = {"objective": "binary:logistic", "max_depth": 3, "seed": 1, "nthread": 1}
    return xgboost.train(settings, data, rounds)


def deliver(folder: Path, model: xgboost.Booster | None = None, **changes: Any) -> Delivery:
    """The files of a delivery: model, names and 300 rows; `changes` are of the delivery."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(bytes((model or booster()).save_raw("ubj")))
    (folder / "names.json").write_text(json.dumps(NAMES))
    customers(300).drop("churned").write_csv(folder / "sample.csv")
    customers(300).select("customer_id", "churned").reverse().write_csv(folder / "labels.csv")
    files = {"model": folder / "model.bin", "features": folder / "names.json", "sample": folder / "sample.csv"}
    return Delivery(**{"name": NAME, **{what: str(path) for what, path in files.items()}, **changes})


def log(loop: Loop, delivery: Delivery, run_id: str = "run-1", **options: Any) -> Logged:
    return log_model(loop.services, run(run_id), delivery, **options)


def approvals(loop: Loop) -> list[Approval]:
    with loop.services.ledger.begin() as tx:
        return tx.approvals(NAME)


# what is registered


def test_the_first_version_becomes_champion_on_record(loop: Loop, tmp_path: Path) -> None:
    logged = log(loop, deliver(tmp_path / "given"))
    assert (logged.version.model, logged.version.version, logged.placed.alias) == (NAME, 1, "champion")
    assert logged.version.aliases == ("champion",)
    with loop.services.ledger.begin() as tx:
        [entry] = tx.transitions(NAME)
    assert (entry.kind, entry.to_version, entry.who) == ("initial", 1, "tester")
    assert "delivered" in entry.why
    assert [event.type.name for event in loop.bus.sent] == ["churn.champion.changed"]


def test_it_scores_what_xgboost_scores(loop: Loop, tmp_path: Path) -> None:
    model = booster()
    log(loop, deliver(tmp_path / "given", model))
    release = loop.services.release(NAME, 1)
    given = customers(300).with_columns(orders=pl.col("orders") + 0.5)  # no order of the sample was half a one
    values = matrix(given)
    expected = model.predict(xgboost.DMatrix(values, feature_names=NAMES))
    assert serve(release, given, FIRST)["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_nothing_is_measured_where_no_labels_came(loop: Loop, tmp_path: Path) -> None:
    logged = log(loop, deliver(tmp_path / "given"))
    release = loop.services.release(NAME, 1)
    assert (release.metrics, release.auc_interval, release.cutoff) == (None, None, None)
    assert release.evaluation.train_rows is None
    assert logged.version.metrics == {}
    assert checks(logged.seen)["quality"] == "not measured: no labels were delivered"


def test_what_the_labels_say_is_measured_with_an_interval(loop: Loop, tmp_path: Path) -> None:
    model = booster()
    logged = log(loop, deliver(tmp_path / "given", model, labels=str(tmp_path / "given" / "labels.csv")))
    frame = customers(300)
    probability = model.predict(xgboost.DMatrix(matrix(frame), feature_names=NAMES))
    expected = evaluate(frame["churned"].to_numpy(), probability.astype(np.float64))
    release = loop.services.release(NAME, 1)
    assert release.metrics is not None
    assert release.metrics.auc == expected.auc
    assert release.metrics.log_loss == pytest.approx(expected.log_loss, abs=1e-6)
    assert release.auc_interval is not None
    low, high = release.auc_interval
    assert low < expected.auc < high
    assert logged.version.metrics["test.auc"] == expected.auc
    assert logged.version.metrics["test.auc_low"] == low
    assert "whether the model learned from them is not known" in release.evaluation.split_text
    assert (logged.seen.spec.columns.label, logged.seen.spec.columns.positive) == ("churned", 1)


def test_few_labels_give_numbers_and_no_interval(loop: Loop, tmp_path: Path) -> None:
    delivery = deliver(tmp_path / "given", labels=str(tmp_path / "given" / "labels.csv"))
    customers(300).select("customer_id", "churned").head(18).write_csv(tmp_path / "given" / "labels.csv")
    logged = log(loop, delivery)
    assert logged.version.metrics["test.rows"] == 18
    assert logged.seen.evaluation.auc_interval is None
    assert "test.auc_low" not in logged.version.metrics


def test_a_label_in_the_sample_measures_only_if_it_is_named(loop: Loop, tmp_path: Path) -> None:
    delivery = deliver(tmp_path / "given")
    customers(300).write_csv(tmp_path / "given" / "sample.csv")
    logged = log(loop, delivery)
    assert logged.seen.evaluation.test is None
    assert any("--label churned" in note for note in notes(logged.seen))
    measured = log(loop, replace(delivery, label="churned"))
    assert measured.is_new
    assert measured.version.metrics["test.rows"] == 300
    assert measured.placed.evidence is not None


def test_the_lineage_says_who_and_from_where_with_hashes(loop: Loop, tmp_path: Path) -> None:
    delivery = deliver(tmp_path / "given")
    logged = log(loop, delivery)
    lineage = loop.services.release(NAME, 1).lineage
    assert lineage.handover is not None
    content = Path(delivery.model).read_bytes()
    assert lineage.handover.by == "tester"
    assert set(lineage.handover.files) == {"model", "features", "sample"}
    assert lineage.handover.files["model"].source == delivery.model
    assert lineage.handover.files["model"].digest == hashlib.sha256(content).hexdigest() == lineage.digest
    assert (lineage.rows, lineage.first_as_of) == (None, None)
    assert logged.version.tags["churn.model_sha256"] == lineage.digest
    assert logged.version.tags["training_date"] == "unknown"
    assert checks(logged.seen)["training date"] == "not known"


def test_a_variant_has_its_own_model_and_tags(loop: Loop, tmp_path: Path) -> None:
    logged = log(loop, deliver(tmp_path / "given", dimensions={"geography": "US", "company": "Client A"}))
    assert logged.version.model == "shop-us-client-a"
    assert logged.version.tags["geography"] == "US"
    assert logged.version.tags["company_id"] == "Client A"
    assert loop.services.release("shop-us-client-a", 1).spec.variant.dimensions == {
        "geography": "US",
        "company": "Client A",
    }
    assert logged.spec_file.name == "shop.toml"
    assert any("geography and company" in note for note in notes(logged.seen))


# the spec


def test_the_spec_that_is_written_feeds_the_model(loop: Loop, tmp_path: Path) -> None:
    logged = log(loop, deliver(tmp_path / "given"))
    spec = load_spec(loop.services.specs / f"{NAME}.toml")
    assert spec == logged.seen.spec
    assert list(spec.model_features) == NAMES
    assert spec.features["plan_gold"].sql == "coalesce(plan = 'gold', false)"


def test_a_spec_that_fits_stays_as_it_is(loop: Loop, tmp_path: Path) -> None:
    delivery = deliver(tmp_path / "given")
    log(loop, delivery)
    path = loop.services.specs / f"{NAME}.toml"
    path.write_text(path.read_text().replace("horizon_days = 30", "horizon_days = 60"))
    again = log(loop, replace(delivery, model=str(shutil.copy(delivery.model, tmp_path / "same.ubj"))))
    assert (again.seen.spec_text, again.seen.spec.horizon_days) == (None, 60)
    assert "horizon_days = 60" in path.read_text()


def test_a_spec_of_another_model_is_not_replaced(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given"))
    path = loop.services.specs / f"{NAME}.toml"
    written = path.read_text().replace("[features]", "[features]\nmore = { type = 'number' }")
    path.write_text(written)
    customers(300).with_columns(more=1).write_csv(tmp_path / "given" / "sample.csv")
    delivery = replace(deliver(tmp_path / "other"), sample=str(tmp_path / "given" / "sample.csv"))
    with pytest.raises(SpecError, match=r"models/shop\.toml does not fit model\.bin: it has 'more' besides"):
        log(loop, delivery)
    assert path.read_text() == written
    assert len(loop.registry.versions(NAME)) == 1


def test_an_id_that_the_spec_does_not_say_is_refused(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given"))
    with pytest.raises(
        SpecError, match=r"models/shop\.toml has the customer's id in 'customer_id', not in 'plan'"
    ):
        log(loop, deliver(tmp_path / "given", booster(rounds=5), id_column="plan"))


def test_a_spec_without_a_label_is_told_so_where_labels_come(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given"))
    later = log(loop, deliver(tmp_path / "given", labels=str(tmp_path / "given" / "labels.csv")))
    assert any("set label = 'churned'" in note for note in notes(later.seen))


# what is refused, and leaves nothing


def wrong_names(folder: Path) -> dict[str, Any]:
    (folder / "names.json").write_text(json.dumps(["orders", "quiet", "plan_gold"]))
    return {}


def wrong_rows(folder: Path) -> dict[str, Any]:
    customers(300).drop("orders").write_csv(folder / "sample.csv")
    return {}


def wrong_model(folder: Path) -> dict[str, Any]:
    (folder / "model.bin").write_bytes(b"\x80\x04\x95")
    return {}


def wrong_scores(folder: Path) -> dict[str, Any]:
    pl.DataFrame({"prediction": np.linspace(0, 1, 300)}).write_csv(folder / "scores.csv")
    return {"scores": str(folder / "scores.csv")}


def pickled_rows(folder: Path) -> dict[str, Any]:
    (folder / "sample.csv").write_bytes(b"\x80\x05\x95")
    return {}


def wrong_labels(folder: Path) -> dict[str, Any]:
    pl.DataFrame({"churned": [1, 0]}).write_csv(folder / "labels.csv")
    return {"labels": str(folder / "labels.csv")}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wrong_names, "'days_quiet' \\(is 'quiet' meant"),
        (wrong_rows, "'orders'"),
        (wrong_model, r"model\.bin is a Python pickle"),
        (pickled_rows, r"sample\.csv is a Python pickle.*as CSV, Parquet or JSON"),
        (wrong_scores, r"scores\.csv, row 1: the published score is 0\.000000, and the model gives"),
        (wrong_labels, r"labels\.csv has 2 rows"),
    ],
)
def test_what_does_not_fit_together_leaves_nothing(
    loop: Loop, tmp_path: Path, spoil: Callable[[Path], dict[str, Any]], said: str
) -> None:
    delivery = deliver(tmp_path / "given")
    spoiled = replace(delivery, **spoil(tmp_path / "given"))
    with pytest.raises(FileRefused, match=said):
        log(loop, spoiled)
    assert not (loop.services.specs / f"{NAME}.toml").exists()
    assert loop.registry.versions(NAME) == []
    assert loop.bus.sent == []


def test_a_name_that_leaves_its_folder_is_refused(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match="cannot be the name"):
        log(loop, deliver(tmp_path / "given", name="../shop"))


# published scores


def stopped() -> xgboost.Booster:
    frame = customers(1500, 9)
    data = xgboost.DMatrix(matrix(frame), frame["churned"].to_numpy(), feature_names=NAMES)
    later = customers(500, 10)
    watched = xgboost.DMatrix(matrix(later), later["churned"].to_numpy(), feature_names=NAMES)
    settings = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.4, "seed": 1}
    return xgboost.train(settings, data, 80, evals=[(watched, "w")], early_stopping_rounds=8, verbose_eval=False)


@pytest.mark.parametrize("trees", ["all", "best"])
def test_published_scores_say_which_trees_were_meant(loop: Loop, tmp_path: Path, trees: str) -> None:
    model = stopped()
    used = (0, 0) if trees == "all" else (0, model.best_iteration + 1)
    rows = xgboost.DMatrix(matrix(customers(300)), feature_names=NAMES)
    scores = pl.DataFrame({"prediction": model.predict(rows, iteration_range=used)})
    delivery = deliver(tmp_path / "given", model, scores=str(tmp_path / "given" / "scores.csv"))
    scores.write_csv(tmp_path / "given" / "scores.csv")
    logged = log(loop, delivery)
    assert (logged.seen.scored.trees, logged.seen.published) == (trees, 300)
    release = loop.services.release(NAME, 1)
    assert release.lineage.handover is not None
    assert release.lineage.handover.reproduced == 300
    assert release.booster.num_boosted_rounds() == (used[1] or model.num_boosted_rounds())


def test_without_published_scores_all_trees_are_used_and_that_is_said(loop: Loop, tmp_path: Path) -> None:
    model = stopped()
    logged = log(loop, deliver(tmp_path / "given", model))
    assert logged.seen.scored.trees == "all"
    said = checks(logged.seen)["rounds used"]
    assert said.startswith(f"all {model.num_boosted_rounds()}")
    assert any("--trees best" in note for note in notes(logged.seen))
    best = log(loop, deliver(tmp_path / "given", model, name="best", trees="best"))
    assert loop.services.release("best", 1).booster.num_boosted_rounds() == model.best_iteration + 1
    assert any("--trees all" in note for note in notes(best.seen))


# once, and after a kill


def test_the_same_delivery_makes_one_version_from_wherever_it_comes(loop: Loop, tmp_path: Path) -> None:
    first = log(loop, deliver(tmp_path / "given"))
    again = log(loop, deliver(tmp_path / "elsewhere"), "run-2")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version.version == 1
    assert again.placed.alias == "champion"
    assert len(loop.registry.versions(NAME)) == 1
    with loop.services.ledger.begin() as tx:
        assert len(tx.transitions(NAME)) == 1


def test_killed_before_its_alias_the_same_call_goes_on(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver(tmp_path / "given")
    with monkeypatch.context() as patched:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(loop.registry, "set_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            log(loop, delivery)
    assert loop.registry.versions(NAME)[0].aliases == ()
    again = log(loop, delivery, "run-2")
    assert (again.version.version, again.version.aliases) == (1, ("champion",))
    with loop.services.ledger.begin() as tx:
        assert len(tx.transitions(NAME)) == 1


def test_a_training_in_flight_keeps_it_out(loop: Loop, tmp_path: Path) -> None:
    with loop.services.ledger.begin() as tx:
        tx.claim(f"training:{NAME}", owner="somebody", now=loop.clock(), lease_seconds=60)
    with pytest.raises(ChurnError, match="being trained or registered already, by somebody"):
        log(loop, deliver(tmp_path / "given"))
    assert loop.registry.versions(NAME) == []


# beside a champion


def test_without_labels_a_later_version_is_challenger_and_waits(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given", booster(noise=True)))
    later = log(loop, deliver(tmp_path / "later"))
    assert (later.version.version, later.placed.alias, later.placed.waits) == (
        2,
        "challenger",
        "no labels were delivered",
    )
    assert later.version.tags["churn.gate"] == "waiting"
    assert "no labels" in later.version.tags["churn.gate_reasons"]
    assert approvals(loop) == []
    champion = loop.registry.by_alias(NAME, "champion")
    assert champion is not None
    assert champion.version == 1


def labelled(folder: Path, model: xgboost.Booster) -> Delivery:
    delivery = deliver(folder, model, labels=str(folder / "labels.csv"))
    customers(1500, seed=2).drop("churned").write_csv(folder / "sample.csv")
    customers(1500, seed=2).select("customer_id", "churned").write_csv(folder / "labels.csv")
    return delivery


def test_one_that_wins_on_the_labels_is_put_before_a_person(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given", booster(noise=True)))
    later = log(loop, labelled(tmp_path / "later", booster()))
    assert later.placed.gate is not None
    assert later.placed.gate.passed, later.placed.gate.reasons
    [approval] = approvals(loop)
    assert (approval.status, approval.challenger, approval.champion) == (ApprovalStatus.PENDING, 2, 1)
    evidence = Evidence.model_validate_json(approval.evidence)
    assert evidence.rows == 1500
    assert "from whom it may have learned" in approval.summary
    assert "Judged on 1,500 delivered customers, from whom it may have learned" in markdown(evidence)
    challenger = loop.registry.by_alias(NAME, CHALLENGER)
    assert challenger is not None
    assert challenger.version == 2


def test_one_that_loses_on_the_labels_is_held_with_reasons(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given", booster()))
    later = log(loop, labelled(tmp_path / "later", booster(turned=True)))
    assert later.placed.alias is None
    assert later.version.tags["churn.gate"] == "held"
    assert any("its high scores go with customers who stayed" in note for note in notes(later.seen))
    assert approvals(loop) == []


def test_a_challenger_before_a_person_keeps_its_place(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given", booster(noise=True)))
    log(loop, labelled(tmp_path / "second", booster()))
    third = log(loop, deliver(tmp_path / "third", booster(rounds=25)))
    assert (third.placed.alias, third.placed.waits) == (
        None,
        "no labels were delivered, and v2 is before a person",
    )
    challenger = loop.registry.by_alias(NAME, CHALLENGER)
    assert challenger is not None
    assert challenger.version == 2


def test_a_champion_whose_columns_the_sample_lacks_cannot_be_compared(loop: Loop, tmp_path: Path) -> None:
    log(loop, deliver(tmp_path / "given", booster(noise=True)))
    path = loop.services.specs / f"{NAME}.toml"
    lines = path.read_text().splitlines()
    kept = [line.replace("sql = \"coalesce(plan = 'gold', false)\"", "nullable = true") for line in lines]
    path.write_text("\n".join(line for line in kept if not line.startswith("plan = ")))
    delivery = labelled(tmp_path / "later", booster())
    plain = customers(1500, seed=2).with_columns(plan_gold=pl.col("plan") == "gold").drop("plan", "churned")
    plain.write_csv(tmp_path / "later" / "sample.csv")
    later = log(loop, delivery)
    assert later.placed.alias == "challenger"
    assert later.placed.waits is not None
    assert "'plan'" in later.placed.waits


# native categories


def test_native_categories_score_as_in_xgboost_and_an_unknown_one_goes_to_quarantine(
    loop: Loop, tmp_path: Path
) -> None:
    frame = customers(600, seed=3).with_columns(pl.col("plan").replace({"gold": "zeta", "basic": "mu"}))
    plans = ["zeta", "alpha", "mu"]  # in no alphabetical order, and one that no row has
    given = frame.select("orders", "plan").to_pandas()
    given["plan"] = pd.Categorical(given["plan"], categories=plans)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, enable_categorical=True, max_cat_to_onehot=1)
    model.fit(given, frame["churned"].to_numpy())
    delivery = replace(deliver(tmp_path / "given", model.get_booster()), features=None)
    frame.select("customer_id", "orders", "plan").write_csv(tmp_path / "given" / "sample.csv")
    logged = log(loop, delivery)
    assert load_spec(logged.spec_file).features["plan"].categories == tuple(plans)
    batch = tmp_path / "batch.csv"
    odd = pl.DataFrame({"customer_id": ["odd"], "orders": [3], "plan": ["omega"]})
    pl.concat([frame.select("customer_id", "orders", "plan"), odd], how="vertical_relaxed").write_csv(batch)
    done = score_file(loop.services, run(), model=NAME, path=batch).batch
    assert (done.accepted, done.quarantined) == (600, 1)
    scores = loop.services.predictions.scan_batch(NAME, done.batch_id)
    assert scores is not None
    found = frame.select("customer_id").join(scores.collect(), on="customer_id", maintain_order="left")
    expected = model.predict_proba(given)[:, 1]
    assert found["probability"].to_numpy() == pytest.approx(expected, abs=1e-6)


# addresses


def test_files_come_from_s3_through_what_it_is_given(loop: Loop, tmp_path: Path) -> None:
    local = deliver(tmp_path / "bucket")
    asked: list[str] = []

    def fetch(address: str, folder: Path) -> Path:
        asked.append(address)
        return Path(shutil.copy(tmp_path / "bucket" / address.rpartition("/")[2], folder))

    start = "s3://models/geography-us"
    delivery = replace(local, model=f"{start}/model.bin", sample=f"{start}/sample.csv")
    log(loop, delivery, fetch=fetch)
    assert sorted(asked) == [f"{start}/model.bin", f"{start}/sample.csv"]
    handover = loop.services.release(NAME, 1).lineage.handover
    assert handover is not None
    assert handover.files["model"].source == f"{start}/model.bin"
    again = log(loop, local)  # the same files from the disk
    assert not again.is_new


def test_without_a_way_to_s3_an_address_is_refused(loop: Loop, tmp_path: Path) -> None:
    delivery = replace(deliver(tmp_path / "given"), model="s3://bucket/model.ubj")
    with pytest.raises(ChurnError, match=r"s3://bucket/model\.ubj cannot be fetched"):
        log(loop, delivery)
    with pytest.raises(ChurnError, match="names no file"):
        log(loop, replace(delivery, model="s3://bucket/folder/"), fetch=lambda address, folder: folder)


# everything that comes after


def test_batches_drift_and_outcomes_work_with_a_champion_that_was_never_measured(
    loop: Loop, tmp_path: Path
) -> None:
    log(loop, deliver(tmp_path / "given"))
    batch = loop.data / "incoming" / NAME / "week.csv"
    batch.parent.mkdir(parents=True)
    customers(900, seed=4).drop("churned").with_columns(pl.col("orders") / 2).write_csv(batch)
    scored = score_file(loop.services, run(), model=NAME, path=batch)
    assert (scored.batch.accepted, scored.batch.quarantined) == (900, 0)
    result = check_drift(loop.services, run(), model=NAME, batch_id=scored.batch.batch_id)
    assert result.measurement.reference_rows == 300
    loop.clock.set_to(week(6))
    path = loop.services.specs / f"{NAME}.toml"
    path.write_text(path.read_text().replace('# label = "…"', 'label = "churned"  # "…"'))
    outcomes = tmp_path / "outcomes.csv"
    customers(900, seed=4).select("customer_id", "churned", as_of=pl.lit(FIRST)).write_csv(outcomes)
    [report] = take_outcomes(loop.services, run(), model=NAME, path=outcomes).reports
    assert report.values["auc"] is not None
    situation = situation_of(loop.services, loop.services.spec(NAME), "schedule", "due")
    assert situation.champion_cutoff is None
