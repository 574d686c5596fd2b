"""A request for bytes → a wait until the memory budget of all decoding threads has room for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """A budget that threads take from and wait for; a request larger than the limit is granted when nothing is held."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold an amount of bytes, after waiting until it fits."""
        with self.changed:
            self.changed.wait_for(lambda: self.taken == 0 or self.taken + amount <= self.limit)
            self.taken += amount
        try:
            yield
        finally:
            with self.changed:
                self.taken -= amount
                self.changed.notify_all()
