"""Names of devices and precisions → the same, checked; what this machine has of them is `encoder.devices`'s to say."""

from __future__ import annotations

import os
import re
import sys

from clipsim.errors import UsageError
from clipsim.names import printable

PRECISIONS = ("fp32", "fp16", "bf16")
# What drivers of GPUs that PyTorch can use put there: NVIDIA's, also on Jetson and in WSL, and AMD's.
_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
_DEVICE = re.compile(r"auto|cpu(:0)?|mps(:0)?|cuda(:[0-9]{1,3})?")


def check_device(name: str) -> None:
    """Raise UsageError for what is not the name of a device.

    >>> check_device("cuda:1")
    """
    if not _DEVICE.fullmatch(name):
        raise UsageError(f"no device is called '{printable(name, 40)}'; there are auto, cpu, cuda, cuda:N and mps")


def check_precision(name: str) -> None:
    """Raise UsageError for what is not the name of a precision.

    >>> check_precision("fp16")
    """
    if name not in PRECISIONS:
        raise UsageError(f"no precision is called '{printable(name, 40)}'; there are {', '.join(PRECISIONS)}")


def default_precision(device: str) -> str:
    """The precision unless one is asked for: fp16 on CUDA, as OpenAI's own code computes there, and fp32 elsewhere.

    >>> default_precision("cuda:1")
    'fp16'
    """
    return "fp16" if device.startswith("cuda") else "fp32"


def default_batch_size(device: str) -> int:
    """Images or texts a step of the model, unless asked otherwise: a GPU wants more at once than a processor.

    On a CPU, 8 to 64 were equally fast within what measurements there vary by.

    >>> default_batch_size("cuda"), default_batch_size("cpu")
    (128, 32)
    """
    return 32 if device.startswith("cpu") else 128


def guess_device(name: str) -> str | None:
    """The device that a name stands for, where that is certain without asking torch: "auto" is, without any GPU."""
    if name != "auto":
        return name
    no_gpu = sys.platform == "linux" and not any(map(os.path.exists, _GPU_NODES))
    return "cpu" if no_gpu else None


def describe_gpus() -> str:
    """What decides which device "auto" stands for, apart from torch's version: a later run compares it."""
    visible = [f"{name}={os.environ.get(name)}" for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")]
    return " ".join([sys.platform, *visible, *filter(os.path.exists, _GPU_NODES)])
