"""A data set of vectors ↔ an index beside it, which finds near vectors without comparing all (faiss: IVF).

The vectors are put into lists by the nearest of many centres, each as one byte a number. A search reads the lists of
the centres that are nearest to the query, and then compares the best candidates exactly, by the data set's own vectors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, MissingPackageError, printable, requires
from clipsim.files import digest_file
from clipsim.store.dataset import Dataset, check_digest
from clipsim.store.folders import Folder, LocalFolder
from clipsim.store.layout import FileInfo, from_sealed_json, to_sealed_json
from clipsim.vectors.nearest import Nearest, find_wrong_rows
from clipsim.vectors.similarity import Vectors

SCHEMA = "clipsim.ivf/1"
FOLDER = "index"
INFO_NAME = f"{FOLDER}/index.json"
CANDIDATES = 4  # compared exactly, for each result
MIN_CANDIDATES = 100
TRAINING_ROWS = 48  # for each list
TRAINING_ROUNDS = 8
_FILE_NAME = re.compile(r"ivf-[0-9a-f]+\.faiss")


@dataclass(frozen=True)
class IndexInfo:
    """What `index/index.json` says of the index in the file `file`, of `bytes` with the SHA-256 `sha256`.

    `fingerprint` is that of the vectors it was built from. A search reads `probes` of the `lists`. `recall_images` and
    `recall_texts` are the shares of the ten nearest vectors that it finds, by image and by text queries; None where
    there were no such queries.
    """

    kind: str
    fingerprint: str
    vectors: int
    lists: int
    probes: int
    file: str
    bytes: int
    sha256: str
    seconds: float
    recall_images: float | None = None
    recall_texts: float | None = None

    def to_json(self) -> str:
        """The text of `index.json`."""
        return to_sealed_json({"schema": SCHEMA, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> IndexInfo:
        """The record in the text of `index.json`. Raises ValueError for anything else."""
        record = from_sealed_json(text, SCHEMA)
        names = {field.name for field in fields(cls)}
        try:
            info = cls(**{key: value for key, value in record.items() if key in names})
        except TypeError as error:
            raise ValueError("not the record of an index") from error
        if not _FILE_NAME.fullmatch(info.file):
            raise ValueError("another file")
        return info


class VectorIndex:
    """An index that is open for searching; its lists stay on the disk."""

    def __init__(self, dataset: Dataset, index: Any, info: IndexInfo) -> None:
        self._dataset, self._index, self.info = dataset, index, info

    def find(self, queries: Vectors, count: int, probes: int | None = None) -> Nearest:
        """The `count` nearest rows of each of (m, d) unit queries, among the lists that are read."""
        candidate_count = min(max(CANDIDATES * count, MIN_CANDIDATES), len(self._dataset))
        faiss = _import_faiss()
        parameters = faiss.SearchParametersIVF(nprobe=probes or self.info.probes)
        _, candidates = self._index.search(np.ascontiguousarray(queries), candidate_count, params=parameters)
        return refine(self._dataset, queries, candidates, count)


def refine(dataset: Dataset, queries: Vectors, candidates: NDArray[np.int64], count: int) -> Nearest:
    """The `count` best of each query's (m, c) candidate rows (-1 for none), compared by the vectors themselves."""
    rows = np.unique(candidates[candidates >= 0])
    vectors = dataset.vectors(rows.tolist())
    nearest = Nearest(len(queries), count)
    if len(wrong := find_wrong_rows(vectors)):
        nearest.wrong.update(rows[wrong].tolist())
        candidates = np.where(np.isin(candidates, rows[wrong]), -1, candidates)
        rows, vectors = np.delete(rows, wrong), np.delete(vectors, wrong, axis=0)
    for query, candidate_rows in enumerate(candidates):
        indices = np.searchsorted(rows, np.sort(candidate_rows[candidate_rows >= 0]))
        nearest.consider(query, vectors[indices] @ queries[query], rows[indices])
    return nearest


def choose_lists(vectors: int) -> int:
    """The number of lists for n vectors: the power of two nearest to 1.5 · √n, at most n / 32.

    >>> [choose_lists(n) for n in (1_000, 100_000, 1_000_000, 10_000_000)]
    [32, 512, 2048, 4096]
    """
    target = max(1.0, min(1.5 * vectors**0.5, vectors / 32))
    return int(2 ** round(np.log2(target)))


