"""Batches of prepared pixels → float32 vectors on a device that computes while the host continues.

`BatchQueue` decides the order of the steps; an `Accelerator` carries out one step for one slot. A slot is a buffer on
the host, kept for the whole run, with its counterparts on the device.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from traceback import clear_frames
from typing import Protocol

import numpy as np

from clipsim.engines.encoder import Features, Pixels

SLOTS = 3  # one that is filled, one whose batch is computed, and one whose batch waits behind it


class Accelerator(Protocol):
    """A device with slots, each used for one batch at a time.

    `copy` and `launch` only begin their work, and a batch is launched behind those before it. Where they raise, nothing
    of the slot is under way any more.
    """

    slots: int

    def buffer(self, slot: int, shape: tuple[int, ...]) -> Pixels:
        """The memory of a slot on the host, (n, h, w, 3) uint8; a slot that is too small is replaced."""
        ...

    def copy(self, slot: int, count: int) -> None:
        """Begin to copy the first images of the buffer to the device."""
        ...

    def launch(self, slot: int, count: int) -> None:
        """Let the device compute the first `count` rows once they are copied; then the event of the slot is reached."""
        ...

    def wait(self, slot: int) -> None:
        """Return once the event of the slot is reached. Raises the device's error."""
        ...

    def fetch(self, slot: int, count: int) -> Features:
        """The (count, embed_dim) vectors of the slot, in memory of the caller's own; after `wait`."""
        ...


@dataclass(eq=False)
class Ticket:
    """A batch that was submitted; once it is `done` it has its vectors, or the error of the device."""

    slot: int
    images: Sequence[Pixels]
    done: bool = False
    features: Features | None = None
    error: Exception | None = None


class BatchQueue:
    """Batches on their way through an accelerator, in the order in which they are submitted.

    A slot is filled again only after its event, for which `submit` waits where no slot is free: tickets need not be
    redeemed. The device computes few different numbers of rows (`padded_size`), so that it can prepare for each; rows
    behind the images have any content. What fails is encoded once more by `recover`, which gets the error and the
    pixels, and raises what it cannot mend; the error is raised by `result` for that ticket alone. Other vectors pass
    through `check`, with their images.

    Threads may share it; one lock protects all of it.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        recover: Callable[[Exception, Pixels], Features],
        check: Callable[[Features, Sequence[Pixels]], Features] = lambda features, _: features,
    ) -> None:
        self._accelerator, self._recover, self._check = accelerator, recover, check
        self._free = deque(range(accelerator.slots))
        self._running: deque[Ticket] = deque()
        self._lock = threading.Lock()
        self.ahead = accelerator.slots - 1  # batches that should be submitted before a result is waited for

    def submit(self, images: Sequence[Pixels], batch_size: int) -> Ticket:
        """Begin to encode a batch of images, each (h, w, 3).

        `batch_size` is that of the run: the rows that are computed, and so the bits, depend on it and on the batch
        alone, not on what came before.
        """
        with self._lock:
            while not self._free:
                self._finish(self._running[0])
            count = len(images)
            size = padded_size(count, max(batch_size, count))
            ticket = Ticket(self._free.popleft(), images)
            self._running.append(ticket)
            try:
                np.stack(images, out=self._accelerator.buffer(ticket.slot, (size, *images[0].shape))[:count])
                self._accelerator.copy(ticket.slot, count)
                self._accelerator.launch(ticket.slot, size)
            except Exception as error:  # raised where the result is waited for
                clear_frames(error.__traceback__)  # they keep the failed attempt's tensors alive
                ticket.error = error
            return ticket

    def result(self, ticket: Ticket) -> Features:
        """The vectors of a batch, (n, embed_dim) float32, not normalised. Raises the device's error."""
        with self._lock:
            if not ticket.done:
                self._finish(ticket)
        if ticket.features is None:
            assert ticket.error is not None
            ticket.features = self._recover(ticket.error, np.stack(ticket.images))
            return ticket.features
        return self._check(ticket.features, ticket.images)

    def _finish(self, ticket: Ticket) -> None:
        """Wait for a batch and free its slot."""
        try:
            if ticket.error is None:
                self._accelerator.wait(ticket.slot)
                ticket.features = self._accelerator.fetch(ticket.slot, len(ticket.images))
        except Exception as error:
            clear_frames(error.__traceback__)
            ticket.error = error
        ticket.done = True
        self._running.remove(ticket)
        self._free.append(ticket.slot)


def padded_size(count: int, largest: int) -> int:
    """The number of rows that a device computes for a batch: a power of two, or the size of full batches.

    >>> [padded_size(count, 96) for count in (1, 3, 32, 33, 65, 96)]
    [1, 4, 32, 64, 96, 96]
    """
    return min(largest, 1 << (count - 1).bit_length())
