"""Native categories in a model document: those that a split lists, and those that the model keeps by name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

_MOST = 1 << 24  # whole numbers that float32 tells apart


class WrongShape(ValueError):
    """The document is no model as XGBoost saves it; the message says where, as the end of a sentence."""


def split_by_category(tree: Mapping[str, Any], feature: np.ndarray, inner: np.ndarray) -> set[int]:
    """See that every split by category lists codes that are there; returns the features of those splits.

    Args:
        tree: as in the document.
        feature: of each node's split.
        inner: nodes that have one.

    Raises:
        WrongShape: they do not.
    """
    nodes = len(feature)
    kinds = np.asarray(tree.get("split_type", np.zeros(nodes)), dtype=np.int64)
    if kinds.shape != (nodes,) or np.any((kinds != 0) & (kinds != 1)):
        raise WrongShape("a tree has not one kind of split a node")
    by_category = inner[kinds[inner] == 1]
    at, start, size = (
        whole_numbers(tree.get(f"categories_{part}", ())) for part in ("nodes", "segments", "sizes")
    )
    codes = whole_numbers(tree.get("categories", ()))
    if not at.shape == start.shape == size.shape or np.any((start < 0) | (size < 0) | (start + size > len(codes))):
        raise WrongShape("the categories of a split are not there")
    if np.any((at < 0) | (at >= nodes)) or np.any(np.diff(at) <= 0) or not set(np.flatnonzero(kinds)) == set(at):
        raise WrongShape("the categories of a split are not there")
    if np.any((codes < 0) | (codes > _MOST)):
        raise WrongShape("a category has no code that XGBoost knows")
    return set(feature[by_category].tolist())


def kept_categories(forest: Mapping[str, Any], features: int) -> dict[int, tuple[str, ...]]:
    """The categories that a model keeps, by place of the feature, in the order of their codes.

    Text is stripped as delivered text is.

    Raises:
        WrongShape: their parts do not fit each other, or two of a feature are one once they are stripped.
    """
    kept = forest.get("cats") or {}
    encoded = list(kept.get("enc", ()))
    if not encoded:
        return {}
    if len(encoded) != features:
        raise WrongShape(f"it keeps the categories of {len(encoded)} features, and has {features}")
    found = {place: _texts(each) for place, each in enumerate(encoded)}
    segments, order = whole_numbers(kept["feature_segments"]), whole_numbers(kept["sorted_idx"])
    sizes = np.array([len(values) for values in found.values()])
    is_ordered = np.array_equal(segments, np.concatenate([[0], np.cumsum(sizes)])) and len(order) == segments[-1]
    if not is_ordered or np.any((order < 0) | (order >= np.repeat(sizes, sizes))):
        raise WrongShape("the categories that it keeps are not in order")
    if any(len(set(values)) < len(values) for values in found.values()):
        raise WrongShape("two categories that it keeps are one once blanks are stripped")
    return {place: values for place, values in found.items() if values}


def _texts(encoded: Mapping[str, Any]) -> tuple[str, ...]:
    values = whole_numbers(encoded["values"])
    if "offsets" not in encoded:
        return tuple(map(str, values.tolist()))
    edges = whole_numbers(encoded["offsets"])
    if not len(edges):
        return ()
    if edges[0] != 0 or edges[-1] != len(values) or np.any(np.diff(edges) < 0):
        raise WrongShape("the categories that it keeps are not there")
    content = (values % 256).astype(np.uint8).tobytes()  # JSON and UBJSON write bytes with a sign
    return tuple(content[start:end].decode().strip() for start, end in pairwise(edges))


def whole_numbers(values: Any) -> np.ndarray:  # noqa: ANN401 - whatever the document holds
    """A list of the document as int64; raises WrongShape where it holds anything but whole numbers."""
    numbers = np.asarray(values)
    if numbers.size and numbers.dtype.kind not in "iu":
        raise WrongShape("a part of it is no list of whole numbers")
    whole: np.ndarray = numbers.astype(np.int64).reshape(-1)
    return whole
