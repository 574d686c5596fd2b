"""An iterable that may be slow → the same items, read ahead by a thread, so that waiting can end without one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_AHEAD = 4096


class Feed(Generic[Item]):
    """Items that a daemon thread reads, at most `MAX_AHEAD` ahead; an error of the iterable is raised by `take`."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._read: deque[Item] = deque()
        self._changed = threading.Condition()
        self._exhausted = self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="read names", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether there will never be another item or error."""
        with self._changed:
            return self._exhausted and not self._read and self._error is None

    def wait(self, seconds: float) -> bool:
        """Wait until there is an item to take or the iterable has ended; False if neither happens in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._read) or self._exhausted, seconds)

    def take(self, count: int) -> list[Item]:
        """The next items, at most `count`, without waiting; raises the error of the iterable after its last item."""
        with self._changed:
            taken = [self._read.popleft() for _ in range(min(count, len(self._read)))]
            self._changed.notify_all()
            if not taken and self._error is not None:
                error, self._error = self._error, None
                raise error
            return taken

    def close(self) -> None:
        """Drop what was read; the thread ends at its next item."""
        with self._changed:
            self._closed = True
            self._read.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._read) < MAX_AHEAD or self._closed)
                    if self._closed:
                        return
                    self._read.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # raised where the items are taken
            self._error = error
        finally:
            with self._changed:
                self._exhausted = True
                self._changed.notify_all()
