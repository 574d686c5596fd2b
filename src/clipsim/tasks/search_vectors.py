"""Queries and what is searched → their nearest vectors in it: images as they are embedded, data sets, collections."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.errors import Failure, printable
from clipsim.inputs.expand import identify_name
from clipsim.machine import usable_cores
from clipsim.store.dataset import Accept, Dataset, find_accepted, scan
from clipsim.store.index import VectorIndex, open_index
from clipsim.tasks.search_targets import EmbeddedCollection, VectorTarget
from clipsim.vectors.nearest import Nearest, add_vectors
from clipsim.vectors.similarity import Vectors, unit_rows

MAX_SCAN_THREADS = 8
COMPARED_ROWS = 65_536  # of a collection, at a time
FEW_ACCEPTED = 100_000  # of the rows of a data set, that are compared in a moment also where there is an index
VECTOR_ROWS = 8192  # of a caller's own, at a time: they are normalised first
NO_DIRECTION = "a vector that is not finite, or of length zero"
WRONG_LENGTH = "its vector in the data set is not of length 1"
SPARE_ANSWERS = 4  # that are found beyond those asked for, since an image of a query is not among its nearest


@dataclass(frozen=True, eq=False)
class Query:
    """One query: its `text` or the name of its `image`, and its unit vector; `path` and `digest` are its file's.

    With `combined`, the vector is not that of the text or the image alone.
    """

    text: str | None
    image: str | None
    vector: Vectors
    path: str | None = None
    digest: bytes | None = None
    combined: bool = False


@dataclass(frozen=True)
class OwnImage:
    """A row that is the image of a query itself: the same file, or another one with the same bytes."""

    row: int
    similarity: float
    same: Literal["file", "bytes"]


class NearestImages:
    """The `count` nearest images of each query, among those that have been added.

    `nearest` has their rows, counted over all targets, and their cosines; `images` the name and the index of each row.
    Images of the queries are not among the nearest of their own query: `own` has them, a list a query.
    `searched` is the number of images that were compared, `failures` are those that could not be, and `notices` say
    what the caller should know.
    """

    def __init__(self, queries: Sequence[Query], count: int) -> None:
        self.queries = queries
        self.vectors = np.array([query.vector for query in queries], np.float32)
        self.nearest = Nearest(len(queries), count)
        self.images: dict[int, tuple[str, int | None]] = {}
        self.own: list[list[OwnImage]] = [[] for _ in queries]
        self.searched = 0
        self.failures: list[Failure] = []
        self.notices: list[str] = []

    def add_sources(
        self, batches: Iterable[Sequence[Outcome]], first: int
    ) -> Generator[tuple[int, tuple[Failure, ...]], None, None]:
        """Consider images as they are embedded, their rows counted from `first`.

        Gives, a batch at a time, the number of its images and those that could not be used.
        """
        start = first
        for batch in batches:
            good = [outcome for outcome in batch if isinstance(outcome, ImageVector)]
            if good:
                features = unit_rows(np.stack([outcome.features for outcome in good]))
                own = _own_images(self.queries, good)
                add_vectors(self.nearest, self.vectors, features, start, own)
                for number, row in own:
                    self._add_own(number, start + row, features[row], good[row].image)
                self.images.update((row, (outcome.image, outcome.index)) for row, outcome in enumerate(good, start))
                if len(self.images) > 4 * self.nearest.rows.size:
                    self._forget()
            start += len(good)
            failures = tuple(outcome for outcome in batch if isinstance(outcome, Failure))
            self.searched += len(good)
            self.failures += failures
            yield len(batch), failures

    def add_collection(self, collection: EmbeddedCollection, first: int, check: Callable[[], None]) -> None:
        """Consider images with vectors in memory, their rows counted from `first`; call `check` before each block."""
        own_rows = _find_own_rows(self.queries, collection)
        for start in range(0, len(collection), COMPARED_ROWS):
            check()
            end = min(start + COMPARED_ROWS, len(collection))
            own = [(number, row - start) for number, row in own_rows if start <= row < end]
            rows = collection.vectors.take(np.arange(start, end))
            add_vectors(self.nearest, self.vectors, rows, first + start, own)
            for number, row in own:
                self._add_own(number, first + start + row, rows[row], collection.sources[start + row].name)
        for row in self._kept_rows(first):
            source = collection.sources[row - first]
            self.images[row] = source.name, source.index
        self.searched += len(collection)

    def add_vectors(self, target: VectorTarget, first: int, check: Callable[[], None]) -> tuple[Failure, ...]:
        """Consider vectors that a caller passed, their rows counted from `first`; call `check` before each block.

        Returns those that have no direction, which are left out.
        """
        own_rows = _find_named_rows(self.queries, target)
        failures: list[Failure] = []
        for start in range(0, len(target), VECTOR_ROWS):
            check()
            with np.errstate(invalid="ignore", over="ignore"):  # of vectors that are left out
                rows = unit_rows(target.vectors[start : start + VECTOR_ROWS])
            wrong = np.flatnonzero(~(np.abs(rows).max(axis=1) > 0)).tolist()
            own = [(number, row - start) for number, row in own_rows if start <= row < start + len(rows)]
            add_vectors(self.nearest, self.vectors, rows, first + start, own)
            for number, row in own:
                self._add_own(number, first + start + row, rows[row], target.name(start + row))
            failures += [Failure(target.name(start + row), NO_DIRECTION, start + row) for row in wrong]
        for row in self._kept_rows(first):
            self.images[row] = target.name(row - first), row - first
        self.searched += len(target) - len(failures)
        self.failures += failures
        return tuple(failures)

    def add_dataset(
        self, dataset: Dataset, first: int, workers: int | None, accept: Accept | None
    ) -> tuple[Failure, ...]:
        """Consider the images of a data set, their rows counted from `first`; by its index, where it has one.

        With `accept`, only images whose names it takes, which are all compared where they are few. Returns those whose
        vectors are not of length 1, which only damage explains; they are left out.
        """
        threads = min(MAX_SCAN_THREADS, workers or usable_cores())
        accepted = None if accept is None else find_accepted(dataset, accept, workers=threads)
        index = self._open_index(dataset, accepted)
        top = self.nearest.rows.shape[1]
        with_images = any(query.image is not None for query in self.queries)
        count = top + (SPARE_ANSWERS if with_images else 0)
        while True:
            if index is not None:
                nearest = index.find(self.vectors, count, accepted=accepted, workers=threads)
                searched = len(dataset) if accepted is None else int(accepted.sum())
            else:
                nearest, searched = scan(dataset, self.vectors, count, workers=threads, accepted=accepted)
            rows = sorted(set(nearest.rows[nearest.rows >= 0].tolist()))
            metadata = _read_metadata(dataset, rows, ["image_path", "sha256"] if with_images else ["image_path"])
            if not with_images:
                break
            own, short = _leave_out(self.queries, nearest, metadata, top)
            if not short:
                self._add_own_rows(dataset, own, metadata, first, accepted)
                break
            count *= 4  # there are many copies of a query's image
        for row, record in metadata.items():
            self.images[first + row] = record["image_path"], dataset.first + row
        failures = tuple(
            Failure(record["image_path"], f"{WRONG_LENGTH}; {dataset.remedy}", dataset.first + row)
            for row, record in _read_metadata(dataset, sorted(nearest.wrong), ["image_path"]).items()
        )
        nearest.rows[nearest.rows >= 0] += first
        self.nearest.merge(nearest)
        self.searched += searched - len(failures)
        self.failures += failures
        return failures

    def _open_index(self, dataset: Dataset, accepted: NDArray[np.bool_] | None) -> VectorIndex | None:
        """A data set's index, where it has one that can be used and there are more rows than are compared at once."""
        if accepted is not None and accepted.sum() <= FEW_ACCEPTED:
            return None
        index, notices = open_index(dataset)
        self.notices += notices
        if index is not None and accepted is not None:
            share = accepted.mean()
            self.notices.append(
                f"{printable(str(dataset.folder))}: the recall of its index was measured without filters of names and "
                f"dates, which leave {share:.1%} of the images; more lists are read in turn"
            )
        return index

    def _add_own(self, number: int, row: int, vector: Vectors, name: str) -> None:
        same: Literal["file", "bytes"] = "file" if _is_file(self.queries[number], name) else "bytes"
        self.own[number].append(OwnImage(row, float(vector @ self.vectors[number]), same))

    def _add_own_rows(
        self,
        dataset: Dataset,
        own: set[tuple[int, int]],
        metadata: dict[int, dict[str, Any]],
        first: int,
        accepted: NDArray[np.bool_] | None,
    ) -> None:
        """Add the images of queries that are rows of a data set; of combined queries also those that are not near."""
        combined = [(number, query) for number, query in enumerate(self.queries) if query.image and query.combined]
        for shard, start in zip(dataset.shards, dataset.starts, strict=False) if combined else ():
            columns = dataset.columns(shard, ["image_path", "sha256"])
            for row, (name, digest) in enumerate(zip(*columns.values(), strict=True), start):
                if accepted is None or accepted[row]:
                    record = {"image_path": dataset.locate(name), "sha256": digest}
                    numbers = [number for number, query in combined if _is_own(query, record)]
                    own.update((number, row) for number in numbers)
                    metadata.update({row: record} if numbers else {})
        ordered = sorted(own)
        for (number, row), vector in zip(ordered, dataset.vectors([row for _, row in ordered]), strict=True):
            self._add_own(number, first + row, vector, metadata[row]["image_path"])

    def _kept_rows(self, first: int = 0) -> list[int]:
        """The rows from `first` on that are among the nearest, or the own, of a query."""
        own = [match.row for matches in self.own for match in matches]
        return sorted(row for row in {*self.nearest.rows.ravel().tolist(), *own} if row >= first)

    def _forget(self) -> None:
        """Drop the images that are no longer among the nearest of any query."""
        for row in self.images.keys() - set(self._kept_rows()):
            del self.images[row]


