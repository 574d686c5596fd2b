"""A stand-in for a CUDA GPU: tensors that are moved to it stay on the CPU, and what makes the host wait is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

WAITING = {"item", "tolist", "cpu", "numpy", "__int__", "__float__", "__bool__", "__index__"}


class FakeGpu(TorchFunctionMode):
    """While it is entered, the thread can use the device "cuda".

    `waits` has the names of the functions that would have made the host wait for the device; `releases` counts how
    often memory was given back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.releases = 0

    def release(self) -> None:
        """In place of `torch.cuda.empty_cache`."""
        self.releases += 1

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function on the CPU; what it makes of the device's tensors is on the device too."""
        given = [part for value in (*args, *(kwargs or {}).values()) for part in _parts(value)]
        moved = any(isinstance(value, torch.device) and value.type == "cuda" for value in given)
        on_gpu = moved or any(getattr(value, "is_on_gpu", False) for value in given if isinstance(value, Tensor))
        name = getattr(func, "__name__", "")
        if on_gpu and name in WAITING:
            self.waits.append(name)
        result = func(*map(_on_cpu, args), **{key: _on_cpu(value) for key, value in (kwargs or {}).items()})
        if name == "cpu" and on_gpu:
            return result.clone()
        for part in _parts(result):
            if type(part) is Tensor and on_gpu:
                part.is_on_gpu = True  # type: ignore[attr-defined]
        return result


def _parts(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


@contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> Iterator[FakeGpu]:
    """Let this thread have a GPU."""
    gpu = FakeGpu()
    with monkeypatch.context() as patch, gpu:
        patch.setattr("torch.cuda.is_available", lambda: True)
        patch.setattr("torch.cuda.device_count", lambda: 1)
        patch.setattr("torch.cuda.get_device_capability", lambda _: capability)
        patch.setattr("torch.cuda.empty_cache", gpu.release)
        patch.setattr("torch.version.hip", None)
        # those of the queue, which no test of this stand-in uses
        for name in ("Stream", "current_stream"):
            patch.setattr(f"torch.cuda.{name}", lambda *_: SimpleNamespace())
        patch.setattr("torch.cuda.Event", lambda **_: SimpleNamespace())
        yield gpu
