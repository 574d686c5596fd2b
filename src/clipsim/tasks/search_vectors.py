"""Queries and one place → their nearest vectors in it: sources as they are embedded, or a data set on disk."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector
from clipsim.engines.choice import usable_cores
from clipsim.errors import Failure
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import Source
from clipsim.store.dataset import Dataset, scan
from clipsim.store.index import open_index
from clipsim.store.layout import REMEDY
from clipsim.vectors.nearest import Nearest, add_vectors
from clipsim.vectors.similarity import Vectors, unit_rows

MAX_SCAN_THREADS = 8
WRONG_LENGTH = f"its vector in the data set is not of length 1; {REMEDY}"
SPARE_ANSWERS = 4  # that are found beyond those asked for, since an image of a query is left out of its own answer

Found = tuple[str, int | None]  # the name of an image, and its position among all that are searched


@dataclass(frozen=True, eq=False)
class Query:
    """One query: its `text` or the name of its `image`, and its unit vector; `path` and `digest` are its file's."""

    text: str | None
    image: str | None
    vector: Vectors
    path: str | None = None
    digest: bytes | None = None


class SourceSearch:
    """A search among sources. `start` begins to decode them before the queries are known."""

    def __init__(self, session: Embedder, sources: Sequence[Source]) -> None:
        self._session = session
        self._pipeline = session.open_pipeline(sources)

    def start(self) -> None:
        """Begin to decode."""
        self._pipeline.start()

    def close(self) -> None:
        """Drop what has been decoded."""
        self._pipeline.close()

    def run(
        self, queries: Sequence[Query], nearest: Nearest, names: dict[int, Found], first: int
    ) -> Generator[tuple[int, list[Failure]], None, None]:
        """Add what is found to `nearest` and `names`, its rows counted from `first`; a step a batch.

        A step is the number of its images and those that could not be used.
        """
        vectors = np.stack([query.vector for query in queries])
        start = first
        for batch in self._session.embed_images(self._pipeline):
            good = [outcome for outcome in batch if isinstance(outcome, ImageVector)]
            if good:
                features = unit_rows(np.stack([outcome.features for outcome in good]))
                add_vectors(nearest, vectors, features, start, _own_images(queries, good))
                names.update((start + place, (outcome.image, outcome.index)) for place, outcome in enumerate(good))
                if len(names) > 4 * nearest.rows.size:
                    _forget(names, nearest)
            start += len(good)
            yield len(batch), [outcome for outcome in batch if isinstance(outcome, Failure)]


class DatasetSearch:
    """A search in a data set of vectors, by its index where it has one; `notices` say what the caller should know.

    `failures` are images whose vectors are not of length 1, which only damage explains; they are not searched.
    With `chosen`, only among the images whose names it accepts, all of which are then compared.
    """

    def __init__(self, session: Embedder, dataset: Dataset, chosen: NameFilter | None = None) -> None:
        self._dataset, self._chosen = dataset, chosen
        self.failures: list[Failure] = []
        self._workers = min(MAX_SCAN_THREADS, session.run_options.workers or usable_cores())
        self._index, self.notices = (None, []) if chosen is not None else open_index(dataset)

    def run(self, queries: Sequence[Query], nearest: Nearest, names: dict[int, Found], first: int) -> int:
        """Add what is found to `nearest` and `names`, its rows counted from `first`; how many vectors were searched."""
        top = nearest.rows.shape[1]
        with_images = any(query.image is not None for query in queries)
        vectors = np.stack([query.vector for query in queries])
        count = top + (SPARE_ANSWERS if with_images else 0)
        while True:
            found, searched = self._find(vectors, count)
            described = self._describe(found, ["image_path", "sha256"] if with_images else ["image_path"])
            if not (with_images and self._leave_out(queries, found, described, top)):
                break
            count *= 4  # there are many copies of a query's image
        start = self._dataset.first
        names.update((first + row, (facts["image_path"], start + row)) for row, facts in described.items())
        wrong = sorted(found.wrong)
        self.failures = [
            Failure(self._dataset.locate(str(facts["image_path"])), WRONG_LENGTH, start + row)
            for row, facts in zip(wrong, self._dataset.describe(wrong), strict=True)
        ]
        found.rows[found.rows >= 0] += first
        nearest.merge(found)
        return searched - len(wrong)

    def _find(self, vectors: Vectors, count: int) -> tuple[Nearest, int]:
        dataset = self._dataset
        if self._index is not None:
            return self._index.find(vectors, count), len(dataset)
        accept = None if self._chosen is None else self._chosen.accepts
        return scan(dataset, vectors, count, workers=self._workers, accept=accept)

    def _describe(self, found: Nearest, columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        rows = np.unique(found.rows[found.rows >= 0]).tolist()
        described = self._dataset.describe(rows, columns)
        located = ({**facts, "image_path": self._dataset.locate(str(facts["image_path"]))} for facts in described)
        return dict(zip(rows, located, strict=True))

    def _leave_out(
        self, queries: Sequence[Query], found: Nearest, described: dict[int, dict[str, Any]], top: int
    ) -> bool:
        """Take images of the queries out of their own answers; whether some answer has become too short by it."""
        short = False
        for place, query in enumerate(queries):
            own = [row >= 0 and _is_own(query, described[int(row)]) for row in found.rows[place]]
            if any(own):
                short = short or (found.rows[place, -1] >= 0 and len(own) - sum(own) < top)
                found.remove(place, np.array(own))
        return short


def _own_images(queries: Sequence[Query], images: Sequence[ImageVector]) -> list[tuple[int, int]]:
    """The pairs of a query and an image of a batch that are the same file, by its path or its content."""
    asked = [(place, query) for place, query in enumerate(queries) if query.path or query.digest]
    return [
        (place, row)
        for place, query in asked
        for row, image in enumerate(images)
        if (query.digest is not None and query.digest == image.digest) or _same_path(query, image.image)
    ]


def _is_own(query: Query, facts: dict[str, Any]) -> bool:
    """Whether an image of a data set is the query's own."""
    same_bytes = query.digest is not None and facts["sha256"] == query.digest.hex()
    return same_bytes or _same_path(query, str(facts["image_path"]))


def _same_path(query: Query, name: str) -> bool:
    return query.path is not None and query.path == os.path.abspath(name)  # noqa: PTH100


def _forget(names: dict[int, Found], nearest: Nearest) -> None:
    """Drop the names of images that are no longer among the nearest of any query."""
    for row in names.keys() - set(nearest.rows.flat):
        del names[row]
