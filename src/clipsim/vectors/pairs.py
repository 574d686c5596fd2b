"""Many unit vectors → the pairs of rows that are nearer than a threshold, block by block; pure NumPy."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipsim.vectors.nearest import Nearest
from clipsim.vectors.similarity import Vectors

BLOCK_ROWS = 2048
MAX_NEIGHBOURS = 32  # of one row among later ones; what bounds memory where thousands of vectors are equal

BLOCKS_AHEAD = 2  # for each worker, of those whose pairs the caller has taken

Take = Callable[[int, int], Vectors]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows, `first` < `second`, with their cosines, greatest first; those of one part of a comparison."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]


def find_near_pairs(
    take: Take, rows: int, threshold: float, *, workers: int = 1
) -> Generator[tuple[int, Pairs], None, None]:
    """The pairs among `rows` unit vectors whose cosine is over the threshold; for each block, how many rows are done.

    `take(start, end)` gives vectors as (n, d) float32. Of each row's later neighbours the 32 nearest are found. Memory
    is that of a few blocks, not of the square of the number of rows; time is.
    """

    def compare(start: int) -> tuple[int, Pairs]:
        block = np.ascontiguousarray(take(start, min(start + BLOCK_ROWS, rows)))
        nearest = Nearest(len(block), MAX_NEIGHBOURS, threshold)
        for other in range(start, rows, BLOCK_ROWS):
            later = block if other == start else take(other, min(other + BLOCK_ROWS, rows))
            scores = later @ block.T
            if other == start:
                scores[np.triu_indices(len(block))] = -np.inf  # each pair once, and no row with itself
            nearest.add(scores, other)
        return start + len(block), _to_pairs(nearest, start)

    yield from map_ahead(compare, range(0, rows, BLOCK_ROWS), workers)


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """What a function returns for each item, in their order, by threads that run only a few items ahead of the caller.

    So memory holds few results also where the caller takes longer over each than the threads do.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "compare") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > BLOCKS_AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _to_pairs(nearest: Nearest, start: int) -> Pairs:
    filled: tuple[NDArray[Any], ...] = np.nonzero(nearest.rows >= 0)
    similarity = nearest.scores[filled]
    order = np.argsort(-similarity, kind="stable")
    return Pairs((filled[0] + start)[order], nearest.rows[filled][order], similarity[order])


class Groups:
    """Rows that pairs connect, directly or through other rows.

    >>> groups = Groups()
    >>> groups.join(3, 1); groups.join(7, 3); groups.join(4, 5)
    >>> groups.together(1, 7), groups.together(1, 4)
    (True, False)
    >>> groups.members()
    [[1, 3, 7], [4, 5]]
    """

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def join(self, first: int, second: int) -> None:
        """Put two rows, and what they are connected with, into one group."""
        first, second = self._root(first), self._root(second)
        if first != second:
            self._parents[max(first, second)] = min(first, second)

    def together(self, first: int, second: int) -> bool:
        """Whether two rows are in one group."""
        return self._root(first) == self._root(second)

    def members(self) -> list[list[int]]:
        """The groups of two and more rows, in the order of their first row, each in order."""
        groups: dict[int, list[int]] = defaultdict(list)
        for row in sorted(self._parents):
            groups[self._root(row)].append(row)
        return [groups[root] for root in sorted(groups) if len(groups[root]) > 1]

    def _root(self, row: int) -> int:
        root = row
        while (parent := self._parents.setdefault(root, root)) != root:
            root = parent
        while self._parents[row] != root:  # so that the next search is short
            self._parents[row], row = root, self._parents[row]
        return root
