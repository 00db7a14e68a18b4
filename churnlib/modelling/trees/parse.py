"""What a booster holds, as arrays; and which boosters the engine covers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churnlib.modelling.trees.ubjson import decode

if TYPE_CHECKING:
    import xgboost

MAX_DEPTH = 10

_UNEVEN_COVER = 1e-4  # share of a node's cover by which its children may miss it; rounding stays far below


class NotCovered(Exception):
    """The engine does not cover a model; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Tree:
    """One tree; node 0 is the root, and each array has an entry for each node.

    Attributes:
        left: child for values below the threshold, int32; -1 at a leaf.
        right: the other child, int32.
        feature: column of the matrix, int32.
        value: threshold of a split, value of a leaf, float32.
        missing_left: where missing values go, bool.
        left_share: share of the training weight (sum of hessians) that goes left, float64 in 0 .. 1.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    missing_left: np.ndarray
    left_share: np.ndarray

    def is_leaf(self, node: int) -> bool:
        """Say whether the node is a leaf."""
        return bool(self.left[node] < 0)


@dataclass(frozen=True)
class Forest:
    """All trees in XGBoost's order.

    Attributes:
        features: columns of the matrix.
        base_margin: what XGBoost starts each sum with, float32.
        covers_add_up: whether the children of each node have its cover together. Some objectives train
            trees where they do not; those have no shares, and so no contributions here.
    """

    trees: tuple[Tree, ...]
    features: int
    base_margin: np.float32
    covers_add_up: bool


def read_forest(booster: xgboost.Booster) -> Forest:
    """Read a booster's trees.

    Raises:
        NotCovered: it has something that the engine does not know.
    """
    document = decode(bytes(booster.save_raw("ubj")))
    learner = document["learner"]
    gradient = learner["gradient_booster"]
    if gradient["name"] != "gbtree":
        raise NotCovered(f"it is of the kind {gradient['name']}")
    shape = learner["learner_model_param"]
    if int(shape["num_class"]) > 1 or int(shape.get("num_target", 1)) > 1:
        raise NotCovered("it has more than one output")
    saved = gradient["model"]["trees"]
    if not saved:
        raise NotCovered("it has no trees")
    return Forest(
        trees=tuple(_tree(number, fields) for number, fields in enumerate(saved)),
        features=int(shape["num_feature"]),
        base_margin=_base_margin(document),
        covers_add_up=all(_covers_add_up(fields) for fields in saved),
    )


def _tree(number: int, fields: Mapping[str, Any]) -> Tree:
    if int(fields["tree_param"]["size_leaf_vector"]) > 1:
        raise NotCovered("it has more than one output")
    if np.any(fields["split_type"]):
        raise NotCovered("it has native categorical splits")
    left, right = (np.asarray(fields[name], dtype=np.int32) for name in ("left_children", "right_children"))
    if not np.all(np.isfinite(fields["split_conditions"][left < 0])):
        raise NotCovered(f"tree {number} has a leaf that is no finite number")
    if _depth(left, right) > MAX_DEPTH:
        raise NotCovered(f"tree {number} is deeper than {MAX_DEPTH}")
    return Tree(
        left=left,
        right=right,
        feature=np.asarray(fields["split_indices"], dtype=np.int32),
        value=np.asarray(fields["split_conditions"], dtype=np.float32),
        missing_left=np.asarray(fields["default_left"]).astype(bool),
        left_share=_left_share(np.asarray(fields["sum_hessian"], dtype=np.float64), left, right),
    )


def _depth(left: np.ndarray, right: np.ndarray) -> int:
    level, depth = np.zeros(1, dtype=np.int32), -1
    while len(level) and depth <= MAX_DEPTH:
        inner = level[left[level] >= 0]
        level, depth = np.concatenate([left[inner], right[inner]]), depth + 1
    return depth


def _covers_add_up(fields: Mapping[str, Any]) -> bool:
    cover, left = np.asarray(fields["sum_hessian"], dtype=np.float64), fields["left_children"]
    inner = np.flatnonzero(left >= 0)
    together = cover[left[inner]] + cover[fields["right_children"][inner]]
    return not np.any(cover < 0) and bool(np.all(np.abs(together - cover[inner]) <= _UNEVEN_COVER * cover[inner]))


def _left_share(cover: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    share = np.full(len(cover), 0.5)  # where nothing was seen, neither side is likelier
    inner = np.flatnonzero(left >= 0)
    of_left, together = cover[left[inner]], cover[left[inner]] + cover[right[inner]]
    seen = together > 0
    share[inner[seen]] = of_left[seen] / together[seen]
    return share


def _base_margin(document: Mapping[str, Any]) -> np.float32:
    """What XGBoost makes of the base score for this objective, in its own arithmetic: it is asked."""
    import xgboost

    learner = document["learner"]
    bare = {
        "learner": {
            "attributes": {},
            "feature_names": [],
            "feature_types": [],
            "gradient_booster": {
                "model": {
                    "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "0"},
                    "iteration_indptr": [0],
                    "tree_info": [],
                    "trees": [],
                },
                "name": "gbtree",
            },
            # As if given by the user: a score of the data's own is taken to be unset while there are no trees.
            "learner_model_param": {**learner["learner_model_param"], "boost_from_average": "0"},
            "objective": learner["objective"],
        },
        "version": [int(part) for part in document["version"]],
    }
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(bare).encode()))
    row = np.zeros((1, int(learner["learner_model_param"]["num_feature"])), dtype=np.float32)
    return np.float32(booster.predict(xgboost.DMatrix(row, nthread=1), output_margin=True)[0])
