"""A model that someone else trained: read without running anything, checked, and brought to what scoring needs."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from churnlib.errors import ChurnError, FileRefused
from churnlib.features.state import FittedState
from churnlib.modelling.calibration import Calibration
from churnlib.modelling.foreign_kind import SAVE_AGAIN, Form, form_of
from churnlib.modelling.foreign_shape import Shape, check_shape
from churnlib.modelling.trees.ubjson import decode
from churnlib.spec import Spec

if TYPE_CHECKING:
    import xgboost

Trees = Literal["all", "best"]
"""Which trees score: all that are in the file, or those up to the best round of its early stopping."""

AS_IT_IS = "used as it was delivered: the sigmoid of its own log-odds"

_UNFIT = frozenset("[]<")  # XGBoost takes no such feature name in a matrix


@dataclass(frozen=True)
class Foreign:
    """A delivered model, read and checked.

    Attributes:
        booster: as in the file, all its trees.
        shape: what the file says of itself.
        rounds: boosting rounds in the file.
        best_rounds: rounds up to the best one of an early stopping; None where there was none.
    """

    booster: xgboost.Booster
    shape: Shape
    rounds: int
    best_rounds: int | None

    @property
    def categories(self) -> Mapping[int, tuple[str, ...]]:
        """By place of a feature, the categories that the model keeps, in the order of their codes."""
        return self.shape.categories

    @property
    def coded(self) -> frozenset[int]:
        """Places of native categorical features whose categories the model does not keep: it takes their codes."""
        return self.shape.categorical - set(self.categories)


@dataclass(frozen=True)
class Adopted:
    """A delivered model as scoring takes it: a `ScoringModel`."""

    spec: Spec
    booster: xgboost.Booster
    state: FittedState
    calibration: Calibration


def read_foreign(path: Path) -> Foreign:
    """Read an XGBoost model in JSON or UBJSON, whatever its suffix.

    The document is parsed and checked here before XGBoost sees it; other kinds of files are not opened.

    Raises:
        FileRefused: it is something else (which is named), cut off, damaged, not trained, has several
            outputs, or its objective gives no probability.
    """
    form = form_of(path)
    content = path.read_bytes()
    if form == "json":
        content = content.removeprefix(codecs.BOM_UTF8).lstrip()
    shape = check_shape(_parsed(content, form, path.name), path.name)
    booster = _loaded(content, shape, path.name)
    rounds = booster.num_boosted_rounds()
    return Foreign(booster, shape, rounds, _best_rounds(shape, rounds))


def adopt(foreign: Foreign, spec: Spec, trees: Trees) -> Adopted:
    """Bring a model to the spec's features, which are the model's in its order.

    A native category's codes are its places in the model's own list, so that each value meets the splits
    that it was trained with; one that is not in the list is missing.

    Raises:
        ChurnError: there is no best round to cut at.
    """
    names = list(spec.model_features)
    booster = _cut(foreign, trees)
    booster.feature_names = names
    state = FittedState(codes={names[place]: values for place, values in sorted(foreign.categories.items())})
    return Adopted(spec, booster, state, Calibration(reason=AS_IT_IS))


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse names that XGBoost takes for no feature.

    Raises:
        FileRefused: a name is empty, stands twice or has a letter that XGBoost does not take.
    """
    seen: set[str] = set()
    for place, name in enumerate(names, start=1):
        if not name.strip() or _UNFIT & set(name):
            raise FileRefused(
                f"{source}: {name!r}, number {place}, cannot be the name of a feature.",
                hint="Names are not empty and have no '[', ']' or '<'; give the model's features other names.",
            )
        if name in seen:
            raise FileRefused(f"{source} names {name!r} twice.", hint="Each feature has one name.")
        seen.add(name)


def _parsed(content: bytes, form: Form, source: str) -> object:
    try:
        return json.loads(content) if form == "json" else decode(content)
    except json.JSONDecodeError as error:
        end = " and ends there" if error.pos >= len(content.rstrip()) - 1 else ""
        said = f"its JSON breaks off at byte {error.pos:,} of {len(content):,}{end} ({error.msg})"
    except (ValueError, TypeError, OverflowError) as error:
        said = str(error)
    except (RecursionError, MemoryError):
        said = "it nests deeper, or claims to hold more, than a model does"
    raise FileRefused(
        f"{source} is no complete XGBoost model: {said}.",
        hint="Deliver it again; a file cut off in transfer looks like this.",
    )


def _loaded(content: bytes, shape: Shape, source: str) -> xgboost.Booster:
    """Load it, and score a row: some faults show only then."""
    import xgboost

    booster = xgboost.Booster()
    row = xgboost.DMatrix(np.zeros((1, shape.features), dtype=np.float32))
    try:
        with xgboost.config_context(verbosity=0):
            booster.load_model(bytearray(content))
            margin = booster.predict(row, output_margin=True, validate_features=False)
    except (xgboost.core.XGBoostError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rpartition(": ")[2]
        said = "a part of it is missing" if said == "map::at" else said  # what C++ says of a key that is not there
        raise FileRefused(
            f"{source} cannot be read by XGBoost {xgboost.__version__}: {said.rstrip('.')}.", hint=SAVE_AGAIN
        ) from error
    if margin.shape != (1,) or not np.isfinite(margin).all():
        raise FileRefused(f"{source} gives scores that are no finite numbers.", hint=SAVE_AGAIN)
    return booster


def _best_rounds(shape: Shape, rounds: int) -> int | None:
    best = shape.attributes.get("best_iteration", "")
    return int(best) + 1 if best.isdecimal() and int(best) < rounds and shape.trees else None


def _cut(foreign: Foreign, trees: Trees) -> xgboost.Booster:
    """The trees that score, and no note in them by which another way to predict would take fewer."""
    if trees == "best" and foreign.best_rounds is None:
        raise ChurnError(
            "The model was not stopped early, so it has no best round.",
            hint="Leave out --trees: all of it is used.",
        )
    booster = foreign.booster[: foreign.best_rounds] if trees == "best" else foreign.booster
    booster.set_attr(best_iteration=None, best_score=None)
    return booster
