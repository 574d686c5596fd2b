"""Shapes of linear layers → whether oneDNN multiplies them faster than PyTorch does here: tried once, remembered."""

from __future__ import annotations

import json
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from clipsim.files import write_atomically
from clipsim.models.settings import cache_folder

TRIAL_ROWS = 256
ROUNDS = 4  # the first of them, which also sets up the kernels, is not timed
MIN_GAIN = 1.1  # how much faster oneDNN must be
MAX_REMEMBERED = 16  # machines and versions of PyTorch, for a folder that machines share
# Of an operator that another PyTorch does not have, or has otherwise, or of a precision that the processor lacks.
FAILURES = (AttributeError, RuntimeError, TypeError)


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none", form: str = "") -> Tensor:
    """(…, in) → (…, out) by oneDNN, with a weight that `pack_weight` made, and a function of the result: "none",
    "gelu", whose form is "none" or "tanh", or "swish".

    The operator is private to PyTorch, whose compiler uses it on CPUs.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], form)
    return result


def pack_weight(weight: Tensor, rows: int) -> Tensor:
    """An (out, in) matrix in oneDNN's layout for inputs of about so many rows; `to_dense` gives the matrix back."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
    return packed


class Trials:
    """The outcomes of trials on this machine, in a file that may be lost or read-only without harm."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder() / "torch-layers.json"
        self._machine = describe_machine()
        self._outcomes = self._read().get(self._machine, {})

    def recall(self, shape: tuple[int, int], dtype: torch.dtype) -> bool | None:
        """Whether oneDNN is faster for an (out, in) matrix; None where that has not been tried."""
        outcome = self._outcomes.get(_key(shape, dtype))
        return outcome if isinstance(outcome, bool) else None

    def is_faster(self, shape: tuple[int, int], dtype: torch.dtype) -> bool:
        """As `recall`, after a trial where there was none."""
        outcome = self.recall(shape, dtype)
        if outcome is None:
            outcome = self._outcomes[_key(shape, dtype)] = try_shape(shape, dtype)
        return outcome

    def save(self) -> None:
        """Remember the outcomes for later runs."""
        others = self._read()
        outcomes = others.pop(self._machine, {}) | self._outcomes
        kept = dict([*others.items(), (self._machine, outcomes)][-MAX_REMEMBERED:])
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(kept, indent=1) + "\n")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {machine: outcomes for machine, outcomes in content.items() if isinstance(outcomes, dict)}


def try_shape(shape: tuple[int, int], dtype: torch.dtype) -> bool:
    """Whether oneDNN can multiply by an (out, in) matrix, and faster than PyTorch does."""
    random = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, generator=random).to(dtype) for size in ((TRIAL_ROWS, shape[1]), shape))
    bias = torch.zeros(shape[0], dtype=dtype)
    try:
        packed = pack_weight(weight, TRIAL_ROWS)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(ROUNDS):
            for by_onednn, matrix in ((False, weight), (True, packed)):
                begun = _seconds()
                multiply(x, matrix, bias) if by_onednn else linear(x, matrix, bias)
                seconds[by_onednn].append(_seconds() - begun)
    except FAILURES:
        return False
    return min(seconds[False][1:]) >= MIN_GAIN * min(seconds[True][1:])


def describe_machine() -> str:
    """What the outcome of a trial depends on: PyTorch, the processor and the number of threads."""
    processor = [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
        fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        processor += [fields.get(name, "") for name in ("model name", "cpu family", "model", "stepping")]
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {' '.join(filter(None, processor))}"


def _key(shape: tuple[int, int], dtype: torch.dtype) -> str:
    return f"{shape[0]}x{shape[1]} {str(dtype).removeprefix('torch.')}"


# The processor time of this thread, which works as long as the others, does not count what other programs take. That
# of Windows is said to be fine, and counts ticks of 16 ms.
_FINE = time.get_clock_info("thread_time").resolution <= 1e-6 and sys.platform != "win32"
_seconds = time.thread_time if _FINE else time.perf_counter
