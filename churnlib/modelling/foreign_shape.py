"""The check of a parsed model document, before XGBoost reads it: XGBoost itself trusts every index in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from churnlib.errors import FileRefused
from churnlib.modelling.foreign_categories import (
    WrongShape,
    kept_categories,
    split_by_category,
    whole_numbers,
)
from churnlib.modelling.foreign_kind import SAVE_AGAIN

PROBABILITIES = ("binary:logistic", "binary:logitraw", "reg:logistic")
"""Objectives whose margin is the log-odds of class 1."""

_OTHER_OBJECTIVES = (
    ("multi:", "chooses among several classes"),
    ("rank:", "only ranks; its scores are no probabilities"),
    ("survival:", "predicts times or hazards, not a probability"),
    ("binary:hinge", "says yes or no without a probability"),
)

_NODE_ARRAYS = ("split_conditions", "default_left", "sum_hessian", "base_weights", "loss_changes")

_NOBODY = 2**31 - 1  # the root's parent


@dataclass(frozen=True)
class Shape:
    """What a model document says of itself.

    Attributes:
        kind: gbtree, dart or gblinear.
        features: columns of its matrix.
        names: of the features, in order; empty where the model has none.
        types: XGBoost's types of the features (`float`, `int`, `i` for 0 and 1, `c`); empty where it has none.
        categorical: places of features that are categories to the model.
        categories: of those, the ones that the model keeps, which XGBoost does from 3.1 on: in the order of
            their codes, as the text that a delivered value has.
        trees: how many; 0 of a linear model.
        attributes: what the training left, such as `best_iteration`.
        positive_weight: `scale_pos_weight` of its training; 1 is none.
        version: of the XGBoost that wrote it, such as `3.3.0`.
    """

    kind: str
    objective: str
    features: int
    names: tuple[str, ...]
    types: tuple[str, ...]
    categorical: frozenset[int]
    categories: Mapping[int, tuple[str, ...]]
    trees: int
    attributes: Mapping[str, str]
    positive_weight: float
    version: str


def check_shape(document: object, source: str) -> Shape:
    """Read what a document says, and see that every index in it points into it.

    Raises:
        FileRefused: it is no model as `save_model` writes it, has no trees or several outputs, or is of an
            objective that gives no probability.
    """
    try:
        return _shape(document, source)
    except WrongShape as error:
        said = str(error)
    except KeyError as error:
        said = f"it has no {error.args[0]!r}"
    except (TypeError, ValueError, IndexError, OverflowError, AttributeError, StopIteration) as error:
        said = f"a part of it is not as XGBoost writes it ({type(error).__name__})"
    raise FileRefused(f"{source} is no complete XGBoost model: {said}.", hint=SAVE_AGAIN)


def _shape(document: Any, source: str) -> Shape:  # noqa: ANN401 - whatever the file holds
    learner = document["learner"]
    objective, params = str(learner["objective"]["name"]), learner["learner_model_param"]
    _check_objective(objective, params, source)
    features = int(params["num_feature"])
    names, types = (tuple(map(str, learner.get(key, ()))) for key in ("feature_names", "feature_types"))
    for what, found in (("feature names", names), ("feature types", types)):
        if found and len(found) != features:
            raise WrongShape(f"it has {len(found)} {what} for {features} features")
    booster = learner["gradient_booster"]
    trees = _trees(booster, features)
    typed = {place for place, kind in enumerate(types) if kind == "c"}
    return Shape(
        kind=str(booster["name"]),
        objective=objective,
        features=features,
        names=names,
        types=types,
        categorical=frozenset(typed.union(*(_check_tree(tree, features) for tree in trees))),
        categories=kept_categories(_forest(booster), features),
        trees=len(trees),
        attributes={str(key): str(value) for key, value in learner.get("attributes", {}).items()},
        positive_weight=float(_loss(learner["objective"]).get("scale_pos_weight", 1)),
        version=".".join(str(int(part)) for part in document["version"]),
    )


def _check_objective(objective: str, params: Mapping[str, Any], source: str) -> None:
    if objective not in PROBABILITIES:
        why = next((words for start, words in _OTHER_OBJECTIVES if objective.startswith(start)), None)
        raise FileRefused(
            f"{source} has the objective {objective}: it {why or 'predicts a number, not a probability'}.",
            hint=f"Train it with objective = 'binary:logistic'; {', '.join(PROBABILITIES)} can be used.",
        )
    outputs = max(int(params.get("num_class", 0)), int(params.get("num_target", 1)))
    if outputs > 1:
        raise FileRefused(
            f"{source} has {outputs} outputs; churn has one.", hint="Train one model that says who churns."
        )


def _loss(objective: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = objective.get("reg_loss_param", {})
    return found


def _forest(booster: Mapping[str, Any]) -> Mapping[str, Any]:
    forest: Mapping[str, Any] = (booster["gbtree"] if booster["name"] == "dart" else booster)["model"]
    return forest


def _trees(booster: Mapping[str, Any], features: int) -> list[Mapping[str, Any]]:
    kind = booster["name"]
    if kind == "gblinear":
        weights = np.asarray(booster["model"]["weights"], dtype=np.float64)
        if weights.shape != (features + 1,) or not np.all(np.isfinite(weights)):
            raise WrongShape(f"its {weights.size} weights are not {features + 1} finite numbers")
        return []
    if kind not in ("gbtree", "dart"):
        raise WrongShape(f"it is of an unknown kind {kind!r}")
    model = _forest(booster)
    trees: list[Mapping[str, Any]] = list(model["trees"])
    if not trees:
        raise WrongShape("it has no trees; it was saved before it was trained")
    if len(model["tree_info"]) != len(trees) or np.any(whole_numbers(model["tree_info"])):
        raise WrongShape("its trees are not all of one output")
    if kind == "dart" and np.asarray(booster["weight_drop"], dtype=np.float64).shape != (len(trees),):
        raise WrongShape("it has not one weight a tree")
    rounds = whole_numbers(model.get("iteration_indptr", [0, len(trees)]))
    if rounds[0] != 0 or rounds[-1] != len(trees) or np.any(np.diff(rounds) < 0):
        raise WrongShape("its rounds do not cover its trees")
    return trees


def _check_tree(tree: Mapping[str, Any], features: int) -> set[int]:
    """See that a tree is one; returns the features that it splits by category."""
    if int(tree["tree_param"].get("size_leaf_vector", 0)) > 1:
        raise WrongShape("it has leaves of several outputs")
    left, right, parents, feature = (
        whole_numbers(tree[name]) for name in ("left_children", "right_children", "parents", "split_indices")
    )
    others = [np.asarray(tree[name]) for name in _NODE_ARRAYS]
    nodes = len(left)
    if not nodes or any(array.shape != (nodes,) for array in (right, parents, feature, *others)):
        raise WrongShape(f"tree {tree.get('id', '?')} has parts of different lengths")
    inner, leaves = _walk(left, right, nodes)
    _check_parents(parents, left, right, inner)
    if np.any((feature[inner] < 0) | (feature[inner] >= features)):
        raise WrongShape(f"a split is by feature {feature[inner].max()}, of {features}")
    if not np.all(np.isfinite(others[0].astype(np.float64)[leaves])):
        raise WrongShape("a leaf is no finite number")
    return split_by_category(tree, feature, inner)


def _walk(left: np.ndarray, right: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes that the root leads to, inner ones and leaves, each reached once."""
    seen = np.zeros(nodes, dtype=bool)
    level, inner, leaves = np.zeros(1, dtype=np.int64), [], []
    while len(level):
        if level.min() < 0 or level.max() >= nodes or len(np.unique(level)) < len(level) or seen[level].any():
            raise WrongShape("the nodes of a tree do not form one")
        seen[level] = True
        has_children = left[level] != -1
        inner.append(level[has_children])
        leaves.append(level[~has_children])
        level = np.concatenate([left[inner[-1]], right[inner[-1]]])
    return np.concatenate(inner), np.concatenate(leaves)


def _check_parents(parents: np.ndarray, left: np.ndarray, right: np.ndarray, inner: np.ndarray) -> None:
    agree = (parents[left[inner]] == inner) & (parents[right[inner]] == inner)
    if parents[0] not in (-1, _NOBODY) or not np.all(agree):
        raise WrongShape("the nodes of a tree do not name their parents")
