"""A device's name → its default precision and batch size, and the device that "auto" stands for, without torch."""

from __future__ import annotations

import os
import sys

# Device nodes of the GPU drivers that PyTorch supports: NVIDIA's, also on Jetson and in WSL, and AMD's.
_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


def default_precision(device: str) -> str:
    """The precision where none is chosen: fp16 on CUDA, as in OpenAI's code, and fp32 elsewhere.

    >>> default_precision("cuda:1")
    'fp16'
    """
    return "fp16" if device.startswith("cuda") else "fp32"


def default_batch_size(device: str) -> int:
    """Images or texts per step of the model where no number is chosen: a GPU needs larger batches than a CPU.

    On a CPU, 8 to 64 were equally fast within the noise of the measurements.

    >>> default_batch_size("cuda"), default_batch_size("cpu")
    (128, 32)
    """
    return 32 if device.startswith("cpu") else 128


def guess_device(name: str) -> str | None:
    """The device that a name stands for; None for "auto" on a machine with a GPU, where only torch can tell."""
    if name != "auto":
        return name
    return "cpu" if sys.platform == "linux" and not has_gpu_driver() else None


def has_gpu_driver() -> bool:
    """Whether a GPU driver that PyTorch supports is loaded."""
    return any(map(os.path.exists, _GPU_NODES))


def explain_device(name: str, device: str) -> str | None:
    """One line where "auto" stands for the CPU although there is a GPU that was not hidden; else None."""
    hidden = any(os.environ.get(name) in ("", "-1") for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"))
    if name != "auto" or device != "cpu" or hidden or not has_gpu_driver():
        return None
    return "this machine has a GPU driver, but torch finds no GPU that it can use: the model runs on the CPU"


def describe_gpus() -> str:
    """The facts that decide which device "auto" stands for, apart from torch's version, as one line to compare."""
    visible = [f"{name}={os.environ.get(name)}" for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")]
    return " ".join([sys.platform, *visible, *filter(os.path.exists, _GPU_NODES)])


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
