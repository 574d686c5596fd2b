"""Names of a device and a precision → those of torch, once they have been tried; and what a device's errors mean."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from clipsim.engines.choice import default_precision
from clipsim.errors import DeviceError, DeviceLostError, Setting, first_line, pluralise
from clipsim.options import PRECISIONS, check_device, check_precision

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
HALVES = (torch.float16, torch.bfloat16)
AMPERE = (8, 0)  # the compute capability from which on NVIDIA's GPUs have TF32 and bf16

# What allocators and libraries write of memory that they do not get: CUDA, cuBLAS, cuDNN, HIP, MPS, and the CPU's. The
# last two are cuBLAS without memory for its handle, and cuDNN without memory for any of its algorithms.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemory|not enough memory|can't allocate memory|bad_alloc|ALLOC(ATION)?_FAILED"
    r"|Invalid buffer size|NOT_INITIALIZED when calling `cublasCreate|unable to find an engine",
    re.IGNORECASE,
)
_GPU_ERROR = re.compile(r"\b(CUDA|HIP|cuDNN|MIOpen)( driver)? error|\b(CU|HIP)BLAS_STATUS_|CUDNN_STATUS_|miopenStatus")


def choose_device(name: str, on_notice: Callable[[str], None] = lambda _: None) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU; a GPU has computed something before it is chosen.

    `on_notice` is told of a GPU that "auto" would stand for if it computed. Raises UsageError for an unknown name,
    DeviceError for a device that this machine does not have, or that does not compute.
    """
    if name == "auto":
        gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        for kind in (kind for kind, is_there in gpus.items() if is_there):
            fault = find_fault(torch.device(kind))
            if fault is None:
                return torch.device(kind)
            on_notice(f"the GPU ({kind}) cannot be used ({fault}): the model runs on another device")
        return torch.device("cpu")
    check_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError("no CUDA GPU can be used", parameter="device", value=name, hint=Setting("device", "cpu"))
        if index and int(index) >= torch.cuda.device_count():
            raise DeviceError(
                "no such GPU",
                parameter="device",
                value=name,
                hint=f"this machine has {pluralise(torch.cuda.device_count(), 'CUDA GPU')}, from cuda:0",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "Apple's MPS is not available here", parameter="device", value=name, hint=Setting("device", "cpu")
        )
    device = torch.device(name)
    if kind != "cpu" and (fault := find_fault(device)):
        raise DeviceError(f"cannot be used ({fault})", parameter="device", value=name, hint=Setting("device", "cpu"))
    return device


def find_fault(device: torch.device, dtype: torch.dtype = torch.float32) -> str | None:
    """Why a device does not compute in a type of numbers, in one line; None where it does.

    It has no kernels for the GPU, another process has it for itself or has all its memory, or it lacks the type.
    """
    try:
        ones = torch.ones(8, 8, device=device, dtype=dtype)
        float((ones @ ones).sum())  # a kernel of torch, one of a library, and a copy back, which waits for both
    except (RuntimeError, TypeError) as error:
        return first_line(error)
    return None


def describe_devices() -> dict[str, str]:
    """Every device that can be used here by its name, with one line that describes it."""
    devices = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def choose_precision(name: str | None, device: torch.device) -> tuple[str, torch.dtype]:
    """The name and dtype of a precision, by default that of the chip.

    Raises UsageError for an unknown name, DeviceError for a precision that the device does not have.
    """
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    name = name or default_precision(device.type, capability)
    check_precision(name)
    if name == "tf32" and (capability is None or capability < AMPERE or torch.version.hip):
        raise DeviceError(
            "only NVIDIA GPUs of compute capability 8.0 and more have it",
            parameter="precision",
            value=name,
            hint=Setting("precision", "fp32"),
        )
    if name == "bf16" and capability is not None and capability < AMPERE:
        raise DeviceError(
            f"this GPU (compute capability {'.'.join(map(str, capability))}) does not compute in it",
            parameter="precision",
            value=name,
            hint=Setting("precision", "fp16"),
        )
    dtype = _DTYPES[name]
    if device.type != "cpu" and dtype in HALVES and (fault := find_fault(device, dtype)):
        raise DeviceError(
            f"{device} does not compute in it ({fault})",
            parameter="precision",
            value=name,
            hint=Setting("precision", "fp32"),
        )
    return name, dtype


def list_precisions(device: str) -> list[str]:
    """The precisions that a device has, by its name as `describe_devices` has it."""
    precisions = []
    for name in PRECISIONS:
        with suppress(DeviceError):
            precisions.append(choose_precision(name, torch.device(device))[0])
    return precisions


_products_lock = threading.RLock()


@contextmanager
def fp32_products(*, tf32: bool) -> Iterator[None]:
    """Let CUDA multiply fp32 matrices, those of convolutions too, as TF32 or in fp32, and no other way, meanwhile.

    PyTorch's own default is TF32 for convolutions and fp32 for the rest. The setting is the process's: it is restored,
    and other threads that set it wait.
    """
    settings = _precision_settings()
    with _products_lock:
        before = [getattr(owner, name) for owner, name, _ in settings]
        try:
            for owner, name, values in settings:
                setattr(owner, name, values[tf32])
            yield
        finally:
            for (owner, name, _), value in zip(settings, before, strict=True):
                setattr(owner, name, value)


def _precision_settings() -> list[tuple[Any, str, tuple[object, object]]]:
    """PyTorch's settings, each as its owner, attribute, and the values for fp32 and TF32; those from 2.9 on differ."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        return [(owner, "fp32_precision", ("ieee", "tf32")) for owner in (matmul, cudnn.conv)]
    return [(owner, "allow_tf32", (False, True)) for owner in (matmul, cudnn)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None
    )


def is_gpu_failure(error: BaseException) -> bool:
    """Whether a GPU has failed for good: after most errors, CUDA refuses all further work of the process."""
    accelerator_error = getattr(torch, "AcceleratorError", None)  # of torch from 2.8 on
    known = accelerator_error is not None and isinstance(error, accelerator_error)
    known = known or (isinstance(error, RuntimeError) and _GPU_ERROR.search(str(error)) is not None)
    return known and not is_out_of_memory(error)


def device_lost(error: BaseException) -> DeviceLostError:
    """The error for a GPU that has failed."""
    return DeviceLostError(
        f"the GPU has failed ({first_line(error)}), and this process cannot use it any more", hint="start it again"
    )


def release_memory(device: torch.device) -> None:
    """Give memory that no tensor uses any more back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
