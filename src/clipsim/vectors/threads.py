"""A number of threads → a pool whose threads compare blocks of vectors, each alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits


@contextmanager
def open_pool(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of so many threads; while it is open, a matrix product of NumPy's runs in the thread that asks for it.

    OpenBLAS would start as many threads again for each product, and all would wait for each other: a search of a
    million vectors takes half as long. The limit is one for the whole process.
    """
    with _limit, ThreadPoolExecutor(workers, name) as pool:
        yield pool


class _OneThread:
    """One thread for each product from the first entry to the last exit; several threads may be inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limits = threadpool_limits(1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limits.restore_original_limits()


_limit = _OneThread()
