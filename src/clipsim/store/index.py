"""A data set of vectors ↔ an index beside it, which finds near vectors without comparing all.

The vectors are put into lists by the nearest of many centres, each as one byte a number. A search reads the lists of
the centres that are nearest to the query, and then compares the best candidates exactly, by the data set's own vectors.
Further shards of the data set become further parts of the index; until they do, a search compares all their vectors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DatasetError, MissingPackageError, printable
from clipsim.files import digest_file
from clipsim.store.dataset import Dataset, check_digest, scan
from clipsim.store.folders import SCRATCH, Folder, LocalFolder
from clipsim.store.ivf import can_merge, empty_copy, import_faiss, merge_parts, open_part, train, write_parts
from clipsim.store.layout import FileInfo, from_sealed_json, to_sealed_json
from clipsim.vectors.nearest import Nearest, find_wrong_rows
from clipsim.vectors.similarity import Vectors

SCHEMA = "clipsim.ivf/2"
FOLDER = "index"
INFO_NAME = f"{FOLDER}/index.json"
CANDIDATES = 4  # compared exactly, for each result
MIN_CANDIDATES = 100
REFINED_ROWS = 65_536  # candidates whose vectors are read at a time
MAX_PARTS = 8  # of an index; more are merged
_FILE_NAME = re.compile(r"ivf-[0-9a-f]+\.(faiss|lists)")

OnRows = Callable[[int], None]


@dataclass(frozen=True)
class IndexPart:
    """The lists of so many consecutive vectors; of its `files`, by their names, the first is opened."""

    vectors: int
    files: dict[str, FileInfo]

    @property
    def name(self) -> str:
        """The name of the file that is opened."""
        return next(iter(self.files))


@dataclass(frozen=True)
class IndexInfo:
    """What `index/index.json` says of the index in the files of `parts`, which are in the order of their rows.

    `fingerprint` is that of the first `shards` shards of the data set, whose `vectors` it has. Its centres were trained
    when there were `trained` vectors. A search reads `probes` of the `lists`. `recall_images` and `recall_texts` are
    the shares of the ten nearest vectors that it finds, by image and by text queries; None where there were no such
    queries.
    """

    kind: str
    fingerprint: str
    shards: int
    vectors: int
    trained: int
    lists: int
    probes: int
    parts: tuple[IndexPart, ...]
    seconds: float
    recall_images: float | None = None
    recall_texts: float | None = None

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for part in self.parts for file in part.files.values())

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
            parts = tuple(
                IndexPart(part["vectors"], {name: FileInfo(**file) for name, file in part["files"].items()})
                for part in record["parts"]
            )
        except (TypeError, LookupError, AttributeError) as error:
            raise ValueError("not the record of an index") from error
        if not parts or not all(part.files and all(map(_FILE_NAME.fullmatch, part.files)) for part in parts):
            raise ValueError("other files")
        return replace(info, parts=parts)


class VectorIndex:
    """An index that is open for searching, part by part; its lists stay on the disk."""

    def __init__(self, dataset: Dataset, parts: Sequence[Any], info: IndexInfo) -> None:
        self._dataset, self._parts, self.info = dataset, list(parts), info

    def find(
        self,
        queries: Vectors,
        count: int,
        probes: int | None = None,
        *,
        accepted: NDArray[np.bool_] | None = None,
        workers: int = 1,
    ) -> Nearest:
        """The `count` nearest rows of each of (m, d) unit queries, among the lists that are read.

        Rows of shards that are not in the index are all compared, by so many `workers`. With `accepted`, (n,), only
        rows that it marks are among the answers; as many more lists are read as there are fewer such rows in each.
        Further lists are read for a query where these have fewer than `count` rows.
        """
        probes, available = probes or self.info.probes, self.info.vectors
        selector = None
        if accepted is not None:
            available = int(accepted[: self.info.vectors].sum())
            share = max(available / self.info.vectors, 1 / self.info.lists)
            probes = min(self.info.lists, int(np.ceil(probes / share)))
            selector = import_faiss().IDSelectorBitmap(np.packbits(accepted, bitorder="little"))
        candidates = self._find_candidates(queries, count, min(count, available), probes, selector)
        nearest = refine(self._dataset, queries, candidates, count)
        if self.info.shards < len(self._dataset.shards):
            first = self.info.shards
            later, _ = scan(self._dataset, queries, count, workers=workers, accepted=accepted, first_shard=first)
            nearest.merge(later)
        return nearest

    def _find_candidates(
        self, queries: Vectors, count: int, least: int, probes: int, selector: Any
    ) -> NDArray[np.int64]:
        """(m, c): rows among which the `count` nearest are looked for, nearest first by the lists' bytes; -1 for none.

        For a query that has fewer than `least` of them, twice as many lists are read.
        """
        parameters = import_faiss().SearchParametersIVF(nprobe=probes, sel=selector)
        candidate_count = min(max(CANDIDATES * count, MIN_CANDIDATES), self.info.vectors)
        near = [part.search(np.ascontiguousarray(queries), candidate_count, params=parameters) for part in self._parts]
        scores, rows = (np.concatenate(arrays, axis=1) for arrays in zip(*near, strict=True))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :candidate_count]
        candidates: NDArray[np.int64] = np.take_along_axis(rows, best, axis=1)
        short = np.flatnonzero((candidates >= 0).sum(axis=1) < least)
        if len(short) and probes < self.info.lists:
            more = min(2 * probes, self.info.lists)
            candidates[short] = self._find_candidates(queries[short], count, least, more, selector)
        return candidates

    def close(self) -> None:
        """Let go of the files."""
        self._parts = []


def refine(dataset: Dataset, queries: Vectors, candidates: NDArray[np.int64], count: int) -> Nearest:
    """The `count` best of each query's (m, c) candidate rows (-1 for none), compared by the vectors themselves.

    Memory is that of the vectors of one query's candidates, or of `REFINED_ROWS` where that is more.
    """
    nearest = Nearest(len(queries), count)
    step = max(1, REFINED_ROWS // max(1, candidates.shape[1]))
    for start in range(0, len(queries), step):
        block = candidates[start : start + step]
        rows = np.unique(block[block >= 0])
        vectors = dataset.vectors(rows.tolist())
        if len(wrong := find_wrong_rows(vectors)):
            nearest.wrong.update(rows[wrong].tolist())
            block = np.where(np.isin(block, rows[wrong]), -1, block)
            rows, vectors = np.delete(rows, wrong), np.delete(vectors, wrong, axis=0)
        for query, candidate_rows in enumerate(block, start):
            indices = np.searchsorted(rows, np.sort(candidate_rows[candidate_rows >= 0]))
            nearest.consider(query, vectors[indices] @ queries[query], rows[indices])
    return nearest


def build_index(dataset: Dataset, folder: Path, on_rows: OnRows = lambda _: None) -> VectorIndex:
    """Train the centres on a sample, and put all vectors into lists in files in `folder`.

    `on_rows` is called with the number of vectors after each block. Memory is that of a sample and of one part. Raises
    MissingPackageError without faiss, DatasetError for a damaged data set, and where the files cannot be written.
    """
    dataset.require_unit_rows()
    begun = time.monotonic()
    trained = train(dataset)
    info = IndexInfo(
        kind="ivf",
        fingerprint="",
        shards=0,
        vectors=0,
        trained=len(dataset),
        lists=trained.nlist,
        probes=1,
        parts=(),
        seconds=0.0,
    )
    return _fill(dataset, trained, info, folder, begun, on_rows)


def extend_index(index: VectorIndex, dataset: Dataset, folder: Path, on_rows: OnRows = lambda _: None) -> VectorIndex:
    """Put the vectors of shards that an index lacks into its lists, as further parts, in files in `folder`.

    Its own files stay as they are. Raises as `build_index` does.
    """
    begun = time.monotonic()
    dataset.require_unit_rows(index.info.shards)
    empty = empty_copy(dataset.folder / FOLDER / index.info.parts[0].name)
    return _fill(dataset, empty, index.info, folder, begun, on_rows)


def _fill(dataset: Dataset, empty: Any, info: IndexInfo, folder: Path, begun: float, on_rows: OnRows) -> VectorIndex:
    """The index with the parts of `info` and those of the shards behind them; many small parts are merged."""
    parts = list(info.parts)
    for file, vectors in write_parts(empty, dataset, info.shards, folder, on_rows):
        parts.append(_describe_part([file], vectors))
    new = parts[len(info.parts) :]
    first = 0 if not info.parts and len(new) > 1 else choose_merged([part.vectors for part in parts])
    if len(parts) - first > 1 and can_merge():
        files = merge_parts([_locate(dataset, folder, part.name) for part in parts[first:]], folder)
        parts[first:] = [_describe_part(files, sum(part.vectors for part in parts[first:]))]
    info = replace(
        info,
        fingerprint=dataset.fingerprint(),
        shards=len(dataset.shards),
        vectors=len(dataset),
        parts=tuple(parts),
        seconds=time.monotonic() - begun,
    )
    return VectorIndex(dataset, [open_part(_locate(dataset, folder, part.name)) for part in parts], info)


def choose_merged(vectors: Sequence[int]) -> int:
    """The first of the parts with so many vectors that are to be merged, with all behind it; the last for none.

    Only more than eight parts are merged: from the first on that has no more vectors than those behind it together, so
    that a vector is written again only as often as the index has doubled since.

    >>> choose_merged([1000] + [50] * 7), choose_merged([1000] + [50] * 8), choose_merged([100] * 9)
    (7, 1, 0)
    """
    last = len(vectors) - 1
    if len(vectors) <= MAX_PARTS:
        return last
    return next((part for part in range(last) if vectors[part] <= sum(vectors[part + 1 :])), last - 1)


def _describe_part(files: Sequence[Path], vectors: int) -> IndexPart:
    return IndexPart(vectors, {file.name: FileInfo(file.stat().st_size, digest_file(file)) for file in files})


def _locate(dataset: Dataset, folder: Path, name: str) -> Path:
    """The file of a part that has just been made, in `folder`, or of one that was there before."""
    return folder / name if (folder / name).exists() else dataset.folder / FOLDER / name


def publish_index(dataset: Dataset, made: Path, info: IndexInfo) -> None:
    """Move the new files of an index from the folder `made` to those it keeps; its record is written last.

    Until then the earlier index is used; then the files that only it had are removed. The caller holds the folder's
    lock.
    """
    folder = LocalFolder(str(dataset.folder))
    names = [name for part in info.parts for name in part.files]
    for name in names:
        if (made / name).exists():
            folder.publish(made / name, f"{FOLDER}/{name}")
    folder.write(INFO_NAME, info.to_json().encode())
    remove_unused(folder, info)


def remove_unused(folder: Folder, info: IndexInfo) -> None:
    """Remove the files of earlier and of interrupted indexes in a data set's folder, whose lock the caller holds."""
    used = {f"{FOLDER}/{name}" for part in info.parts for name in part.files}
    for name in own_names(folder) - {INFO_NAME, *used}:
        folder.remove(name)


