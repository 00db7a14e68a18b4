"""What two releases are, whatever rows there are: their trees, specs, parameters, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from churnlib.governance.side_by_side import Importance, Pair, Value
from churnlib.governance.side_by_side_measures import KEYS
from churnlib.modelling.release import Release
from churnlib.spec import Spec

if TYPE_CHECKING:
    import xgboost

_NAMES = frozenset({"name", "variant"})  # the same model's by definition


def importance(first: Release, second: Release) -> tuple[Importance, ...]:
    """Gain shares side by side, the greatest of either version first, then by name."""
    one, two = gain_shares(first.booster), gain_shares(second.booster)
    names = sorted({*one, *two}, key=lambda name: (-max(one.get(name, 0.0), two.get(name, 0.0)), name))
    return tuple(
        Importance(
            feature=name,
            label=_label(second.spec, name) or _label(first.spec, name) or name,
            first=one.get(name),
            second=two.get(name),
        )
        for name in names
    )


def gain_shares(booster: xgboost.Booster) -> dict[str, float]:
    """Share of the trees' total gain by feature, only those that a tree splits by; they add up to 1."""
    gains = booster.get_score(importance_type="total_gain")
    found = {name: float(np.mean(gain)) for name, gain in gains.items()}
    total = sum(found.values()) or 1.0
    return {name: gain / total for name, gain in found.items()}


def setting_differences(
    first: Release, second: Release, first_params: Mapping[str, str], second_params: Mapping[str, str]
) -> tuple[Pair, ...]:
    """What differs between two specs, and between parameters that stand in no spec; None where it is not there."""
    one, two = (_flat(release.spec.model_dump(mode="json", exclude=set(_NAMES))) for release in (first, second))
    extra = {**{f"run.{name}": None for name in (*first_params, *second_params) if name not in {**one, **two}}}
    for name in extra:
        plain = name.removeprefix("run.")
        one[name], two[name] = first_params.get(plain), second_params.get(plain)
    pairs = [Pair(name=name, first=one.get(name), second=two.get(name)) for name in dict.fromkeys([*one, *two])]
    return tuple(pair for pair in pairs if pair.differs)


def own_metrics(first: Release, second: Release) -> tuple[Pair, ...]:
    """What each was measured at when it was made, on test rows of its own; None where nothing was measured."""
    pairs = []
    for key in (*KEYS, "rows", "positives"):
        one, two = (None if each.metrics is None else getattr(each.metrics, key) for each in (first, second))
        pairs.append(Pair(name=key, first=one, second=two))
    return tuple(pairs)


def lineage(
    first: Release,
    second: Release,
    *,
    who: tuple[str | None, str | None],
    trigger: tuple[str | None, str | None],
) -> tuple[Pair, ...]:
    """Where both came from; None where a delivered version's own story is not known.

    Args:
        first: the first version's release.
        second: the second's.
        who: whose word each stands on record by, where somebody's does.
        trigger: what made each, such as a file or drift.
    """
    one, two = _origin(first, who[0], trigger[0]), _origin(second, who[1], trigger[1])
    return tuple(
        Pair(name=name, first=one.get(name), second=two.get(name)) for name in dict.fromkeys([*one, *two])
    )


def footprint(first: Release, second: Release, sizes: tuple[int, int]) -> tuple[Pair, ...]:
    """Size on disk in bytes, trees, features that a tree uses, and features given.

    Args:
        first: the first version's release.
        second: the second's.
        sizes: of the releases' folders, in bytes.
    """
    one, two = (
        {
            "release on disk, bytes": size,
            "trees": len(release.booster.get_dump()),
            "features used": len(gain_shares(release.booster)),
            "features given": len(release.spec.model_features),
        }
        for release, size in zip((first, second), sizes, strict=True)
    )
    return tuple(Pair(name=name, first=one[name], second=two[name]) for name in one)


def _label(spec: Spec, name: str) -> str | None:
    feature = spec.features.get(name)
    return None if feature is None else feature.label


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Leaves by dotted name; a feature stands as a whole, so that one that was added is one line."""
    found: dict[str, Value] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        if prefix == "features.":
            found[name] = _feature_text(value)
        elif isinstance(value, Mapping):
            found |= _flat(value, f"{name}.")
        elif isinstance(value, list):
            found[name] = ", ".join(map(str, value))
        else:
            found[name] = value
    return found


def _feature_text(feature: Mapping[str, Any]) -> str:
    """`number, min 0, nullable no`: what it says beside its defaults."""
    said = [str(feature["type"])]
    defaults = {"required": True, "nullable": True, "clock": False, "input_only": False}
    for key, value in feature.items():
        if key == "type" or value is None or value == defaults.get(key):
            continue
        if isinstance(value, bool):
            said.append(key.replace("_", " ") if value else f"not {key}")
        else:
            said.append(f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "; ".join(said)


def _origin(release: Release, who: str | None, trigger: str | None) -> dict[str, Value]:
    story, handover, evaluation = release.lineage, release.lineage.handover, release.evaluation
    found: dict[str, Value] = {
        "source": story.source,
        "rows": story.rows,
        "content": story.digest[:12] or None,
        "first date": _text(story.first_as_of),
        "last date": _text(story.last_as_of),
        "learned up to": _text(release.cutoff),
        "made": f"{story.created_at:%Y-%m-%d %H:%M} UTC",
        "who": who if handover is None else handover.by,
        "trigger": trigger,
        "split": evaluation.split_text or None,
        "rows to grow trees on": evaluation.train_rows,
        "rows to stop by": evaluation.validation_rows,
        "calibration": release.calibration.method,
    }
    if handover is not None:
        found |= {
            f"delivered {what}": f"{file.source} ({file.digest[:12]})" for what, file in handover.files.items()
        }
        found |= {"delivered by XGBoost": handover.xgboost, "trees that score": handover.trees}
    found["churnlib"] = story.code_version
    libraries = {name: version for name, version in story.libraries.items() if name != "churnlib"}
    return found | {f"library {name}": version for name, version in sorted(libraries.items())}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
