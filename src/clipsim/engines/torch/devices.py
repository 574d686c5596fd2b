"""The names of a device and a precision → torch's device and dtype, or an error that says what this machine lacks."""

from __future__ import annotations

import torch

from clipsim.engines.devices import default_precision
from clipsim.errors import DeviceError
from clipsim.options import check_device, check_precision

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Resolve "auto" to CUDA, else Apple's MPS, else the CPU.

    Raises UsageError for an unknown name, DeviceError for a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    check_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(f"no CUDA GPU can be used for device='{name}'; try device='cpu'")
        if index and int(index) >= torch.cuda.device_count():
            raise DeviceError(
                f"there is no {name}: this machine has {torch.cuda.device_count()} CUDA GPU(s), from cuda:0"
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Apple's MPS is not available here; try device='cpu'")
    return torch.device(name)


def describe_devices() -> dict[str, str]:
    """Every device that can be used here by its name, with one line that describes it."""
    devices = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            devices[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def choose_precision(name: str | None, device: torch.device) -> tuple[str, torch.dtype]:
    """The name and dtype of a precision, by default the device's. Raises UsageError for an unknown name."""
    name = name or default_precision(device.type)
    check_precision(name)
    return name, _DTYPES[name]
