"""Tests of `images.memory`."""

from __future__ import annotations

import threading
import time

from clipsim.images.limits import MemoryBudget


def test_threads_wait_for_the_budget() -> None:
    """What is held together fits into the budget; a request larger than the budget is granted when nothing is held."""
    memory = MemoryBudget(10)
    held: list[int] = []
    seen: set[tuple[int, ...]] = set()
    guard = threading.Lock()

    def use(amount: int) -> None:
        with memory.take(amount):
            with guard:
                held.append(amount)
                seen.add(tuple(sorted(held)))
            time.sleep(0.01)
            with guard:
                held.remove(amount)

    threads = [threading.Thread(target=use, args=(amount,)) for amount in (4, 4, 4, 25, 6, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert memory.taken == 0
    assert held == []
    assert (25,) in seen
    assert all(sum(amounts) <= 10 for amounts in seen - {(25,)})
    assert any(len(amounts) > 1 for amounts in seen)
