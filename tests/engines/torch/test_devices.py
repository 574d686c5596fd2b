"""Tests of `engines.torch.devices`: GPUs that are there, missing, or useless; precisions by chip; what errors mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fake_gpu import fake_gpu

from clipsim.engines.torch import devices
from clipsim.engines.torch.devices import (
    choose_device,
    choose_precision,
    describe_devices,
    find_fault,
    fp32_products,
    is_gpu_failure,
    is_out_of_memory,
    list_precisions,
)
from clipsim.errors import DeviceError, UsageError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NO_KERNELS = "CUDA error: no kernel image is available for execution on the device"
ADVICE = "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below …"
ACCELERATOR_ERROR: Any = getattr(torch, "AcceleratorError", RuntimeError)

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB"),
    ACCELERATOR_ERROR("CUDA error: out of memory" + ADVICE),
    RuntimeError("CUDA error: out of memory" + ADVICE),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("HIP error: hipErrorOutOfMemory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.84 GB, other allocations: 88.00 MB, max allowed: 9 GB)"),
    RuntimeError("Invalid buffer size: 10.25 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("std::bad_alloc"),
]
FAILURES = [
    ACCELERATOR_ERROR("CUDA error: device-side assert triggered" + ADVICE),
    RuntimeError("CUDA error: device-side assert triggered" + ADVICE),
    RuntimeError("CUDA error: an illegal memory access was encountered" + ADVICE),
    RuntimeError("CUDA error: unspecified launch failure" + ADVICE),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(handle, opa, opb)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA driver error: unknown error"),
    RuntimeError("HIP error: an illegal memory access was encountered"),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    ValueError("CUDA error: out of memory"),
    DeviceError("no CUDA GPU can be used"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_too_little_memory_in_every_wording(error: Exception) -> None:
    """Of each library and backend."""
    assert is_out_of_memory(error)
    assert not is_gpu_failure(error)


@pytest.mark.parametrize("error", FAILURES, ids=str)
def test_a_gpu_that_has_failed_in_every_wording(error: Exception) -> None:
    """CUDA refuses all further work of the process after these."""
    assert is_gpu_failure(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_neither(error: Exception) -> None:
    """They say something of the program or the request."""
    assert not is_out_of_memory(error)
    assert not is_gpu_failure(error)


def test_unknown_names_are_wrong_usage() -> None:
    """The error lists what can be chosen."""
    with pytest.raises(UsageError, match="device='gpu': unknown device; choose auto, cpu"):
        choose_device("gpu")
    with pytest.raises(UsageError, match="precision='int8': unknown precision; choose fp32"):
        choose_precision("int8", CPU)


def test_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is asked for and not there never falls back to the CPU; the error names what the caller passed."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)

    with pytest.raises(DeviceError, match=r"device='cuda:0': no CUDA GPU .*; try device='cpu'"):
        choose_device("cuda:0")
    with pytest.raises(DeviceError, match="MPS is not available"):
        choose_device("mps")
    assert choose_device("auto").type == "cpu"


def test_a_gpu_beyond_the_last_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error counts those that are there."""
    with fake_gpu(monkeypatch):
        monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

        assert str(choose_device("cuda:1")) == "cuda:1"
        assert choose_device("auto").type == "cuda"
        with pytest.raises(DeviceError, match="device='cuda:2': no such GPU; this machine has 2 CUDA GPUs"):
            choose_device("cuda:2")


