"""The pool of threads that compare: products run in one thread each, and only while it is open."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from clipsim.vectors.threads import open_pool


def blas_threads() -> list[int]:
    """The threads of each OpenBLAS in this process; not of one with OpenMP, which counts for each thread anew."""
    assert np.ones((2, 2)).sum() == 4  # NumPy has loaded its own
    libraries = ThreadpoolController().select(user_api="blas").info()
    return [library["num_threads"] for library in libraries if library.get("threading_layer") == "pthreads"]


def test_a_product_runs_in_the_thread_that_asks_for_it() -> None:
    if not blas_threads():
        pytest.skip("this NumPy comes with another BLAS")
    with threadpool_limits(2, user_api="blas"):
        outside = blas_threads()
        with open_pool(3, "compare") as pool:
            assert set(pool.submit(blas_threads).result()) == {1}
        assert blas_threads() == outside


def test_the_limit_ends_with_an_error() -> None:
    before = blas_threads()
    with pytest.raises(ValueError, match="wrong"), open_pool(2, "compare") as pool:
        pool.submit(int, "wrong").result()
    assert blas_threads() == before


def test_pools_that_overlap_leave_the_limit_as_it_was() -> None:
    """The first one to open is the first one to close, as in sessions of several threads."""
    if not blas_threads():
        pytest.skip("this NumPy comes with another BLAS")
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = open_pool(1, "first"), open_pool(1, "second")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before
