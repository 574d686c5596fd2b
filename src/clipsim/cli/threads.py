"""How many threads NumPy's matrix products take, set before NumPy is imported."""

from __future__ import annotations

import os
import sys


def multiply_in_one_thread() -> None:
    """Let a matrix product run in the thread that asks for it, unless the user has set another number.

    Commands that compare many vectors give each core a thread with blocks of its own; OpenBLAS would start as many
    again in each, which wait for each other.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
