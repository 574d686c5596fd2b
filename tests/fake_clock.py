"""A clock that moves when something waits for it."""

from __future__ import annotations

import threading


class Clock:
    """Seconds that pass only while something waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        with self._lock:
            self.now += seconds
