"""Queries and a collection whose vectors are known → the nearest images, as `Search` finds them among sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipsim.api.collection import Collection
from clipsim.api.search import Search, SearchRequest
from clipsim.embedding.encode import Outcome
from clipsim.embedding.session import Session
from clipsim.scoring.nearest import Nearest, add_vectors
from clipsim.scoring.search_records import SearchResult

BLOCK = 65_536  # vectors that are compared at a time


class CollectionSearch(Search):
    """A search that opens no image: `images` are the vectors of the request's own."""

    def __init__(
        self, session: Session, collection: Collection, request: SearchRequest, images: Sequence[Outcome]
    ) -> None:
        super().__init__(session, [], request)
        self._collection, self._images = collection, images

    def _embed_query_images(self) -> Sequence[Outcome]:
        return self._images

    def run(self) -> SearchResult:
        """Embed the queries and compare them. Raises what iterating over a `Search` raises."""
        collection = self._collection
        queries, failures = self._embed_queries()
        nearest = Nearest(len(queries), self._request.top)
        assert collection.vectors is not None
        for start in range(0, len(collection) if queries else 0, BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(collection)))
            own = [
                (place, int(row - start))
                for place, query in enumerate(queries)
                if query.digest is not None
                for row in rows
                if collection.digests[row] == query.digest
            ]
            vectors = np.stack([query.vector for query in queries])
            add_vectors(nearest, vectors, collection.vectors.take(rows), start, own)
        found = np.unique(nearest.rows[nearest.rows >= 0]).tolist() if queries else []
        names = {row: collection.sources[row].name for row in found}
        return self._collect(queries, nearest, names, len(collection), [*failures, *collection.errors])
