"""A data set's shards → the nearest vectors of each query, all of them compared; threads share the shards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from clipsim.scoring.nearest import Nearest, add_vectors
from clipsim.scoring.similarity import Vectors
from clipsim.store.dataset import Dataset

Accept = Callable[[str], bool]


def scan(
    dataset: Dataset, queries: Vectors, count: int, *, workers: int = 1, accept: Accept | None = None
) -> tuple[Nearest, int]:
    """The `count` nearest rows of each of (m, d) unit queries, and how many rows were compared.

    With `accept`, only rows whose names it takes. Rows that are not unit vectors are left out; the result's `wrong`
    holds them. A shard is mapped while it is read and no longer, so that memory does not grow with the number of
    shards. Raises DatasetError for a shard that is damaged.
    """

    def read(index: int) -> tuple[Nearest, int]:
        found = Nearest(len(queries), count)
        shard, start = dataset.shards[index], dataset.starts[index]
        vectors = dataset.image_vectors(shard)
        if accept is None:
            add_vectors(found, queries, vectors, start)
            return found, len(vectors)
        rows = [row for row, name in enumerate(dataset.names(shard)) if accept(name)]
        if rows:
            add_vectors(found, queries, vectors[rows], 0)
            taken = found.rows >= 0
            found.rows[taken] = [start + rows[row] for row in found.rows[taken]]
            found.wrong = {start + rows[row] for row in found.wrong}
        return found, len(rows)

    nearest, compared = Nearest(len(queries), count), 0
    with ThreadPoolExecutor(workers, "scan") as pool:
        for found, rows in pool.map(read, range(len(dataset.shards))):
            nearest.merge(found)
            compared += rows
    return nearest, compared
