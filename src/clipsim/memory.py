"""A budget of memory that threads share, so that many large pictures at once cannot fill the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """A budget that threads take from, and wait for; whoever comes when nothing is taken gets what he asks."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold an amount of bytes, as soon as there is room for it."""
        with self.changed:
            self.changed.wait_for(lambda: self.taken == 0 or self.taken + amount <= self.limit)
            self.taken += amount
        try:
            yield
        finally:
            with self.changed:
                self.taken -= amount
                self.changed.notify_all()
