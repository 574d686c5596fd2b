"""An image tower on a GPU → `CudaAccelerator`: pinned buffers, a stream for copies, a CUDA graph for each shape.

All that is particular to CUDA is in this module. Its tests have a stand-in for the device; it has not run on a GPU yet.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipsim.engines.accelerator import SLOTS

_cuda: Any = torch.cuda  # whose types are incomplete
_capturing = threading.Lock()  # PyTorch allows one capture at a time
USES_WORTH_A_GRAPH = 4  # of a shape: to capture a graph takes about half a second


@dataclass
class _Slot:
    """The memory of a batch on both sides, and the events that say how far it has come."""

    pixels: Tensor | None = None  # on the host
    device_pixels: Tensor | None = None
    vectors: Tensor | None = None  # on the host
    copied: torch.cuda.Event = field(default_factory=lambda: _cuda.Event())
    done: torch.cuda.Event = field(default_factory=lambda: _cuda.Event(blocking=True))  # a wait leaves the core free


class CudaAccelerator:
    """An `Accelerator` of one GPU; `encode` takes (n, h, w, 3) uint8 on it and returns (n, embed_dim) of any precision.

    Copies to the device have a stream of their own, so that they go on while the model computes; the model and the
    copies back are in the stream that is current when the accelerator is made, whatever stream a later caller is in.
    """

    slots = SLOTS

    def __init__(self, encode: Callable[[Tensor], Tensor], device: torch.device) -> None:
        self._device = device
        self._tower = GraphedTower(encode)
        self._copying, self._computing = _cuda.Stream(device), _cuda.current_stream(device)
        self._slots = [_Slot() for _ in range(SLOTS)]

    def buffer(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The memory of a slot on the host."""
        own = self._slots[slot]
        if own.pixels is None or own.pixels.shape[1:] != shape[1:] or len(own.pixels) < shape[0]:
            own.pixels = own.device_pixels = None  # so that a slot is never half of the new size
            with _cuda.stream(self._computing):
                own.device_pixels = torch.empty(shape, dtype=torch.uint8, device=self._device)
                own.pixels = allocate_pinned(shape, torch.uint8)
            # the memory may have been a tensor that the model still reads
            self._copying.wait_stream(self._computing)
        pixels: NDArray[np.uint8] = own.pixels.numpy()
        return pixels

    def copy(self, slot: int, count: int) -> None:
        """Begin to copy the first images to the device."""
        own = self._slots[slot]
        assert own.pixels is not None
        assert own.device_pixels is not None
        # in inference mode, since the buffer may have been made in that of a caller
        with torch.inference_mode(), _cuda.stream(self._copying):
            own.device_pixels[:count].copy_(own.pixels[:count], non_blocking=True)
            own.copied.record(self._copying)

    def launch(self, slot: int, count: int) -> None:
        """Begin to compute, and to copy the vectors back."""
        own = self._slots[slot]
        assert own.device_pixels is not None
        try:
            self._computing.wait_event(own.copied)
            with torch.inference_mode(), _cuda.stream(self._computing):
                vectors = self._tower(own.device_pixels[:count])
                if own.vectors is None or len(own.vectors) < count:
                    own.vectors = allocate_pinned((count, vectors.shape[1]), torch.float32)
                own.vectors[:count].copy_(vectors.float(), non_blocking=True)
            own.done.record(self._computing)
        except Exception:
            self._copying.synchronize()
            raise

    def wait(self, slot: int) -> None:
        """Return once the vectors of the slot are on the host."""
        self._slots[slot].done.synchronize()

    def fetch(self, slot: int, count: int) -> NDArray[np.float32]:
        """The vectors of the slot."""
        vectors = self._slots[slot].vectors
        assert vectors is not None
        copied: NDArray[np.float32] = vectors[:count].numpy().copy()
        return copied

    def release(self) -> None:
        """Give back the memory of graphs, and that of slots once they are replaced."""
        self._tower.release()
        _cuda.empty_cache()


def allocate_pinned(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory of the host that a GPU copies from and to by itself; pageable memory where the system grants no more."""
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    except RuntimeError:
        return torch.empty(shape, dtype=dtype)


@dataclass(frozen=True)
class _Captured:
    """A graph, the tensor that it reads and the one that it writes."""

    graph: torch.cuda.CUDAGraph
    pixels: Tensor
    vectors: Tensor


class GraphedTower:
    """`encode`, replayed from a CUDA graph for each shape that occurs often: launching is one call then.

    A tower that cannot be captured is run kernel by kernel. The tensor that is returned is valid until the next call.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor]) -> None:
        self._encode = encode
        self._uses: Counter[torch.Size] = Counter()
        self._captured: dict[torch.Size, _Captured] = {}
        self._pool: object | None = None  # of memory, which all graphs share: they are replayed one after the other
        self._side: Any = None  # the stream of all captures: libraries keep memory for each stream
        self._refused = False  # whether a capture has failed

    def __call__(self, pixels: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 → (n, embed_dim)."""
        shape = pixels.shape
        self._uses[shape] += 1
        if self._uses[shape] == USES_WORTH_A_GRAPH and not self._refused:
            with _capturing, _cuda.device(pixels.device):  # a capture belongs to the device that is current
                self._capture(pixels)
        captured = self._captured.get(shape)
        if captured is None:
            return self._encode(pixels)
        captured.pixels.copy_(pixels)
        captured.graph.replay()
        return captured.vectors

    def release(self) -> None:
        """Drop the graphs and their memory; no more are captured for the shapes that had one."""
        self._captured.clear()
        self._pool = None

    def _capture(self, pixels: Tensor) -> None:
        current = _cuda.current_stream(pixels.device)
        self._side = side = self._side or _cuda.Stream(pixels.device)
        fixed, graph = pixels.clone(), _cuda.CUDAGraph()
        try:
            # libraries set themselves up in the first call of a thread, which must not be captured
            side.wait_stream(current)
            with _cuda.stream(side):
                self._encode(fixed)
            current.wait_stream(side)
            # other threads may use the device meanwhile
            with _cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
                vectors = self._encode(fixed)
        except Exception:  # a tower that waits for the device, or too little memory: it runs without a graph
            self._refused = True
            _cuda.set_stream(current)  # which a capture that fails does not restore
            _cuda.synchronize(pixels.device)
            return
        self._pool = self._pool or graph.pool()
        self._captured[pixels.shape] = _Captured(graph, fixed, vectors)
