"""Queries and what is searched → their nearest vectors in it: images as they are embedded, data sets, collections."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipsim.embedding.encode import ImageVector, Outcome
from clipsim.engines.choice import usable_cores
from clipsim.errors import Failure
from clipsim.inputs.paths import NameFilter
from clipsim.store.dataset import Dataset, scan
from clipsim.store.index import open_index
from clipsim.store.layout import REMEDY
from clipsim.tasks.search_targets import EmbeddedCollection
from clipsim.vectors.nearest import Nearest, add_vectors
from clipsim.vectors.similarity import Vectors, unit_rows

MAX_SCAN_THREADS = 8
COMPARED_ROWS = 65_536  # of a collection, at a time
WRONG_LENGTH = f"its vector in the data set is not of length 1; {REMEDY}"
SPARE_ANSWERS = 4  # that are found beyond those asked for, since an image of a query is left out of its own answer


@dataclass(frozen=True, eq=False)
class Query:
    """One query: its `text` or the name of its `image`, and its unit vector; `path` and `digest` are its file's."""

    text: str | None
    image: str | None
    vector: Vectors
    path: str | None = None
    digest: bytes | None = None


class NearestImages:
    """The `count` nearest images of each query, among those that have been added.

    `nearest` has their rows, counted over all targets, and their cosines; `images` the name and the index of each row.
    `searched` is the number of images that were compared, `failures` are those that could not be, and `notices` say
    what the caller should know.
    """

    def __init__(self, queries: Sequence[Query], count: int) -> None:
        self.queries = queries
        self.vectors = np.array([query.vector for query in queries], np.float32)
        self.nearest = Nearest(len(queries), count)
        self.images: dict[int, tuple[str, int | None]] = {}
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
                add_vectors(self.nearest, self.vectors, features, start, _own_images(self.queries, good))
                self.images.update((row, (outcome.image, outcome.index)) for row, outcome in enumerate(good, start))
                if len(self.images) > 4 * self.nearest.rows.size:
                    self._forget()
            start += len(good)
            failures = tuple(outcome for outcome in batch if isinstance(outcome, Failure))
            self.searched += len(good)
            self.failures += failures
            yield len(batch), failures

    def add_collection(self, collection: EmbeddedCollection, first: int, check: Callable[[], None]) -> None:
        """Consider images whose vectors are in memory, their rows counted from `first`; call `check` before each block.

        An image with the content of a query's is left out of its answer.
        """
        digests = {query.digest for query in self.queries if query.digest is not None}
        same = [row for row, digest in enumerate(collection.digests) if digest in digests] if digests else []
        for start in range(0, len(collection), COMPARED_ROWS):
            check()
            end = min(start + COMPARED_ROWS, len(collection))
            own = [
                (number, row - start)
                for row in same[bisect_left(same, start) : bisect_left(same, end)]
                for number, query in enumerate(self.queries)
                if collection.digests[row] == query.digest
            ]
            rows = collection.vectors.take(np.arange(start, end))
            add_vectors(self.nearest, self.vectors, rows, first + start, own)
        for row in np.unique(self.nearest.rows[self.nearest.rows >= first]).tolist():
            source = collection.sources[row - first]
            self.images[row] = source.name, source.index
        self.searched += len(collection)

    def add_dataset(
        self, dataset: Dataset, first: int, workers: int | None, chosen: NameFilter | None
    ) -> tuple[Failure, ...]:
        """Consider the images of a data set, their rows counted from `first`; by its index, where it has one.

        With `chosen`, all images whose names it accepts are compared instead. Returns those whose vectors are not of
        length 1, which only damage explains; they are left out.
        """
        index, notices = (None, []) if chosen is not None else open_index(dataset)
        self.notices += notices
        top = self.nearest.rows.shape[1]
        with_images = any(query.image is not None for query in self.queries)
        count = top + (SPARE_ANSWERS if with_images else 0)
        while True:
            if index is not None:
                nearest, searched = index.find(self.vectors, count), len(dataset)
            else:
                threads = min(MAX_SCAN_THREADS, workers or usable_cores())
                accept = None if chosen is None else chosen.accepts
                nearest, searched = scan(dataset, self.vectors, count, workers=threads, accept=accept)
            rows = np.unique(nearest.rows[nearest.rows >= 0]).tolist()
            metadata = _read_metadata(dataset, rows, ["image_path", "sha256"] if with_images else ["image_path"])
            if not (with_images and _leave_out(self.queries, nearest, metadata, top)):
                break
            count *= 4  # there are many copies of a query's image
        for row, record in metadata.items():
            self.images[first + row] = record["image_path"], dataset.first + row
        failures = tuple(
            Failure(record["image_path"], WRONG_LENGTH, dataset.first + row)
            for row, record in _read_metadata(dataset, sorted(nearest.wrong), ["image_path"]).items()
        )
        nearest.rows[nearest.rows >= 0] += first
        self.nearest.merge(nearest)
        self.searched += searched - len(failures)
        self.failures += failures
        return failures

    def _forget(self) -> None:
        """Drop the images that are no longer among the nearest of any query."""
        for row in self.images.keys() - set(self.nearest.rows.flat):
            del self.images[row]


def _read_metadata(dataset: Dataset, rows: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
    """The metadata of some rows of a data set, by the row; names are paths from the current folder."""
    records = dataset.describe(rows, columns)
    located = ({**record, "image_path": dataset.locate(str(record["image_path"]))} for record in records)
    return dict(zip(rows, located, strict=True))


def _leave_out(queries: Sequence[Query], nearest: Nearest, metadata: dict[int, dict[str, Any]], top: int) -> bool:
    """Take images of the queries out of their own answers; whether some answer has become too short by it."""
    short = False
    for number, query in enumerate(queries):
        own = [row >= 0 and _is_own(query, metadata[int(row)]) for row in nearest.rows[number]]
        if any(own):
            short = short or (nearest.rows[number, -1] >= 0 and len(own) - sum(own) < top)
            nearest.remove(number, np.array(own))
    return short


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