def test_a_gpu_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one line where it is asked for, and "auto" takes the next device and says why."""
    with fake_gpu(monkeypatch):
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
        useless = {"cuda"}

        def ones(*sizes: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
            if device.type in useless:
                raise RuntimeError(NO_KERNELS + ADVICE)
            return torch.full(sizes, 1.0)

        monkeypatch.setattr("torch.ones", ones)
        notices: list[str] = []

        with pytest.raises(DeviceError, match=rf"device='cuda:0': cannot be used \({NO_KERNELS}\); try device='cpu'$"):
            choose_device("cuda:0")
        assert choose_device("auto", notices.append).type == "mps"
        assert notices == [f"the GPU (cuda) cannot be used ({NO_KERNELS}): the model runs on another device"]
        useless.add("mps")
        assert choose_device("auto").type == "cpu"


def test_a_type_of_numbers_that_a_gpu_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As bf16 on MPS before macOS 14."""

    def ones(*sizes: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        if dtype == torch.bfloat16:
            raise TypeError("BFloat16 is not supported on MPS")
        return torch.full(sizes, 1.0)

    monkeypatch.setattr("torch.ones", ones)
    mps = torch.device("mps")
    assert choose_precision(None, mps) == ("fp32", torch.float32)
    assert choose_precision("fp16", mps) == ("fp16", torch.float16)
    with pytest.raises(DeviceError, match=r"precision='bf16': mps does not compute in it \(BFloat16 is not supported"):
        choose_precision("bf16", mps)
    assert list_precisions("mps") == ["fp32", "fp16"]


def test_a_device_that_computes_has_no_fault() -> None:
    """In any type of numbers of a model."""
    assert [find_fault(CPU, dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)] == [None] * 3


@pytest.mark.parametrize(
    ("capability", "default", "known"),
    [
        ((6, 1), "fp32", ["fp32", "fp16"]),
        ((7, 0), "fp16", ["fp32", "fp16"]),
        ((7, 5), "fp16", ["fp32", "fp16"]),
        ((8, 0), "fp16", ["fp32", "tf32", "fp16", "bf16"]),
        ((12, 0), "fp16", ["fp32", "tf32", "fp16", "bf16"]),
    ],
)
def test_the_precision_is_the_chips(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], default: str, known: list[str]
) -> None:
    """fp16 where it is fast, TF32 and bf16 where they are; what the chip lacks is refused by name."""
    with fake_gpu(monkeypatch, capability):
        assert choose_precision(None, CUDA)[0] == default
        assert list_precisions("cuda:0") == known
        if "bf16" not in known:
            number = ".".join(map(str, capability))
            with pytest.raises(DeviceError, match=rf"'bf16': this GPU \(compute capability {number}\) does .*'fp16'"):
                choose_precision("bf16", CUDA)
        monkeypatch.setattr("torch.version.hip", "6.2")
        with pytest.raises(DeviceError, match=r"precision='tf32': only NVIDIA GPUs of compute capability 8\.0"):
            choose_precision("tf32", CUDA)


def test_the_precision_of_a_cpu() -> None:
    """fp32 unless another is asked for; TF32 is a thing of GPUs."""
    assert choose_precision(None, CPU) == ("fp32", torch.float32)
    assert choose_precision("bf16", CPU) == ("bf16", torch.bfloat16)
    with pytest.raises(DeviceError, match=r"precision='tf32': only NVIDIA GPUs .*; try precision='fp32'"):
        choose_precision("tf32", CPU)


@pytest.fixture(params=["new", "old"])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """PyTorch's settings of TF32, as read, in the way of its versions from 2.9 on and in that of those before."""
    if request.param == "new" and not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("torch before 2.9 has no such settings")
    if request.param == "old":
        old = type("Settings", (), {"allow_tf32": False})
        monkeypatch.setattr("torch.backends.cudnn", type("Settings", (), {"allow_tf32": True}))
        monkeypatch.setattr("torch.backends.cuda.matmul", old)
    read = devices._precision_settings()
    assert {name for _, name, _ in read} == {"fp32_precision" if request.param == "new" else "allow_tf32"}
    return read


def values(settings: list[Any]) -> list[Any]:
    """What the settings are now."""
    return [getattr(owner, name) for owner, name, _ in settings]


@pytest.mark.parametrize("tf32", [False, True])
def test_fp32_is_fp32_and_tf32_is_tf32(settings: list[Any], tf32: bool) -> None:
    """Convolutions and matrices alike; the program has its own settings back, also after an error."""
    before = values(settings)

    def fail() -> None:
        with fp32_products(tf32=tf32):
            assert values(settings) == [states[tf32] for _, _, states in settings]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert values(settings) == before


def test_every_machine_has_a_cpu() -> None:
    """The first device that is described is the CPU."""
    assert next(iter(describe_devices())) == "cpu"
