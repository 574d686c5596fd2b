"""Tests of `engines.torch.devices`: the devices and precisions that this machine has, and those that it lacks."""

from __future__ import annotations

import pytest
import torch

from clipsim.engines.torch.encoder import choose_device, choose_precision, describe_devices
from clipsim.errors import DeviceError, UsageError


def test_unknown_names_are_wrong_usage() -> None:
    """The error lists what can be chosen."""
    with pytest.raises(UsageError, match="unknown device 'gpu'; choose auto, cpu"):
        choose_device("gpu")
    with pytest.raises(UsageError, match="unknown precision 'int8'; choose fp32"):
        choose_precision("int8", torch.device("cpu"))


def test_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is asked for and not there never falls back to the CPU; the error names what the caller passed."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)

    with pytest.raises(DeviceError, match=r"no CUDA GPU .* device='cuda:0'; .* device='cpu'"):
        choose_device("cuda:0")
    with pytest.raises(DeviceError, match="MPS is not available"):
        choose_device("mps")
    assert choose_device("auto").type == "cpu"


def test_a_gpu_beyond_the_last_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error counts those that are there."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    assert str(choose_device("cuda:1")) == "cuda:1"
    assert choose_device("auto").type == "cuda"
    with pytest.raises(DeviceError, match="no cuda:2: this machine has 2 CUDA GPU"):
        choose_device("cuda:2")


def test_the_default_precision_is_the_devices() -> None:
    """FP32 on a CPU, fp16 on CUDA as in OpenAI's code; a precision that is asked for is kept."""
    cpu, cuda = torch.device("cpu"), torch.device("cuda")

    assert choose_precision(None, cpu) == ("fp32", torch.float32)
    assert choose_precision(None, cuda) == ("fp16", torch.float16)
    assert choose_precision("bf16", cuda) == ("bf16", torch.bfloat16)


def test_every_machine_has_a_cpu() -> None:
    """The first device that is described is the CPU."""
    assert next(iter(describe_devices())) == "cpu"
