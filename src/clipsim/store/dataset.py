"""A folder that `clipsim embed` wrote → `Dataset`: memory-mapped vectors, their metadata, and the model's record.

`layout` says which files there are. What they hold is compared with what was written before it is used: sizes when a
data set is opened, digests when a file is first read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, printable
from clipsim.files import FileStamp, current_folder, digest_file, unescape_name
from clipsim.store.folders import DigestFile, LocalFolder
from clipsim.store.layout import (
    INFO_FILE,
    REMEDY,
    FileInfo,
    Files,
    import_parquet,
    numpy_dtype,
    read_dataset_info,
    shard_name,
    shard_names,
)
from clipsim.store.shards import find_made
from clipsim.vectors.nearest import Nearest, add_vectors, find_wrong_rows
from clipsim.vectors.similarity import Vectors

BLOCK_ROWS = 65_536
StoredVectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive vectors of one shard: (n, d), memory-mapped; `start` is the first one's row in the data set."""

    start: int
    shard: int
    offset: int
    vectors: StoredVectors


class Dataset:
    """The shards of one folder. Rows are numbered through all shards, in the order of the sources.

    Vectors are read from disk when they are used. An incomplete data set can be opened; it has the shards that are
    there. `digest_file` finds the digest of a file; a session's remembers those of files that have not changed. `first`
    is the position of its first row among all that a caller named.

    Opening raises DatasetError for a folder that `clipsim embed` did not write, and where a file is missing or has
    another size; every method raises it for a file whose content is not what was written. `remedy` says what helps
    where a vector is not of length 1.
    """

    remedy = REMEDY

    def __init__(self, folder: str | Path, digest_file: DigestFile = digest_file, *, first: int = 0) -> None:
        self.folder, self.digest_file, self.first = Path(folder), digest_file, first
        self._here = current_folder()
        self.info = read_dataset_info(self.folder)
        self._files: Files = self.info.files
        self.shards, self.rows = list(range(len(self.info.rows))), list(self.info.rows)
        if not self.info.complete:
            made = find_made(LocalFolder(str(self.folder)), self.info)
            self.shards, self.rows = list(made), [record.images for record in made.values()]
            self._files = {name: file_info for record in made.values() for name, file_info in record.files.items()}
        self._shard_indices = {shard: index for index, shard in enumerate(self.shards)}
        self.starts = [0, *np.cumsum(self.rows, dtype=np.int64).tolist()]
        self._read: dict[str, FileStamp] = {}
        for shard in self.shards:
            for name in shard_names(shard, with_captions=self.info.with_captions):
                self._stat(name)

    def __len__(self) -> int:
        """The number of vectors."""
        return int(self.starts[-1])

    def fingerprint(self, shards: int | None = None) -> str:
        """A digest of all vectors, or those of the first `shards` shards, for what is derived from them."""
        digests = [self._files[shard_name("img_emb", shard)].sha256 for shard in self.shards[:shards]]
        parts = [self.info.digest, self.info.precision, self.info.dtype, self.info.dimensions, digests]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def blocks(self, rows: int = BLOCK_ROWS, *, first_shard: int = 0) -> Iterator[Block]:
        """All vectors in order, in blocks of at most `rows`, each within one shard.

        They begin with the shard at the position `first_shard` among those that are there.
        """
        for shard, start in zip(self.shards[first_shard:], self.starts[first_shard:], strict=False):
            vectors = self.image_vectors(shard)
            for offset in range(0, len(vectors), rows):
                yield Block(start + offset, shard, offset, vectors[offset : offset + rows])

    def vectors(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """(n, d) float32: the vectors of n rows, in the order given."""
        vectors = np.empty((len(rows), self.info.dimensions), np.float32)
        for shard, start, indices in self._by_shard(rows):
            vectors[indices] = self.image_vectors(shard)[[rows[index] - start for index in indices]]
        return vectors

    def image_vectors(self, shard: int) -> StoredVectors:
        """(n, d) memory-mapped unit vectors of one shard."""
        return self._map("img_emb", shard)

    def text_vectors(self, shard: int) -> StoredVectors:
        """(n, d) memory-mapped vectors of one shard's captions. Raises DatasetError where there are none."""
        return self._map("text_emb", shard)

    def names(self, shard: int) -> list[str]:
        """The names of one shard's images, in the order of its vectors."""
        return [str(name) for name in self.columns(shard, ["image_path"])["image_path"]]

    def locate(self, name: str) -> str:
        """The path from the current folder of an image's name, which was relative to the folder it was embedded from.

        Absolute paths and addresses are returned as they are.
        """
        base = self.info.base
        if base is None or base == self._here or os.path.isabs(name) or "://" in name:  # noqa: PTH117 (of each row)
            return name
        return os.path.join(base, name)  # noqa: PTH118 (keeps ./)

    def columns(
        self, shard: int, columns: Sequence[str], positions: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Columns of one shard's metadata, as Python values, in the order of its vectors; or those at `positions`."""
        path, table = self.folder / shard_name("metadata", shard), self.metadata(shard, columns)
        try:
            values: dict[str, list[Any]] = {
                name: column.to_pylist() if positions is None else [column[row].as_py() for row in positions]
                for name, column in zip(table.column_names, table.columns, strict=True)
            }
        except Exception as error:  # pyarrow raises errors of many families for damaged files
            raise DatasetError(f"{printable(str(path))}: damaged: {printable(str(error), 120)}; {REMEDY}") from error
        rows = self.rows[self._shard_indices[shard]]
        if set(values) != set(columns) or table.num_rows != rows:
            raise DatasetError(f"{printable(str(path))}: damaged: not {rows:,} rows of {', '.join(columns)}; {REMEDY}")
        if "image_path" in values:
            values["image_path"] = [unescape_name(str(name)) for name in values["image_path"]]
        return values

    def metadata(self, shard: int, columns: Sequence[str] | None = None) -> Any:
        """Some or all columns of one shard's metadata, as a table of pyarrow; names that are not UTF-8 are escaped.

        Raises DatasetError where they are damaged.
        """
        parquet = import_parquet()
        path = self._check(shard_name("metadata", shard))
        try:
            with parquet.ParquetFile(path) as file:  # `read_table` would import pandas where that is installed
                return file.read(columns=None if columns is None else list(columns))
        except Exception as error:  # pyarrow raises errors of many families for damaged files
            raise DatasetError(f"{printable(str(path))}: damaged: {printable(str(error), 120)}; {REMEDY}") from error

    def column_names(self, shard: int) -> tuple[str, ...]:
        """The names of the columns of one shard's metadata. Raises DatasetError where it is damaged."""
        parquet = import_parquet()
        path = self._check(shard_name("metadata", shard))
        try:
            return tuple(parquet.read_schema(path).names)
        except Exception as error:  # pyarrow raises errors of many families for damaged files
            raise DatasetError(f"{printable(str(path))}: damaged: {printable(str(error), 120)}; {REMEDY}") from error

    def describe(self, rows: Sequence[int], columns: Sequence[str] = ("image_path",)) -> list[dict[str, Any]]:
        """The metadata of some rows, in the order given; each shard is read once."""
        records: list[dict[str, Any]] = [{}] * len(rows)
        for shard, start, indices in self._by_shard(rows):
            values = self.columns(shard, columns, [rows[index] - start for index in indices])
            for position, index in enumerate(indices):
                records[index] = {name: values[name][position] for name in columns}
        return records

    def _by_shard(self, rows: Sequence[int]) -> Iterator[tuple[int, int, list[int]]]:
        """The shards that hold some rows: number, first row, and the positions in `rows` of those it holds."""
        positions: dict[int, list[int]] = {}
        for position, row in enumerate(rows):
            if not 0 <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            positions.setdefault(int(np.searchsorted(self.starts, row, side="right")) - 1, []).append(position)
        for index in sorted(positions):
            yield self.shards[index], self.starts[index], positions[index]

    def require_unit_rows(self, first_shard: int = 0) -> None:
        """Read all vectors, as `blocks` does. Raises DatasetError for one whose length is not 1."""
        for block in self.blocks(first_shard=first_shard):
            for row in find_wrong_rows(block.vectors)[:1]:
                name = printable(self.names(block.shard)[block.offset + row])
                raise DatasetError(
                    f"{printable(str(self.folder))}: the vector of {name} is not of length 1; {self.remedy}"
                )

    def _map(self, kind: str, shard: int) -> StoredVectors:
        name = shard_name(kind, shard)
        if name not in self._files:
            raise DatasetError(f"{printable(str(self.folder))}: it has no {name}")
        path = self._check(name)
        shape, dtype = (self.rows[self._shard_indices[shard]], self.info.dimensions), numpy_dtype(self.info.dtype)
        try:
            vectors: StoredVectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # NumPy raises errors of many families for damaged headers
            cause = printable(str(error), 120)
            raise DatasetError(f"{printable(str(path))}: not an array of {shape} {dtype}: {cause}; {REMEDY}") from error
        if vectors.shape != shape or vectors.dtype != dtype:
            stored = f"{vectors.shape} {vectors.dtype}"
            raise DatasetError(f"{printable(str(path))}: not an array of {shape} {dtype}, but {stored}; {REMEDY}")
        return vectors

    def _stat(self, name: str) -> FileStamp:
        """The stamp of a file. Raises DatasetError where it is missing or has another size than was written."""
        path, recorded = self.folder / name, self._files.get(name)
        if recorded is None:
            raise DatasetError(f"{printable(str(self.folder))}: its {INFO_FILE} does not name {name}; {REMEDY}")
        try:
            stamp = FileStamp.of(path.stat())
        except FileNotFoundError as error:
            raise DatasetError(f"{printable(str(path))}: missing; {REMEDY}") from error
        except OSError as error:
            raise DatasetError(f"{printable(str(path))}: cannot read it: {error.strerror or error}") from error
        if stamp.size != recorded.bytes:
            raise DatasetError(
                f"{printable(str(path))}: damaged: {stamp.size:,} bytes, not {recorded.bytes:,}; {REMEDY}"
            )
        return stamp

    def _check(self, name: str) -> Path:
        """The path of a file whose content is what was written; it is read unless it has been since it changed."""
        path, stamp = self.folder / name, self._stat(name)
        if self._read.get(name) != stamp:
            check_digest(path, self._files[name], self.digest_file)
            self._read[name] = stamp
        return path


def check_digest(path: Path, recorded: FileInfo, digest: DigestFile) -> None:
    """Raise DatasetError where a file's content is not what was written."""
    try:
        actual = digest(path)
    except OSError as error:
        raise DatasetError(f"{printable(str(path))}: cannot read it: {error.strerror or error}") from error
    if actual != recorded.sha256:
        raise DatasetError(f"{printable(str(path))}: damaged: not the content that was written; {REMEDY}")


Accept = Callable[[str], bool]


def find_accepted(dataset: Dataset, accept: Accept, *, workers: int = 1) -> NDArray[np.bool_]:
    """(n,): which of a data set's rows have a name that `accept` takes."""

    def read(shard: int) -> list[bool]:
        return [accept(name) for name in dataset.names(shard)]

    with ThreadPoolExecutor(workers, "names") as pool:
        parts = [np.array(part, bool) for part in pool.map(read, dataset.shards)]
    return np.concatenate([np.zeros(0, bool), *parts])


def scan(
    dataset: Dataset,
    queries: Vectors,
    count: int,
    *,
    workers: int = 1,
    accepted: NDArray[np.bool_] | None = None,
    first_shard: int = 0,
) -> tuple[Nearest, int]:
    """The `count` nearest rows of each of (m, d) unit queries, and how many rows were compared.

    With `accepted`, (n,), only rows that it marks; rows of shards before the position `first_shard` are left out, and
    so are rows that are not unit vectors, which the result's `wrong` holds. A shard is mapped while it is read and no
    longer, so that memory does not grow with the number of shards. Raises DatasetError for a shard that is damaged.
    """

    def read(index: int) -> tuple[Nearest, int]:
        # of the shards that are merged, which are all before this one: an equal score of this one comes behind theirs
        nearest_rows = Nearest(len(queries), count, floor=nearest.scores[:, -1])
        shard, start = dataset.shards[index], dataset.starts[index]
        if accepted is None:
            vectors = dataset.image_vectors(shard)
            add_vectors(nearest_rows, queries, vectors, start)
            return nearest_rows, len(vectors)
        rows = np.flatnonzero(accepted[start : start + dataset.rows[index]])
        if len(rows):
            add_vectors(nearest_rows, queries, dataset.image_vectors(shard)[rows], 0)
            filled = nearest_rows.rows >= 0
            nearest_rows.rows[filled] = start + rows[nearest_rows.rows[filled]]
            nearest_rows.wrong = {start + int(rows[row]) for row in nearest_rows.wrong}
        return nearest_rows, len(rows)

    nearest, compared = Nearest(len(queries), count), 0
    with ThreadPoolExecutor(workers, "scan") as pool:
        for nearest_rows, rows in pool.map(read, range(first_shard, len(dataset.shards))):
            nearest.merge(nearest_rows)
            compared += rows
    return nearest, compared
