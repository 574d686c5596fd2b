"""A folder that `clipsim embed` wrote → memory-mapped vectors, the names of their pictures, and the facts of the model.

`layout` says which files there are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, printable
from clipsim.store.layout import current_folder, find_shards, import_parquet, numpy_dtype, read_facts, shard_name

BLOCK_ROWS = 65_536
Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive vectors of one shard: (n, d), memory-mapped; `start` is the first one's row in the data set."""

    start: int
    shard: int
    offset: int
    vectors: Vectors


class Dataset:
    """The shards of one folder. Rows are numbered through all shards, in the order of the sources.

    Vectors are read from disk when they are used. An incomplete data set can be opened; it has the shards that are
    there. Raises DatasetError for a folder that `clipsim embed` did not write, or that is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._here = current_folder()
        self.facts = read_facts(self.folder)
        self.shards = find_shards(path.name for path in self.folder.glob("metadata/*"))
        self.rows = [len(self.image_vectors(shard)) for shard in self.shards]  # no file stays open
        self.starts = [0, *np.cumsum(self.rows).tolist()]

    def __len__(self) -> int:
        """The number of vectors."""
        return int(self.starts[-1])

    @property
    def fingerprint(self) -> str:
        """A digest that changes when the vectors do, for what is derived from them."""
        parts = [self.facts.digest, self.facts.sources_digest, self.facts.precision, self.facts.dtype, str(self.rows)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Block]:
        """All vectors in order, in blocks of at most `rows`, each within one shard."""
        for shard, start in zip(self.shards, self.starts, strict=False):
            vectors = self.image_vectors(shard)
            for offset in range(0, len(vectors), rows):
                yield Block(start + offset, shard, offset, vectors[offset : offset + rows])

    def vectors(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """(n, d) float32: the vectors of n rows, in the order given."""
        found = np.empty((len(rows), self.facts.dimensions), np.float32)
        for shard, start, places in self._by_shard(rows):
            found[places] = self.image_vectors(shard)[[rows[place] - start for place in places]]
        return found

    def image_vectors(self, shard: int) -> Vectors:
        """(n, d) memory-mapped unit vectors of one shard."""
        return self._map("img_emb", shard)

    def text_vectors(self, shard: int) -> Vectors:
        """(n, d) memory-mapped vectors of one shard's captions. Raises DatasetError where there are none."""
        return self._map("text_emb", shard)

    def names(self, shard: int) -> list[str]:
        """The names of one shard's pictures, in the order of its vectors."""
        return [str(name) for name in self.columns(shard, ["image_path"])["image_path"]]

    def locate(self, name: str) -> str:
        """The path from the current folder of a picture's name, which was relative to the folder it was embedded from.

        Absolute paths and addresses are given back as they are.
        """
        base = self.facts.base
        if base is None or base == self._here or os.path.isabs(name) or "://" in name:  # noqa: PTH117 (of each row)
            return name
        return os.path.join(base, name)  # noqa: PTH118 (keeps ./)

    def columns(self, shard: int, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Columns of one shard's metadata, as Python values, in the order of its vectors."""
        path = self.folder / shard_name("metadata", shard)
        parquet = import_parquet()
        try:
            table = parquet.read_table(path, columns=list(columns), partitioning=None)
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these families
            raise DatasetError(f"{printable(str(path))}: damaged: {printable(str(error), 120)}") from error
        found: dict[str, list[Any]] = table.to_pydict()
        return found

    def describe(self, rows: Sequence[int], columns: Sequence[str] = ("image_path",)) -> list[dict[str, Any]]:
        """The metadata of some rows, in the order given; each shard that is concerned is read once."""
        found: list[dict[str, Any]] = [{}] * len(rows)
        for shard, start, places in self._by_shard(rows):
            values = self.columns(shard, columns)
            for place in places:
                found[place] = {name: values[name][rows[place] - start] for name in columns}
        return found

    def _by_shard(self, rows: Sequence[int]) -> Iterator[tuple[int, int, list[int]]]:
        """The shards that hold some rows: number, first row, and the places in `rows` of those it holds."""
        places: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if not 0 <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            places.setdefault(int(np.searchsorted(self.starts, row, side="right")) - 1, []).append(place)
        for index in sorted(places):
            yield self.shards[index], self.starts[index], places[index]

    def _map(self, kind: str, shard: int) -> Vectors:
        path = self.folder / shard_name(kind, shard)
        shown, shape = printable(str(path)), f"(n, {self.facts.dimensions}) {self.facts.dtype}"
        try:
            vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{shown}: not an array of {shape}: {printable(str(error), 120)}") from error
        if vectors.shape[1:] != (self.facts.dimensions,) or vectors.dtype != numpy_dtype(self.facts.dtype):
            raise DatasetError(f"{shown}: not an array of {shape}, but {vectors.shape} {vectors.dtype}")
        return vectors
