"""A delivered model is read without running anything, refused with the reason, and scores as XGBoost scores it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlib.errors import ChurnError, FileRefused
from churnlib.features.matrix import build_matrix
from churnlib.modelling.engine import evaluator, margins
from churnlib.modelling.foreign import Adopted, Trees, adopt, read_foreign
from churnlib.modelling.foreign_kind import form_of
from churnlib.modelling.foreign_names import names_of, read_names
from churnlib.spec import AS_OF, Spec, parse_spec
from tests.builders import FIRST_AS_OF

NAMES = ["age", "calls", "Contract_One year"]

ROWS = 400


@lru_cache
def rows() -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(ROWS, 3)).astype(np.float32)
    values[rng.random((ROWS, 3)) < 0.1] = np.nan
    return values


@lru_cache
def churned() -> np.ndarray:
    noise = np.random.default_rng(4).normal(size=ROWS)
    age, calls = np.nan_to_num(rows())[:, :2].T
    return np.asarray(age - calls + noise > 0, dtype=int)


def booster(rounds: int = 12, names: list[str] | None = NAMES, **changes: Any) -> xgboost.Booster:
    settings = {"objective": "binary:logistic", "max_depth": 3, "seed": 1, "nthread": 1, **changes}
    data = xgboost.DMatrix(rows(), churned(), feature_names=names)
    return xgboost.train(settings, data, num_boost_round=rounds)


def saved(path: Path, model: xgboost.Booster, form: str = "ubj") -> Path:
    path.write_bytes(bytes(model.save_raw(form)))
    return path


def forged(path: Path, change: Callable[[dict[str, Any]], object], model: xgboost.Booster | None = None) -> Path:
    """A model whose JSON somebody changed."""
    document = json.loads(bytes((model or booster()).save_raw("json")))
    change(document)
    path.write_text(json.dumps(document))
    return path


def number_spec(names: list[str] = NAMES) -> Spec:
    features = {name: {"type": "number"} for name in names}
    return parse_spec({"name": "m", "columns": {"id": "id"}, "features": features}, source="test")


def frame(values: np.ndarray, names: list[str] = NAMES) -> pl.DataFrame:
    numbers = {name: pl.Series(values[:, at].astype(np.float64)).fill_nan(None) for at, name in enumerate(names)}
    return pl.DataFrame(numbers).with_columns(pl.lit(FIRST_AS_OF).alias(AS_OF))


def scored(model: Adopted, values: np.ndarray) -> np.ndarray:
    return margins(model.booster, build_matrix(frame(values), model.spec, model.state))


def margin_of(model: xgboost.Booster, values: np.ndarray, **options: Any) -> np.ndarray:
    data = xgboost.DMatrix(values, feature_names=model.feature_names)
    return np.asarray(model.predict(data, output_margin=True, **options), dtype=np.float64)


# what is opened, and what is not


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("suffix", [".pkl", ".json", ".ubj", ".bin"])
def test_a_pickle_is_named_and_never_opened(tmp_path: Path, protocol: int, suffix: str) -> None:
    trap, path = tmp_path / "sprung", tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps([Bomb(trap)], protocol=protocol))
    with pytest.raises(FileRefused, match=rf"model{suffix} is a Python pickle.*not opened.*save_model"):
        read_foreign(path)
    assert not trap.exists()


def test_who_wrote_a_pickle_is_said(tmp_path: Path) -> None:
    import joblib  # type: ignore[import-untyped]

    joblib.dump({"model": np.arange(3)}, tmp_path / "model.joblib")
    with pytest.raises(FileRefused, match=r"a Python pickle, written by joblib"):
        read_foreign(tmp_path / "model.joblib")


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model.json", "{}")
    return content.getvalue()


PICKLE = pickle.dumps({"a": 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(PICKLE, mtime=0), "compressed with gzip"),
        (zlib.compress(PICKLE), "compressed with zlib"),
        (bz2.compress(PICKLE), "compressed with bzip2"),
        (lzma.compress(PICKLE), "compressed with xz"),
        (zipped(), "a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file"),
        (b"\x08\x07\x12\x07skl2onnx", "ONNX"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"tree\nversion=v3\n", "a LightGBM model"),
        (b"CBM1" + bytes(9), "a CatBoost model"),
        (b"binf" + bytes(9), "old binary form"),
        (b"\x00\x00\x00?\x05\x00", "no form that is known"),
        (b"<?xml version='1.0'?><PMML/>", "PMML"),
        (b"booster[0]:\n0:[f0<0.5]", "a dump for people"),
        (b'[{"nodeid": 0}]', "a dump for people"),
        (b"hello model", "text that begins with 'hello model'"),
    ],
)
def test_what_is_no_plain_xgboost_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=rf"model\.json is no XGBoost model: it .*{said}"):
        read_foreign(path)


def test_nothing_and_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.ubj").touch()
    with pytest.raises(FileRefused, match=r"empty\.ubj is empty"):
        read_foreign(tmp_path / "empty.ubj")
    with pytest.raises(FileRefused, match=r"There is no file .*gone\.ubj"):
        read_foreign(tmp_path / "gone.ubj")
    with pytest.raises(FileRefused, match=r"is a folder"):
        read_foreign(tmp_path)


@pytest.mark.parametrize("suffix", [".json", ".ubj", ".bin", ".model", ""])
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_the_content_says_the_form_and_not_the_suffix(tmp_path: Path, form: str, suffix: str) -> None:
    model = booster()
    found = read_foreign(saved(tmp_path / f"model{suffix}", model, form))
    assert np.array_equal(margin_of(found.booster, rows()), margin_of(model, rows()))


def test_json_may_begin_with_a_mark_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + bytes(booster().save_raw("json")))
    assert form_of(path) == "json"
    assert read_foreign(path).rounds == 12


# damage


@lru_cache
def contents() -> dict[str, bytes]:
    model = booster(rounds=2)
    return {form: bytes(model.save_raw(form)) for form in ("json", "ubj")}


@settings(max_examples=30, deadline=None)
@given(form=st.sampled_from(["json", "ubj"]), share=st.floats(0, 0.9999))
def test_a_file_that_is_cut_off_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, form: str, share: float
) -> None:
    content = contents()[form]
    path = tmp_path_factory.getbasetemp() / f"cut.{form}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileRefused):
        read_foreign(path)


@settings(max_examples=80, deadline=None)
@given(form=st.sampled_from(["json", "ubj"]), at=st.floats(0, 0.9999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_leaves_a_model_that_scores(
    tmp_path_factory: pytest.TempPathFactory, form: str, at: float, bit: int
) -> None:
    content = bytearray(contents()[form])
    content[int(len(content) * at)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / f"flipped.{form}"
    path.write_bytes(content)
    try:
        found = read_foreign(path)
    except FileRefused:
        return
    found.booster.feature_names = None
    assert found.booster.predict(xgboost.DMatrix(np.zeros((1, found.shape.features)))).shape == (1,)


def test_a_cut_in_transfer_says_where(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(contents()["json"][:1000])
    with pytest.raises(FileRefused, match=r"breaks off at byte \d+ of 1,000 .*cut off in transfer"):
        read_foreign(path)


def tree(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["learner"]["gradient_booster"]["model"]["trees"][0]
    return found


def put(key: str, at: int, value: object) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        tree(document)[key][at] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("left_children", 0, 999), "do not form one"),
        (put("right_children", 0, 0), "do not form one"),
        (put("right_children", 0, -7), "do not form one"),
        (put("parents", 1, 900_000), "do not name their parents"),
        (put("split_indices", 0, 3), "by feature 3, of 3"),
        (put("split_conditions", -1, float("nan")), "no finite number"),
        (lambda document: tree(document)["default_left"].pop(), "different lengths"),
        (lambda document: tree(document).pop("sum_hessian"), "has no 'sum_hessian'"),
        (lambda document: document["learner"].pop("gradient_booster"), "has no 'gradient_booster'"),
        (lambda document: document["learner"]["feature_names"].pop(), "2 feature names for 3 features"),
        (lambda document: document["learner"]["learner_model_param"].update(num_feature="1"), "for 1 features"),
        (lambda document: document.pop("version"), "has no 'version'"),
    ],
)
def test_an_index_that_leads_nowhere_is_found_before_xgboost_follows_it(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(FileRefused, match=rf"model\.json is no complete XGBoost model: .*{said}"):
        read_foreign(forged(tmp_path / "model.json", change))


def test_json_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"layers": [1, 2]}')
    with pytest.raises(FileRefused, match="no complete XGBoost model: it has no 'learner'"):
        read_foreign(tmp_path / "model.json")


@pytest.mark.parametrize(
    "content",
    [
        b"{i\x01a[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff",  # so many nulls, which take no bytes
        b"{i\xffa",  # a negative length
        b"{i\x01a" + b"[" * 100_000,
    ],
)
def test_a_small_file_that_claims_to_hold_much_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.ubj").write_bytes(content)
    with pytest.raises(FileRefused, match="no complete XGBoost model"):
        read_foreign(tmp_path / "model.ubj")


# objectives and kinds


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("multi:softprob", "chooses among several classes"),
        ("rank:pairwise", "only ranks"),
        ("survival:cox", "predicts times or hazards"),
        ("binary:hinge", "says yes or no"),
        ("reg:squarederror", "predicts a number"),
        ("count:poisson", "predicts a number"),
    ],
)
def test_an_objective_without_a_probability_is_refused(tmp_path: Path, objective: str, said: str) -> None:
    extra: dict[str, Any] = {"num_class": 2} if objective.startswith("multi") else {}
    model = booster(rounds=2, objective=objective, **extra)
    with pytest.raises(FileRefused, match=rf"has the objective {objective}: it {said}.*binary:logistic"):
        read_foreign(saved(tmp_path / "model.ubj", model))


def test_several_outputs_are_refused(tmp_path: Path) -> None:
    both = np.column_stack([churned(), 1 - churned()])
    model = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows(), both), num_boost_round=2)
    with pytest.raises(FileRefused, match="2 outputs; churn has one"):
        read_foreign(saved(tmp_path / "model.ubj", model))


@pytest.mark.parametrize("objective", ["binary:logistic", "binary:logitraw", "reg:logistic"])
@pytest.mark.parametrize("base", [None, 0.1])
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_margins_are_xgboosts_whatever_the_base_score(
    tmp_path: Path, objective: str, base: float | None, form: str
) -> None:
    given_base: dict[str, Any] = {} if base is None else {"base_score": base}
    model = booster(objective=objective, **given_base)
    adopted = adopt(read_foreign(saved(tmp_path / "model", model, form)), number_spec(), "all")
    margin = scored(adopted, rows())
    assert np.array_equal(margin, margin_of(model, rows()))
    if objective != "binary:logitraw":
        probability = model.predict(xgboost.DMatrix(rows(), feature_names=NAMES))
        assert adopted.calibration.apply(margin) == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize(
    "settings",
    [{"booster": "dart", "rate_drop": 0.3}, {"booster": "gblinear"}, {"num_parallel_tree": 4, "subsample": 0.6}],
    ids=["dart", "gblinear", "forest"],
)
def test_other_kinds_score_and_explain_as_in_xgboost(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = booster(**settings)
    adopted = adopt(read_foreign(saved(tmp_path / "model.ubj", model)), number_spec(), "all")
    matrix = build_matrix(frame(rows()), adopted.spec, adopted.state)
    engine = evaluator(adopted.booster, rows=1_000_000, explained=1_000_000)
    assert (engine.name == "trees") == ("booster" not in settings)
    assert np.array_equal(engine.margins(matrix), margin_of(model, rows()))
    assert engine.contributions(matrix).sum(axis=1) == pytest.approx(margin_of(model, rows()), abs=1e-4)


def stopped() -> xgboost.Booster:
    """Stopped early, five rounds after its best one."""
    data = xgboost.DMatrix(rows()[:250], churned()[:250], feature_names=NAMES)
    watched = xgboost.DMatrix(rows()[250:], churned()[250:], feature_names=NAMES)
    settings = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.5, "seed": 1}
    return xgboost.train(settings, data, 60, evals=[(watched, "w")], early_stopping_rounds=5, verbose_eval=False)


@pytest.mark.parametrize("trees", ["all", "best"])
def test_after_early_stopping_the_trees_asked_for_score_in_every_way_to_predict(
    tmp_path: Path, trees: Trees
) -> None:
    model = stopped()
    foreign = read_foreign(saved(tmp_path / "model.ubj", model))
    assert (foreign.rounds, foreign.best_rounds) == (model.best_iteration + 6, model.best_iteration + 1)
    used = (0, 0) if trees == "all" else (0, model.best_iteration + 1)
    expected = margin_of(model, rows(), iteration_range=used)
    adopted = adopt(foreign, number_spec(), trees)
    assert np.array_equal(scored(adopted, rows()), expected)
    wrapped = xgboost.XGBClassifier()
    wrapped.load_model(bytearray(adopted.booster.save_raw("ubj")))
    assert np.array_equal(wrapped.predict(pd.DataFrame(rows(), columns=NAMES), output_margin=True), expected)


def test_without_early_stopping_there_is_no_best_round(tmp_path: Path) -> None:
    foreign = read_foreign(saved(tmp_path / "model.ubj", booster()))
    assert foreign.best_rounds is None
    with pytest.raises(ChurnError, match="no best round"):
        adopt(foreign, number_spec(), "best")


# native categories


def categorical() -> tuple[xgboost.XGBClassifier, pd.DataFrame]:
    """Categories in no alphabetical order, numbers as categories, and one that only ever was missing."""
    rng = np.random.default_rng(5)
    plans = ["zeta", "alpha", "mu", "beta"]
    data = pd.DataFrame(
        {
            "plan": pd.Categorical(rng.choice(plans, ROWS), categories=plans),
            "zone": pd.Categorical(rng.choice([30, 10, 20], ROWS), categories=[30, 10, 20]),
            "age": rows()[:, 0],
        }
    )
    data.loc[::11, "plan"] = None
    label = (data["plan"].isin(["zeta", "beta"]) ^ (data["zone"] == 10)).astype(int)
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=4, enable_categorical=True, max_cat_to_onehot=1)
    return model.fit(data, label), data


def category_spec() -> Spec:
    kinds = {"plan": "category", "zone": "category", "age": "number"}
    features = {name: {"type": kind} for name, kind in kinds.items()}
    return parse_spec({"name": "m", "columns": {"id": "id"}, "features": features}, source="test")


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_native_categories_score_by_the_models_own_codes(tmp_path: Path, form: str) -> None:
    model, data = categorical()
    foreign = read_foreign(saved(tmp_path / "model", model.get_booster(), form))
    assert foreign.categories == {0: ("zeta", "alpha", "mu", "beta"), 1: ("30", "10", "20")}
    assert foreign.coded == frozenset()
    adopted = adopt(foreign, category_spec(), "all")
    delivered = pl.DataFrame(
        {
            AS_OF: [FIRST_AS_OF] * ROWS,
            "plan": [None if pd.isna(plan) else plan for plan in data["plan"]],
            "zone": [str(zone) for zone in data["zone"]],
            "age": pl.Series(data["age"].to_numpy().astype(np.float64)).fill_nan(None),
        }
    )
    matrix = build_matrix(delivered, adopted.spec, adopted.state)
    assert np.array_equal(margins(adopted.booster, matrix), model.predict(data, output_margin=True))
    assert matrix.unseen == {}


def test_a_category_that_the_model_does_not_know_is_missing_and_counted(tmp_path: Path) -> None:
    model, data = categorical()
    adopted = adopt(read_foreign(saved(tmp_path / "model", model.get_booster())), category_spec(), "all")
    row = pl.DataFrame({AS_OF: [FIRST_AS_OF], "plan": ["omega"], "zone": ["10"], "age": [0.5]})
    matrix = build_matrix(row, adopted.spec, adopted.state)
    missing = data.head(1).assign(plan=data["plan"].head(1).where([False]), zone=data["zone"].head(1), age=0.5)
    missing["zone"] = pd.Categorical([10], categories=[30, 10, 20])
    assert np.array_equal(margins(adopted.booster, matrix), model.predict(missing, output_margin=True))
    assert matrix.unseen == {"plan": 1}


def test_categories_that_a_model_does_not_keep_are_codes(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(0, 5, (ROWS, 1)).astype(np.float32)
    data = xgboost.DMatrix(codes, codes[:, 0] % 2, feature_types=["c"], enable_categorical=True)
    model = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, data, 5)
    foreign = read_foreign(saved(tmp_path / "model.ubj", model))
    assert (foreign.categories, foreign.coded) == ({}, frozenset({0}))
    adopted = adopt(foreign, number_spec(["plan"]), "all")
    matrix = build_matrix(frame(codes, ["plan"]), adopted.spec, adopted.state)
    assert np.array_equal(margins(adopted.booster, matrix), model.predict(data, output_margin=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda cats: cats["enc"][0]["offsets"].__setitem__(1, 10_000),
        lambda cats: cats["enc"][0]["offsets"].__setitem__(1, -1),
        lambda cats: cats["feature_segments"].__setitem__(1, 10_000),
        lambda cats: cats["sorted_idx"].__setitem__(0, 10_000),
        lambda cats: cats["enc"].pop(),
    ],
)
def test_kept_categories_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[Any], object]) -> None:
    model, _ = categorical()
    path = tmp_path / "model.json"
    with pytest.raises(FileRefused, match="categories"):
        read_foreign(forged(path, lambda document: change(forest(document)["cats"]), model.get_booster()))


def forest(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["learner"]["gradient_booster"]["model"]
    return found


# names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", json.dumps(NAMES)),
        ("object.json", json.dumps({"version": 3, "feature_names": NAMES, "target": ["churned"]})),
        ("one_list.json", json.dumps({"model": "x", "inputs": NAMES})),
        ("objects.json", json.dumps([{"name": name, "type": "float"} for name in NAMES])),
        ("places.json", json.dumps({name: NAMES.index(name) for name in reversed(NAMES)})),
        ("rows.json", '{"age": 1, "calls": 2, "Contract_One year": 0}\n{"age": 2}\n'),
        ("lines.txt", "\n".join(NAMES) + "\n"),
        ("headed.txt", "feature\r\n" + "\r\n".join(NAMES) + "\r\n"),
        ("header.csv", ",".join(NAMES)),
        ("rows.csv", ",".join(NAMES) + "\n1,2,0\n"),
        ("semicolons.csv", ";".join(NAMES) + "\n"),
        ("series.csv", ",0\n" + "\n".join(f"{at},{name}" for at, name in enumerate(NAMES))),
        ("marked.csv", "\ufeff" + "\n".join(NAMES)),
    ],
)
def test_names_are_read_from_every_usual_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_names(tmp_path / name, 3) == tuple(NAMES)


def test_a_pickled_list_of_names_is_refused_unopened(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    (tmp_path / "names.pkl").write_bytes(pickle.dumps(Bomb(trap)))
    with pytest.raises(FileRefused, match=r"names\.pkl is a Python pickle"):
        read_names(tmp_path / "names.pkl", 3)
    assert not trap.exists()


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", '{"a": 1.5}', "[", '{"a": ["x"], "b": ["y"]}'])
def test_what_names_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(FileRefused):
        read_names(tmp_path / "names.json", 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["age", "Calls", "Contract_One year"], r"it lacks 'calls' \(is 'Calls' meant\?\)"),
        (["age", "calls"], r"names 2 features, m\.ubj has 3: it lacks 'Contract_One year'"),
        ([*NAMES, "more"], r"names 4 features, m\.ubj has 3: it has 'more' besides"),
        (
            ["calls", "age", "Contract_One year"],
            r"another order than m\.ubj: number 1 is 'calls', in the model 'age'",
        ),
    ],
)
def test_names_that_are_not_the_models_are_refused_with_the_nearest(
    tmp_path: Path, names: list[str], said: str
) -> None:
    shape = read_foreign(saved(tmp_path / "m.ubj", booster())).shape
    (tmp_path / "names.json").write_text(json.dumps(names))
    with pytest.raises(FileRefused, match=said):
        names_of(shape, tmp_path / "names.json", "m.ubj")


def test_a_model_without_names_takes_those_of_the_file_and_needs_them(tmp_path: Path) -> None:
    nameless = booster(names=None)
    foreign = read_foreign(saved(tmp_path / "m.ubj", nameless))
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    assert names_of(foreign.shape, tmp_path / "names.json", "m.ubj") == tuple(NAMES)
    with pytest.raises(FileRefused, match=r"m\.ubj has 3 features and no names.*--features"):
        names_of(foreign.shape, None, "m.ubj")
    (tmp_path / "names.json").write_text(json.dumps(NAMES[:2]))
    with pytest.raises(FileRefused, match=r"names 2 features .*m\.ubj has 3"):
        names_of(foreign.shape, tmp_path / "names.json", "m.ubj")
    adopted = adopt(foreign, number_spec(), "all")
    assert np.array_equal(scored(adopted, rows()), margin_of(nameless, rows()))


@pytest.mark.parametrize(("names", "said"), [(["a", "b", "a"], "'a' twice"), (["a", "b", "c[0]"], "'c\\[0\\]'")])
def test_names_that_xgboost_does_not_take_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    shape = read_foreign(saved(tmp_path / "m.ubj", booster(names=None))).shape
    (tmp_path / "names.json").write_text(json.dumps(names))
    with pytest.raises(FileRefused, match=said):
        names_of(shape, tmp_path / "names.json", "m.ubj")
