"""Queries and a collection whose vectors are known → the nearest images, as `Search` finds them among sources."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np

from clipsim.api.collection import Collection
from clipsim.api.search import Search, SearchRequest
from clipsim.api.served_pictures import ServedPictures
from clipsim.embedding.encode import Outcome
from clipsim.embedding.session import Session
from clipsim.scoring.nearest import Nearest, add_vectors
from clipsim.scoring.search_records import SearchResult
from clipsim.scoring.similarity import Vectors

BLOCK = 65_536  # vectors that are compared at a time


class CollectionSearch(Search):
    """A search that opens no image: `images` and `texts` are the vectors of the request's own.

    Pictures have the names that `pictures` gives them.
    """

    def __init__(
        self,
        session: Session,
        collection: Collection,
        request: SearchRequest,
        images: Sequence[Outcome],
        texts: Vectors | None,
        pictures: ServedPictures,
    ) -> None:
        super().__init__(session, [], request)
        self._pictures = pictures
        self._collection, self._images, self._texts = collection, images, texts

    def _embed_texts(self, _: Sequence[str]) -> Vectors:
        assert self._texts is not None
        return self._texts

    def _embed_query_images(self) -> Sequence[Outcome]:
        return self._images

    def run(self, check: Callable[[], None]) -> SearchResult:
        """Compare the queries with the collection, calling `check` before each block.

        Raises what iterating over a `Search` raises.
        """
        collection = self._collection
        queries, failures = self._embed_queries()
        nearest = Nearest(len(queries), min(self._request.top, max(1, len(collection))))
        assert collection.vectors is not None
        digests = {query.digest for query in queries if query.digest is not None}
        same = [row for row, digest in enumerate(collection.digests) if digest in digests] if digests else []
        for start in range(0, len(collection) if queries else 0, BLOCK):
            check()
            rows = np.arange(start, min(start + BLOCK, len(collection)))
            own = [
                (place, row - start)
                for row in same[bisect_left(same, start) : bisect_left(same, start + BLOCK)]
                for place, query in enumerate(queries)
                if collection.digests[row] == query.digest
            ]
            vectors = np.stack([query.vector for query in queries])
            add_vectors(nearest, vectors, collection.vectors.take(rows), start, own)
        found = np.unique(nearest.rows[nearest.rows >= 0]).tolist() if queries else []
        sources = collection.sources
        names = {row: (self._pictures.shown(sources[row].name), sources[row].index) for row in found}
        errors, notices = self._pictures.failures(collection.errors)
        self.notices += notices
        return self._collect(queries, nearest, names, len(collection), [*failures, *errors])
