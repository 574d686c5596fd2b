"""Names of devices and precisions → the same, checked; what this machine has of them is `encoder.devices`'s to say."""

from __future__ import annotations

import re

from clipsim.errors import UsageError
from clipsim.names import printable

PRECISIONS = ("fp32", "fp16", "bf16")
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
