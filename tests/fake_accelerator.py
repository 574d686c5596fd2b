"""An accelerator that records its steps, computes by a function, and fails or is interrupted where a test wants it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fake_encoder import FakeEncoder
from numpy.typing import NDArray

from clipsim.engines.accelerator import SLOTS, BatchQueue

Step = tuple[str, int]  # its name, and the slot


class FakeAccelerator:
    """What a device does later, this one does in `wait`: until then it reads the buffers, as copies by a device do.

    `on_step` is called before each step with its name and may raise.
    """

    slots = SLOTS

    def __init__(
        self,
        encode: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.steps: list[Step] = []
        self.counts: list[int] = []  # of images that were computed
        self._encode, self._on_step = encode, on_step
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._launched: dict[int, int] = {}
        self._computed: dict[int, NDArray[np.float32]] = {}

    def _begin(self, name: str, slot: int) -> None:
        self._on_step(name)
        self.steps.append((name, slot))

    def buffer(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Kept as long as it is large enough."""
        self._begin("fill", slot)
        if slot not in self._buffers or len(self._buffers[slot]) < shape[0]:
            self._buffers[slot] = np.zeros(shape, np.uint8)
        return self._buffers[slot]

    def copy(self, slot: int, count: int) -> None:
        """Nothing yet."""
        self._begin("copy", slot)

    def launch(self, slot: int, count: int) -> None:
        """Nothing yet, but the number is kept."""
        self._begin("launch", slot)
        self._launched[slot] = count
        self.counts.append(count)

    def wait(self, slot: int) -> None:
        """Compute what is in the buffer now: a slot that was filled too early gives the vectors of others."""
        self._begin("wait", slot)
        self._computed[slot] = self._encode(self._buffers[slot][: self._launched[slot]])

    def fetch(self, slot: int, count: int) -> NDArray[np.float32]:
        """The vectors of the last wait."""
        self._begin("fetch", slot)
        return self._computed.pop(slot)[:count].copy()


class QueuedEncoder(FakeEncoder):
    """A `FakeEncoder` whose images go through a `FakeAccelerator`; batches that fail are encoded by the encoder."""

    def __init__(self, on_step: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self.device_encoder = FakeEncoder()
        self.accelerator = FakeAccelerator(self.device_encoder.encode_images, on_step)
        self.queue = BatchQueue(self.accelerator, self._recover)

    def _recover(self, error: Exception, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not isinstance(error, MemoryError):
            raise error
        return self.encode_images(pixels)
