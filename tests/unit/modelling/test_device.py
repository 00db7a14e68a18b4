"""A spec that asks for a GPU gets one, is refused, or is trained on the CPU on record: never silently."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import xgboost

from churnlib.errors import ChurnError
from churnlib.features.matrix import Matrix
from churnlib.modelling import device as devices
from churnlib.modelling.boosting import grow
from churnlib.modelling.device import Device, choose_device, gpu_errors, gpu_lacking
from churnlib.modelling.training import train
from churnlib.spec import Training
from tests.builders import labelled, spec

ON_GPU = Training(device="cuda")
OR_CPU = Training(device="cuda", fallback_to_cpu=True)


@pytest.fixture(autouse=True)
def forgets() -> Iterator[None]:
    gpu_lacking.cache_clear()
    yield
    gpu_lacking.cache_clear()


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_of", lambda booster: "cpu")


def test_the_cpu_is_taken_without_a_look_at_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_lacking", lambda: pytest.fail("it looked"))
    assert choose_device(Training()) == Device("cpu", None)
    assert choose_device(Training(fallback_to_cpu=True)) == Device("cpu", None)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_setting_and_the_way_out_are_named() -> None:
    with pytest.raises(ChurnError, match=r'"cuda" under \[training\], but this machine has no GPU') as said:
        choose_device(ON_GPU)
    assert 'device = "cpu"' in said.value.hint
    assert "fallback_to_cpu = true" in said.value.hint


@pytest.mark.usefixtures("no_gpu")
def test_with_the_switch_the_cpu_stands_in_and_the_reason_is_kept() -> None:
    assert choose_device(OR_CPU) == Device("cpu", "this machine has no GPU that CUDA can use")


def test_with_a_gpu_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_of", lambda booster: "cuda")
    assert choose_device(OR_CPU) == choose_device(ON_GPU) == Device("cuda", None)


def test_an_xgboost_without_cuda_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": False})
    assert choose_device(OR_CPU).instead == "this XGBoost is built without CUDA"


def test_a_driver_that_fails_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise xgboost.core.XGBoostError("[09:00:00] /src/common.cu:12: driver is too old.\nStack trace:\n  [bt]")

    monkeypatch.setattr(xgboost, "train", fail)
    assert choose_device(OR_CPU).instead == "CUDA does not work here (driver is too old)"


@pytest.mark.usefixtures("no_gpu")
def test_an_xgboost_that_goes_on_without_the_gpu_is_caught() -> None:
    rows = Matrix(np.arange(40, dtype=np.float32).reshape(40, 1), ("a",), {})
    with (
        pytest.raises(ChurnError, match="but XGBoost trained on the cpu"),
        xgboost.config_context(verbosity=0),
    ):
        grow(rows, np.arange(40) % 2, Training(), rounds=1, device="cuda")


def test_a_full_gpu_is_said_in_words() -> None:
    told = pytest.raises(ChurnError, match=r"Training on the GPU .* failed: out of memory. ")
    with told as said, gpu_errors("cuda"):
        raise xgboost.core.XGBoostError("[09:00:00] /src/device.cu:7: out of memory\nStack trace:")
    assert "fallback_to_cpu" in said.value.hint


@pytest.mark.usefixtures("no_gpu")
def test_a_fallback_grows_the_trees_of_the_cpu() -> None:
    rows = labelled(400)
    asked = train(rows, spec(training={"device": "cuda", "fallback_to_cpu": True}), threads=1)
    usual = train(rows, spec(), threads=1)
    assert asked.booster.save_raw("ubj") == usual.booster.save_raw("ubj")
    assert (asked.device.name, usual.device) == ("cpu", Device("cpu", None))
    assert asked.device.instead is not None


@pytest.mark.usefixtures("no_gpu")
def test_a_refusal_comes_before_any_work() -> None:
    with pytest.raises(ChurnError, match="cuda"):
        train(labelled(10), spec(training={"device": "cuda"}), threads=1)
