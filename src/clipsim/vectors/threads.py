"""A number of threads → a pool whose threads compare blocks of vectors, each alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def open_pool(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of so many threads; while it is open, a matrix product of NumPy's runs in the thread that asks for it.

    OpenBLAS would start as many threads again for each product, and all would wait for each other: exact searches
    among a million vectors took three times as long. The limit is one for the whole process.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers, name) as pool:
        yield pool