def remove_interrupted(folder: Folder) -> None:
    """Remove the temporary files of an index whose building was killed; the caller holds the folder's lock.

    Those of `clipsim embed`, which holds no lock on some systems, stay.
    """
    parent, _, prefix = SCRATCH.partition("/")
    for name in folder.list_names(parent):
        if name.startswith(prefix) and any(map(_FILE_NAME.fullmatch, folder.list_names(f"{parent}/{name}"))):
            folder.remove(f"{parent}/{name}")


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


def load_index(dataset: Dataset) -> tuple[VectorIndex | None, str | None]:
    """A data set's index, which may lack its last shards; or None, and what is wrong with one that is there.

    What is wrong continues the words "its index". Raises MissingPackageError without faiss, DatasetError where the
    index cannot be read.
    """
    folder = LocalFolder(str(dataset.folder))
    content = folder.read(INFO_NAME)
    if content is None:
        return None, "is damaged" if own_names(folder) else None
    try:
        info = IndexInfo.from_json(content.decode())
    except ValueError:
        return None, "is damaged or of another version"
    if info.fingerprint != dataset.fingerprint(info.shards):
        return None, "was built from other vectors"
    import_faiss()
    try:
        for part in info.parts:
            for name, file in part.files.items():
                check_digest(dataset.folder / FOLDER / name, file, dataset.digest_file)
        parts = [open_part(dataset.folder / FOLDER / part.name) for part in info.parts]
        sizes = [(part.ntotal, part.d, part.nlist) for part in parts]
    except (RuntimeError, AttributeError, TypeError):  # DatasetError is of the first; the last, a name not in UTF-8
        if folder.read(INFO_NAME) not in (None, content):
            return load_index(dataset)  # another process has replaced it, and removed the files of the earlier one
        return None, "is damaged"
    recorded = [(part.vectors, dataset.info.dimensions, info.lists) for part in info.parts]
    if sizes != recorded or info.vectors != dataset.starts[info.shards]:
        return None, "is damaged"
    return VectorIndex(dataset, parts, info), None


def open_index(dataset: Dataset) -> tuple[VectorIndex | None, list[str]]:
    """A data set's index, None where none can be used; and notices of whether it is used, and why not."""
    label = printable(str(dataset.folder))
    try:
        index, fault = load_index(dataset)
    except (DatasetError, MissingPackageError) as error:
        return None, [f"{label}: its index is not used: {error}"]
    if index is None:
        notice = f"{label}: its index {fault} and is not used; 'clipsim index {label}' builds a new one"
        return None, [] if fault is None else [notice]
    notices = [f"{label}: searched by its index, {_describe_recall(index.info)}"]
    if later := len(dataset) - index.info.vectors:
        notices.append(
            f"{label}: {later:,} vectors that its index lacks are all compared; 'clipsim index {label}' adds them"
        )
    return index, notices


def _describe_recall(info: IndexInfo) -> str:
    shares = {"images": info.recall_images, "texts": info.recall_texts}
    phrases = [f"{share:.1%} for {name}" for name, share in shares.items() if share is not None]
    return f"which finds {' and '.join(phrases)} of the ten nearest" if phrases else "whose recall is not known"
