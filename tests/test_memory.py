"""Tests of `memory`."""

from __future__ import annotations

import threading
import time

from clipsim.images.memory import MemoryBudget


def test_memory_is_shared_out() -> None:
    """Threads wait while the budget is taken; a picture larger than all of it is let in alone."""
    memory = MemoryBudget(10)
    together, most = 0, 0
    guard = threading.Lock()

    def use(amount: int) -> None:
        nonlocal together, most
        with memory.take(amount):
            with guard:
                together += amount
                most = max(most, together)
            time.sleep(0.01)
            with guard:
                together -= amount

    threads = [threading.Thread(target=use, args=(amount,)) for amount in (4, 4, 4, 25, 6, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert memory.taken == 0
    assert most == 25
