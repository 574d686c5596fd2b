"""Vectors in the order they come → rows that can be read again, from data sets and from a temporary file."""

from __future__ import annotations

import tempfile
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError
from clipsim.store.dataset import Dataset
from clipsim.vectors.similarity import Vectors

Part = tuple[Dataset, int] | NDArray[np.float32]  # a shard of a data set, or rows of the temporary file


class VectorTable:
    """(n, d) unit vectors: the shards of data sets, and vectors that are added, which wait in a temporary file.

    Threads may share it: a lock holds while its list of parts is read or changed, and rows are read outside it.
    Raises DatasetError where the temporary file cannot be written, or a shard is damaged.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._parts: list[Part] = []
        self._starts = [0]
        self._added = 0
        self._file: Any = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of rows."""
        return self._starts[-1] + self._added

    def add(self, vectors: Vectors) -> None:
        """Append (k, d) rows."""
        with self._lock:
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="clipsim-")  # noqa: SIM115 (for as long as the table)
                self._file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
            except OSError as error:
                cause = error.strerror or error
                raise DatasetError(f"{tempfile.gettempdir()}: cannot write vectors: {cause}") from error
            self._added += len(vectors)

    def add_dataset(self, dataset: Dataset) -> None:
        """Append the rows of a data set, which stay where they are."""
        with self._lock:
            self._close_added()
            for shard, rows in zip(dataset.shards, dataset.rows, strict=True):
                self._parts.append((dataset, shard))
                self._starts.append(self._starts[-1] + rows)

    def take(self, rows: NDArray[np.int64]) -> Vectors:
        """(k, d) float32: the vectors of k rows, which are in ascending order."""
        with self._lock:
            self._close_added()
            parts, starts = list(self._parts), list(self._starts)
        taken = np.empty((len(rows), self.dimensions), np.float32)
        edges = np.searchsorted(rows, starts)
        for part, start, low, high in zip(parts, starts, edges, edges[1:], strict=False):
            if low < high:
                vectors = part[0].image_vectors(part[1]) if isinstance(part, tuple) else part
                local_rows = rows[low:high] - start
                if local_rows[-1] - local_rows[0] == high - low - 1:  # neighbours are read as they lie
                    taken[low:high] = vectors[local_rows[0] : local_rows[-1] + 1]
                else:
                    taken[low:high] = vectors[local_rows]
        return taken

    def close(self) -> None:
        """Remove the temporary file."""
        with self._lock:
            self._parts = []
            if self._file is not None:
                self._file.close()

    def _close_added(self) -> None:
        """Map what was added since the last part; called under the lock."""
        if self._added:
            self._file.flush()
            start = sum(len(part) for part in self._parts if not isinstance(part, tuple))
            size = 4 * self.dimensions
            shape = (self._added, self.dimensions)
            self._parts.append(np.memmap(self._file, np.float32, "r", offset=start * size, shape=shape))
            self._starts.append(self._starts[-1] + self._added)
            self._added = 0
