"""Where trees are grown: on the processor, or on a GPU by CUDA. They are scored on the processor either way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from churnlib.errors import ChurnError
from churnlib.spec import Training

if TYPE_CHECKING:
    import xgboost

CPU: Final = "cpu"

_ASKED: Final = 'device = "cuda" under [training]'
_WAY_OUT: Final = 'Train where there is a GPU, or set device = "cpu", or fallback_to_cpu = true, under [training].'
_LOG_HEAD: Final = re.compile(r"^(\[[\d:]+\] )?(\S+:\d+: )?")


@dataclass(frozen=True)
class Device:
    """What grows the trees.

    Attributes:
        name: `cpu` or `cuda`.
        instead: why it is not the device that the spec asks for; None where it is.
    """

    name: str = CPU
    instead: str | None = None


ON_CPU: Final = Device()


def choose_device(settings: Training) -> Device:
    """Look before anything is trained whether the spec's device is there; once a process.

    XGBoost itself would warn and go on without the GPU.

    Raises:
        ChurnError: the spec asks for a GPU, there is none, and it does not let the CPU stand in.
    """
    if settings.device == CPU:
        return ON_CPU
    lacking = gpu_lacking()
    if lacking is None:
        return Device(settings.device)
    if settings.fallback_to_cpu:
        return Device(CPU, instead=lacking)
    raise ChurnError(f"The spec says {_ASKED}, but {lacking}.", hint=_WAY_OUT)


@cache
def gpu_lacking() -> str | None:
    """Why XGBoost cannot train on a GPU here; None where it can. Grows one stump there to find out."""
    import xgboost

    if not xgboost.build_info().get("USE_CUDA"):
        return "this XGBoost is built without CUDA"
    rows = xgboost.DMatrix(np.arange(8, dtype=np.float32).reshape(8, 1), np.arange(8) % 2)
    try:
        with xgboost.config_context(verbosity=0):  # which keeps its warning that it goes on without
            stump = xgboost.train({"device": "cuda", "tree_method": "hist", "max_depth": 1}, rows, 1)
    except xgboost.core.XGBoostError as error:
        return f"CUDA does not work here ({_said(error)})"
    return None if device_of(stump) != CPU else "this machine has no GPU that CUDA can use"


def device_of(booster: xgboost.Booster) -> str:
    """Where the booster was really trained: `cpu`, or `cuda`."""
    config = json.loads(booster.save_config())
    return str(config["learner"]["generic_param"]["device"]).partition(":")[0]


@contextmanager
def gpu_errors(device: str) -> Iterator[None]:
    """Raise in words what goes wrong on a GPU, such as that its memory is full."""
    if device == CPU:
        yield
        return
    from xgboost.core import XGBoostError

    try:
        yield
    except XGBoostError as error:
        raise ChurnError(f"Training on the GPU ({_ASKED}) failed: {_said(error)}.", hint=_WAY_OUT) from error


def move_to_cpu(booster: xgboost.Booster, asked: str) -> None:
    """Let the booster score on the processor, as every later process will.

    Raises:
        ChurnError: it was to be trained on a GPU, and XGBoost went on without.
    """
    used = device_of(booster)
    if used != asked:
        raise ChurnError(f"The spec says {_ASKED}, but XGBoost trained on the {used}.", hint=_WAY_OUT)
    booster.set_param({"device": CPU})


def _said(error: Exception) -> str:
    return _LOG_HEAD.sub("", str(error).strip().partition("\n")[0]).rstrip(".")
