"""Vectors in the order they come → rows that can be read again, from data sets and from a temporary file."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError
from clipsim.scoring.similarity import Vectors
from clipsim.store.dataset import Dataset

Part = tuple[Dataset, int] | NDArray[np.float32]  # a shard of a data set, or rows of the temporary file


class VectorTable:
    """(n, d) unit vectors: the shards of data sets, and vectors that are added, which wait in a temporary file.

    Raises DatasetError where the temporary file cannot be written, or a shard is damaged.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._parts: list[Part] = []
        self._starts = [0]
        self._added = 0
        self._file: Any = None

    def __len__(self) -> int:
        """The number of rows."""
        return self._starts[-1] + self._added

    def add(self, vectors: Vectors) -> None:
        """Append (k, d) rows."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="clipsim-")  # noqa: SIM115 (for as long as the table)
            self._file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        except OSError as error:
            raise DatasetError(f"{tempfile.gettempdir()}: cannot write vectors: {error.strerror or error}") from error
        self._added += len(vectors)

    def add_dataset(self, dataset: Dataset) -> None:
        """Append the rows of a data set, which stay where they are."""
        self._close_added()
        for shard, rows in zip(dataset.shards, dataset.rows, strict=True):
            self._parts.append((dataset, shard))
            self._starts.append(self._starts[-1] + rows)

    def take(self, rows: NDArray[np.int64]) -> Vectors:
        """(k, d) float32: the vectors of k rows, which are in ascending order."""
        self._close_added()
        found = np.empty((len(rows), self.dimensions), np.float32)
        edges = np.searchsorted(rows, self._starts)
        for part, start, low, high in zip(self._parts, self._starts, edges, edges[1:], strict=False):
            if low < high:
                vectors = part[0].image_vectors(part[1]) if isinstance(part, tuple) else part
                wanted = rows[low:high] - start
                if wanted[-1] - wanted[0] == high - low - 1:  # neighbours are read as they lie
                    found[low:high] = vectors[wanted[0] : wanted[-1] + 1]
                else:
                    found[low:high] = vectors[wanted]
        return found

    def close(self) -> None:
        """Remove the temporary file."""
        self._parts = []
        if self._file is not None:
            self._file.close()

    def _close_added(self) -> None:
        """Map what was added since the last part."""
        if self._added:
            self._file.flush()
            start = sum(len(part) for part in self._parts if not isinstance(part, tuple))
            size = 4 * self.dimensions
            shape = (self._added, self.dimensions)
            self._parts.append(np.memmap(self._file, np.float32, "r", offset=start * size, shape=shape))
            self._starts.append(self._starts[-1] + self._added)
            self._added = 0
