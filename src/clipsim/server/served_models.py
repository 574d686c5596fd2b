"""Requests of many clients → records: `ServedModel`, a session whose model they share."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from clipsim.cache.vectors import RecentArrays, RecentCache
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, embed_texts
from clipsim.embedding.pipeline import Pipeline, Prepared, default_workers
from clipsim.engines.encoder import Encoder, Features, Tokens
from clipsim.errors import DatasetError, Failure, ImageError, printable
from clipsim.inputs.sources import Source, number_sources
from clipsim.results.rank import ImageScores, RankResult
from clipsim.results.search import SearchResult
from clipsim.server.batching import Check, ModelThread
from clipsim.server.served_images import ServedPictures
from clipsim.tasks.rank import (
    RankRequest,
    TextVectors,
    join_vectors,
    make_result,
    merge_alike,
    notices_of,
    score_batch,
)
from clipsim.tasks.search import Search, SearchRequest
from clipsim.tasks.search_targets import Collection, check_models
from clipsim.vectors.nearest import Nearest, add_vectors
from clipsim.vectors.similarity import Vectors, unit_rows

MAX_TEXT_BYTES = 32_000_000  # of the vectors of texts that are kept, with the texts
MAX_IMAGE_BYTES = 32_000_000  # of the vectors of pictures that are kept
Made = TypeVar("Made")


class BadImageError(ImageError):
    """A picture of a request that cannot be used; `image` is its name and `index` its place among the pictures."""

    def __init__(self, image: str, index: int, cause: str) -> None:
        super().__init__(f"{printable(image)}: {cause}")
        self.image, self.index = image, index


@dataclass
class Watch:
    """What a server counts: called with the pictures of each batch, and with cached and all pictures of a request."""

    on_batch: Callable[[int], None]
    on_lookup: Callable[[int, int], None]


class Slots:
    """Places in a pool of threads, so that what waits for one waits where it can be cancelled.

    A pool keeps what was submitted, pictures and all, until a thread comes to it, also where it was cancelled.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def run(self, submit: Callable[[], Future[Made]]) -> Made:
        """Submit, once a thread is free, and wait for the result."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()

        def release(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._free.release)

        try:
            future = submit()
        except BaseException:
            self._free.release()
            raise
        future.add_done_callback(release)  # not when the caller goes: the thread is busy until it ends
        return await asyncio.wrap_future(future)


class ServedModel:
    """A loaded model that answers the requests of many clients at once, each as it would be answered alone.

    `collection` is what clients may search, `unsearchable` why there is none. What a caller no longer waits for is
    not done: cancelling a call takes its work out of all queues. What requests send is kept in memory alone.
    """

    def __init__(self, session: Embedder, watch: Watch) -> None:
        self.session, self._watch = session, watch
        self._pipeline: Pipeline | None = None
        self._texts: RecentArrays[tuple[tuple[str, ...], tuple[str, ...]], TextVectors] = RecentArrays(MAX_TEXT_BYTES)
        self._preparing = 0
        self._decoding = Slots(session.run_options.workers or default_workers())
        self._thread: ModelThread | None = None
        self.collection: Collection | None = None
        self.unsearchable = "no pictures to search are served; start the server with PATHS"
        self._pictures = ServedPictures([])
        self._notices: list[str] = []

    def load(self, pictures: ServedPictures, on_progress: Callable[[str, int, int], None] | None = None) -> None:
        """Load the model, and embed what is to be searched."""
        self.session.load_model()
        self._pictures = pictures
        if pictures.places:
            self._fill(pictures, on_progress)
        cache = None if self.session.cache is None else RecentCache(self.session.cache, MAX_IMAGE_BYTES)
        self._pipeline = self.session.open_pipeline((), cache=cache)
        self._thread = ModelThread(
            self.session,
            on_batch=self._watch.on_batch,
            expected=lambda: self._preparing,
            cache=cache,
        )

    def _fill(self, pictures: ServedPictures, on_progress: Callable[[str, int, int], None] | None) -> None:
        try:
            self._notices = check_models(pictures.places, self.session)
        except DatasetError as error:  # the vectors of another model, which may be served too
            self.unsearchable = str(error)
            return
        collection = Collection()
        for progress in collection.fill(self.session, pictures.places):
            if on_progress is not None:
                on_progress(progress.what, progress.done, progress.total)
        pictures.name(collection.sources)
        self.collection = collection

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of the data sets that are searched, as far as it is known."""
        return tuple(dict.fromkeys((*self.session.notices, *self._notices)))

    @property
    def loaded(self) -> bool:
        """Whether it answers."""
        return self._thread is not None

    @property
    def thread(self) -> ModelThread:
        """The thread of the loaded model."""
        assert self._thread is not None
        return self._thread

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the model."""
        return 0 if self._thread is None else len(self._thread)

    @property
    def picture_bytes(self) -> int:
        """What a prepared picture takes while it waits."""
        height, width = self.session.encoder.preprocessing.size
        return height * width * 3

    async def rank(self, sources: Sequence[Source], request: RankRequest) -> Callable[[], RankResult]:
        """Embed what is asked for; gives a function that makes of it what `Session.rank` returns.

        Raises BadImageError for the first picture that cannot be used, TextError.
        """
        images = asyncio.ensure_future(self._embed_images(sources))
        texts = asyncio.ensure_future(self._embed_texts(request.texts, request.templates))
        try:
            outcomes, prompts = await asyncio.gather(images, texts)
        finally:  # where one fails, the other is not needed
            images.cancel()
            texts.cancel()
        encoder = self.session.encoder
        merged, notices = merge_alike(request, prompts)

        def make() -> RankResult:
            scored = score_batch(encoder, prompts.vectors[prompts.distinct], outcomes)
            scores = [outcome for outcome in scored if isinstance(outcome, ImageScores)]
            said = [*notices_of(encoder, merged), *notices]
            return make_result(self.session, merged, scored, scores, notices=said)

        return make

    async def embed(self, sources: Sequence[Source], texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """(n, d) and (m, d) unit vectors of pictures and of texts. Raises as `rank` does."""
        images: Vectors = np.zeros((0, self.session.encoder.embed_dim), np.float32)
        prompts = images
        if sources:
            outcomes = await self._embed_images(sources)
            images = unit_rows(np.stack([outcome.features for outcome in outcomes]))
        if texts:
            prompts = (await self._embed_texts(tuple(texts), ())).vectors
        return images, prompts

    async def search(self, request: SearchRequest) -> SearchResult:
        """What `Session.search` returns, among the collection. Raises as `rank` does."""
        assert self.collection is not None
        outcomes = await self._embed_images(request.images) if request.images else []
        texts = (*request.texts, *request.plus, *request.minus)
        vectors = (await self._embed_texts(texts, request.templates)).vectors if texts else None
        search = CollectionSearch(self.session, self.collection, request, outcomes, vectors, self._pictures)
        search.notices += self._notices
        return await asyncio.wrap_future(self.thread.call(search.run))

    def close(self, *, wait: bool = True) -> None:
        """Close the cache and remove what is temporary; with `wait`, once the batch that is computed has ended."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._thread is not None:
            self._thread.close(wait=wait)
        if self.collection is not None:
            self.collection.close()
        self.session.close()

    async def _prepare(self, sources: Sequence[Source]) -> list[Prepared]:
        assert self._pipeline is not None
        self._preparing += 1
        submit = self._pipeline.submit
        futures = [
            asyncio.ensure_future(self._decoding.run(partial(submit, source))) for source in number_sources(sources)
        ]
        try:
            prepared = await asyncio.gather(*futures)
        finally:
            self._preparing -= 1
            for future in futures:
                future.cancel()
        for index, one in enumerate(prepared):
            if one.error is not None:
                raise BadImageError(one.name, index, str(one.error))
        return prepared

    async def _embed_images(self, sources: Sequence[Source]) -> list[ImageVector]:
        prepared = await self._prepare(sources)
        self._watch.on_lookup(sum(one.features is not None for one in prepared), len(prepared))
        outcomes: list[Outcome] = await asyncio.wrap_future(self.thread.embed(prepared))
        good = []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Failure):
                raise BadImageError(outcome.image, index, outcome.error)
            good.append(outcome)
        return good

    async def _embed_texts(self, texts: tuple[str, ...], templates: tuple[str, ...]) -> TextVectors:
        key = (texts, templates)
        if (known := self._texts.get(key)) is not None:
            return known
        return await asyncio.wrap_future(self.thread.call(lambda check: self._compute_texts(key, check)))

    def _compute_texts(self, key: tuple[tuple[str, ...], tuple[str, ...]], check: Check) -> TextVectors:
        if (known := self._texts.get(key)) is not None:  # by a request just before
            return known
        session = self.session
        blocks = embed_texts(
            _CheckedEncoder(session.encoder, check),
            *key,
            batch_size=session.batch_size,
            truncate=session.run_options.truncate,
        )
        vectors = join_vectors(blocks)
        self._texts.put(key, vectors, 4 * sum(len(text) for texts in key for text in texts))
        return vectors


class _CheckedEncoder:
    """A model of which a batch of texts may be its last."""

    def __init__(self, encoder: Encoder, check: Check) -> None:
        self._encoder, self._check = encoder, check

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        return self._encoder.tokenize(texts, truncate=truncate)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        self._check()
        return self._encoder.encode_texts(texts, truncate=truncate)


BLOCK = 65_536  # vectors that are compared at a time


class CollectionSearch(Search):
    """A search that opens no image: `images` and `texts` are the vectors of the request's own.

    Pictures have the names that `pictures` gives them.
    """

    def __init__(
        self,
        session: Embedder,
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