def build_ivf(dataset: Dataset, file: Path, on_rows: Callable[[int], None] = lambda _: None) -> VectorIndex:
    """Train the centres on a sample, put all vectors into lists, and write them to `file`.

    `on_rows` is called with the number of vectors after each block. Memory is that of a sample and of the lists, one
    byte a number. Raises MissingPackageError without faiss, DatasetError for a damaged data set, and where the file
    cannot be written.
    """
    dataset.require_unit_rows()
    faiss = _import_faiss()
    begun = time.monotonic()
    lists = choose_lists(len(dataset))
    dimensions = dataset.info.dimensions
    centres = faiss.IndexFlatIP(dimensions)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(centres, dimensions, lists, kind, faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.max_points_per_centroid = True, TRAINING_ROUNDS, TRAINING_ROWS
    index.cp.min_points_per_centroid = 1  # a warning of faiss is not one for users
    sample = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), lists * TRAINING_ROWS)).astype(np.int64))
    index.train(dataset.vectors(sample.tolist()))
    for block in dataset.blocks():
        index.add(np.ascontiguousarray(block.vectors, np.float32))
        on_rows(block.start + len(block.vectors))
    try:
        faiss.write_index(index, str(file))
    except RuntimeError as error:  # faiss has no other
        raise DatasetError(f"{printable(str(file))}: cannot write the index: {printable(str(error), 120)}") from error
    info = IndexInfo(
        kind="ivf",
        fingerprint=dataset.fingerprint,
        vectors=len(dataset),
        lists=lists,
        probes=1,
        file=file.name,
        bytes=file.stat().st_size,
        sha256=digest_file(file),
        seconds=time.monotonic() - begun,
    )
    return VectorIndex(dataset, index, info)


def publish_index(dataset: Dataset, made: Path, info: IndexInfo) -> None:
    """Move a new index into the data set's folder, in place of an earlier one; its record is written last.

    The caller holds the folder's lock.
    """
    folder = LocalFolder(str(dataset.folder))
    folder.publish(made, f"{FOLDER}/{info.file}")
    folder.write(INFO_NAME, info.to_json().encode())
    for name in own_names(folder) - {INFO_NAME, f"{FOLDER}/{info.file}"}:
        folder.remove(name)


def own_names(folder: Folder) -> set[str]:
    """The names of the files of a folder's index, with those of one whose building was interrupted."""
    names = {f"{FOLDER}/{name}" for name in folder.list_names(FOLDER) if _FILE_NAME.fullmatch(name)}
    return names | ({INFO_NAME} if folder.read(INFO_NAME) is not None else set())


def remove_index(folder: Folder) -> bool:
    """Remove the index in a data set's folder, whose lock the caller holds; return whether there was one."""
    names = own_names(folder)
    for name in sorted(names, reverse=True):
        folder.remove(name)
    return bool(names)


def open_index(dataset: Dataset) -> tuple[VectorIndex | None, list[str]]:
    """A data set's index, None where none can be used; and notices of whether it is used, and why not."""
    label = printable(str(dataset.folder))
    again = f"'clipsim index {label}' builds a new one"
    damaged = [f"{label}: its index is damaged and is not used; {again}"]
    try:
        content = LocalFolder(str(dataset.folder)).read(INFO_NAME)
    except DatasetError as error:
        return None, [f"{label}: its index is not used: {error}"]
    if content is None:
        return None, [] if not own_names(LocalFolder(str(dataset.folder))) else damaged
    try:
        info = IndexInfo.from_json(content.decode())
    except ValueError:
        return None, [f"{label}: its index is damaged or of another version and is not used; {again}"]
    if info.fingerprint != dataset.fingerprint:
        return None, [f"{label}: its index was built from other vectors and is not used; {again}"]
    try:
        faiss = _import_faiss()
        file = dataset.folder / FOLDER / info.file
        check_digest(file, FileInfo(info.bytes, info.sha256), dataset.digest_file)
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        if (index.ntotal, index.d, index.nlist) != (len(dataset), dataset.info.dimensions, info.lists):
            return None, damaged
    except MissingPackageError as error:
        return None, [f"{label}: its index is not used: {error}"]
    except (RuntimeError, AttributeError):  # of which DatasetError is one
        return None, damaged
    return VectorIndex(dataset, index, info), [f"{label}: searched by its index, {_describe_recall(info)}"]


def _describe_recall(info: IndexInfo) -> str:
    shares = {"images": info.recall_images, "texts": info.recall_texts}
    phrases = [f"{share:.0%} for {name}" for name, share in shares.items() if share is not None]
    return f"which finds {' and '.join(phrases)} of the ten nearest" if phrases else "whose recall is not known"


def _import_faiss() -> Any:
    with requires("search", "an index needs faiss"):
        import faiss
    return faiss
