"""Vectors → files of lists of near ones, by faiss (IVF, one byte a number): trained, filled, merged and opened on disk.

A part has the lists of consecutive vectors, numbered by their rows in the data set. All parts of an index have the same
centres, so that a part can be added to those that are there, and several be merged into one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from clipsim.errors import DatasetError, printable, requires
from clipsim.store.dataset import Dataset

PART_BYTES = 1 << 30  # of the lists of one part, which memory holds while it is filled
SPARE_BYTES = 1 << 24  # of the disk beyond the lists: the centres, and the numbers of the rows
TRAINING_ROWS = 48  # for each list
TRAINING_ROUNDS = 8
LISTS_SUFFIX = ".lists"  # of the file beside a merged part, which holds its lists


def import_faiss() -> Any:
    """The module faiss. Raises MissingPackageError without it."""
    with requires("search", "an index needs faiss"):
        import faiss
    return faiss


def choose_lists(vectors: int) -> int:
    """The number of lists for n vectors: the power of two nearest to 1.5 · √n, at most n / 32.

    >>> [choose_lists(n) for n in (1_000, 100_000, 1_000_000, 10_000_000)]
    [32, 512, 2048, 4096]
    """
    target = max(1.0, min(1.5 * vectors**0.5, vectors / 32))
    return int(2 ** round(np.log2(target)))


def train(dataset: Dataset) -> Any:
    """An index of faiss without vectors; its centres are trained on a sample of a data set."""
    faiss = import_faiss()
    lists = choose_lists(len(dataset))
    dimensions = dataset.info.dimensions
    centres = faiss.IndexFlatIP(dimensions)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(centres, dimensions, lists, kind, faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.cp.niter, index.cp.max_points_per_centroid = True, TRAINING_ROUNDS, TRAINING_ROWS
    index.cp.min_points_per_centroid = 1  # a warning of faiss is not one for users
    sample = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), lists * TRAINING_ROWS)).astype(np.int64))
    index.train(dataset.vectors(sample.tolist()))
    return index


def open_part(file: Path) -> Any:
    """A part whose lists stay on the disk. Raises RuntimeError for a damaged file; all its files have to be there."""
    faiss = import_faiss()
    index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    lists = faiss.downcast_InvertedLists(index.invlists)
    if getattr(lists, "filename", ""):
        # lists in a file of their own are left unread; faiss would find them itself, and print so on standard output
        lists.filename = str(file.with_suffix(LISTS_SUFFIX))
        lists.do_mmap()
    return index


def empty_copy(file: Path) -> Any:
    """An index with the centres of a part, and without vectors."""
    faiss = import_faiss()
    index = open_part(file)
    _replace_lists(index, faiss.ArrayInvertedLists(index.nlist, index.code_size), 0)
    return index


def write_parts(
    index: Any, dataset: Dataset, first_shard: int, folder: Path, on_rows: Callable[[int], None]
) -> Iterator[tuple[Path, int]]:
    """Put the vectors of a data set's shards from `first_shard` on into the lists of a trained index without vectors.

    Gives each part's file, in `folder`, and its number of vectors, as it is written; memory holds one part.
    `on_rows` is called with the number of vectors after each block. Raises DatasetError where it cannot be written.
    """
    done = 0
    for block in dataset.blocks(first_shard=first_shard):
        rows = np.arange(block.start, block.start + len(block.vectors), dtype=np.int64)
        index.add_with_ids(np.ascontiguousarray(block.vectors, np.float32), rows)
        done += len(rows)
        on_rows(done)
        if index.ntotal * index.code_size >= PART_BYTES:
            yield _write_part(index, folder), index.ntotal
            index.reset()
    if index.ntotal:
        yield _write_part(index, folder), index.ntotal
        index.reset()


def can_merge() -> bool:
    """Whether this build of faiss has lists that are written on the disk; that for Windows has none."""
    return hasattr(import_faiss(), "OnDiskInvertedLists")


def merge_parts(files: Sequence[Path], folder: Path) -> tuple[Path, Path]:
    """Write a part with the vectors of several parts, whose lists are copied on the disk; its two files in `folder`.

    Raises DatasetError where they cannot be written.
    """
    faiss = import_faiss()
    parts = [open_part(file) for file in files]
    merged = _new_file(folder)
    lists_file = merged.with_suffix(LISTS_SUFFIX)
    total = sum(part.ntotal for part in parts)
    needed = total * (parts[0].code_size + 8) + SPARE_BYTES
    if (free := shutil.disk_usage(folder).free) < needed:  # said before the copying, not after it
        raise DatasetError(
            f"{printable(str(folder))}: merging the index needs {needed / 1e9:,.1f} GB, and the disk has "
            f"{free / 1e9:,.1f}"
        )
    with _write_errors(merged):
        lists = faiss.OnDiskInvertedLists(parts[0].nlist, parts[0].code_size, str(lists_file))
        _write_lists(lists, [part.invlists for part in parts], lists_file)
        _replace_lists(parts[0], lists, total)
        faiss.write_index(parts[0], str(merged))
    return merged, lists_file


def _write_lists(lists: Any, parts: Sequence[Any], file: Path) -> None:
    """Write the joined lists of several parts as faiss lays them out on the disk: each one's codes, then its rows.

    `lists` becomes the table of them. faiss would copy them itself, and print so on standard output.
    """
    faiss = import_faiss()
    lists.lists.clear()
    with file.open("wb") as stream:
        for number in range(lists.nlist):
            one = faiss.OnDiskOneList()
            one.offset = stream.tell()
            filled = [(part, size) for part in parts if (size := part.list_size(number))]
            for part, size in filled:
                stream.write(faiss.rev_swig_ptr(part.get_codes(number), size * part.code_size))
            for part, size in filled:
                stream.write(faiss.rev_swig_ptr(part.get_ids(number), size))
            one.size = one.capacity = sum(size for _, size in filled)
            lists.lists.push_back(one)
        lists.totsize = stream.tell()


def _write_part(index: Any, folder: Path) -> Path:
    file = _new_file(folder)
    with _write_errors(file):
        import_faiss().write_index(index, str(file))
    return file


def _new_file(folder: Path) -> Path:
    return folder / f"ivf-{uuid4().hex}.faiss"


def _replace_lists(index: Any, lists: Any, vectors: int) -> None:
    """Give an index other lists, which it then owns."""
    index.replace_invlists(lists, True)
    lists.this.disown()
    index.ntotal = vectors


@contextmanager
def _write_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError, TypeError) as error:  # of faiss: the first, and the last for a name not in UTF-8
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{printable(str(file))}: cannot write the index: {printable(str(error), 120)}") from error