def _read_metadata(dataset: Dataset, rows: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
    """The metadata of some rows of a data set, by the row; names are paths from the current folder."""
    records = dataset.describe(rows, columns)
    located = ({**record, "image_path": dataset.locate(str(record["image_path"]))} for record in records)
    return dict(zip(rows, located, strict=True))


def _leave_out(
    queries: Sequence[Query], nearest: Nearest, metadata: dict[int, dict[str, Any]], top: int
) -> tuple[set[tuple[int, int]], bool]:
    """Take images of the queries out of their nearest rows.

    Returns the pairs of a query and such a row, and whether some query has too few rows left.
    """
    pairs, short = set[tuple[int, int]](), False
    for number, query in enumerate(queries):
        own = [row >= 0 and _is_own(query, metadata[int(row)]) for row in nearest.rows[number]]
        if any(own):
            pairs.update((number, int(row)) for row in nearest.rows[number][own])
            short = short or (nearest.rows[number, -1] >= 0 and len(own) - sum(own) < top)
            nearest.remove(number, np.array(own))
    return pairs, short


def _find_own_rows(queries: Sequence[Query], collection: EmbeddedCollection) -> list[tuple[int, int]]:
    """The pairs of a query and a row of a collection that is its own image."""
    with_files = [(number, query) for number, query in enumerate(queries) if query.path or query.digest]
    by_path = any(query.path for _, query in with_files)
    return [
        (number, row)
        for row, (source, digest) in enumerate(zip(collection.sources, collection.digests, strict=True))
        for number, query in with_files
        if (query.digest is not None and query.digest == digest) or (by_path and _same_path(query, source.name))
    ]


def _find_named_rows(queries: Sequence[Query], target: VectorTarget) -> list[tuple[int, int]]:
    """The pairs of a query and a vector that is named like the file of its image."""
    if target.names is None or not any(query.path for query in queries):
        return []
    return [
        (number, row)
        for row, name in enumerate(target.names)
        for number, query in enumerate(queries)
        if _same_path(query, name)
    ]


def _own_images(queries: Sequence[Query], images: Sequence[ImageVector]) -> list[tuple[int, int]]:
    """The pairs of a query and an image of a batch that are the same file, by its path or its content."""
    with_files = [(number, query) for number, query in enumerate(queries) if query.path or query.digest]
    return [
        (number, row)
        for number, query in with_files
        for row, image in enumerate(images)
        if (query.digest is not None and query.digest == image.digest) or _same_path(query, image.image)
    ]


def _is_own(query: Query, record: dict[str, Any]) -> bool:
    """Whether an image of a data set is the query's own."""
    same_bytes = query.digest is not None and record["sha256"] == query.digest.hex()
    return same_bytes or _same_path(query, str(record["image_path"]))


def _same_path(query: Query, name: str) -> bool:
    return query.path is not None and query.path == os.path.abspath(name)  # noqa: PTH100


def _is_file(query: Query, name: str) -> bool:
    """Whether a name leads to the file of a query's image, also by another path."""
    return _same_path(query, name) or (query.path is not None and identify_name(query.path) == identify_name(name))
