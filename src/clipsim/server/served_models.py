"""Requests of many clients → vectors and records: `ServedModel`, whose model they share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, TextFeatures, embed_images
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.preparation import Prepared
from clipsim.errors import DatasetError, Failure, ImageError, ServerError, printable
from clipsim.inputs.sources import Source, number_sources
from clipsim.inputs.texts import fill_templates
from clipsim.results.classifier import Classifier
from clipsim.results.search import SearchResult
from clipsim.server.following import FRESH_GROUP, MAX_FRESH, Listing, Stamps, update_collection
from clipsim.server.metrics import Metrics
from clipsim.server.model_thread import Check, ModelThread, Sentence, SentenceVector, Slots
from clipsim.server.recent_vectors import RecentCache, RecentValues
from clipsim.server.served_images import ServedImages
from clipsim.tasks.progress import ProgressCallback, ignore_progress
from clipsim.tasks.rank import TextVectors, join_vectors
from clipsim.tasks.saved_files import check_classifier
from clipsim.tasks.search import SearchRequest, find, make_queries
from clipsim.tasks.search_targets import EmbeddedCollection, check_models

MAX_TEXT_BYTES = 16_000_000  # of the vectors of texts that are kept, with the texts; as many of those in templates
MAX_IMAGE_BYTES = 32_000_000  # of the vectors of images that are kept
First = TypeVar("First")
Second = TypeVar("Second")


class BadImageError(ImageError):
    """An image of a request that cannot be used; `image` is its name and `index` its place among the images."""

    def __init__(self, image: str, index: int, cause: str) -> None:
        super().__init__(f"{printable(image)}: {cause}")
        self.image, self.index, self.cause = image, index, cause


class ServedModel:
    """A loaded model that answers the requests of many clients at once, each as it would be answered alone.

    `classifier` has the labels of requests without texts. `collection` is what clients may search, `unsearchable` why
    there is none; `indexing` counts the images that are there and cannot be searched yet. What a caller no longer waits
    for is not done: cancelling a call takes its work out of all queues. What requests send is kept in memory alone.
    """

    def __init__(self, embedder: Embedder, metrics: Metrics, classifier: Classifier | None = None) -> None:
        self.embedder, self._metrics, self.classifier = embedder, metrics, classifier
        self._texts: RecentValues[tuple[tuple[str, ...], tuple[str, ...]], TextVectors] = RecentValues(MAX_TEXT_BYTES)
        self._sentences: RecentValues[Sentence, SentenceVector] = RecentValues(MAX_TEXT_BYTES)
        self.context_length = 0  # of its texts, in tokens, once it is loaded
        self._preparing = 0
        self._decoding = Slots(embedder.workers)
        self._running: tuple[Pipeline, ModelThread] | None = None  # once the model is loaded
        self.collection: EmbeddedCollection | None = None
        self.unsearchable = "no images to search; start the server with PATHS"
        self.indexing = 0
        self._images = ServedImages([])
        self._stamps: Stamps = {}  # of the files that the collection was made of
        self._notices: list[str] = []

    def load(
        self,
        images: ServedImages,
        progress: ProgressCallback = ignore_progress,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the model, and embed what is to be searched; `on_end` is called where its thread ends by itself."""
        self.embedder.load_model()
        if self.classifier is not None:
            self._notices += check_classifier(self.classifier, self.embedder)
        self._images = images
        if images.targets:
            self._fill(images, progress)
        cache = None if self.embedder.cache is None else RecentCache(self.embedder.cache, MAX_IMAGE_BYTES)
        thread = ModelThread(
            self.embedder,
            metrics=self._metrics,
            expected=lambda: self._preparing,
            cache=cache,
            sentences=self._sentences,
            on_end=on_end,
        )
        self.context_length = self.embedder.encoder.tokenize(["a"], truncate=True).shape[1]
        self._running = self.embedder.open_pipeline((), cache=cache), thread

    def _fill(self, images: ServedImages, progress: ProgressCallback) -> None:
        try:
            self._notices += check_models(images.targets, self.embedder)
        except DatasetError as error:  # the vectors of another model, which may be served too
            self.unsearchable = str(error)
            return
        collection = EmbeddedCollection(self.embedder.facts.embed_dim)
        collection.fill(self.embedder, images.targets, progress)
        images.name(collection.sources)
        self.collection, self._stamps = collection, images.stamps

    async def follow(self, listing: Listing, pool: Executor) -> None:
        """Bring the collection up to date, with at most `MAX_FRESH` new or changed images at a time.

        They are encoded a few at a time, between requests. `pool` is for work that takes long.
        """
        if self._running is None or self.collection is None or self._stamps == listing.stamps:
            return
        loop, old, images, before = asyncio.get_running_loop(), self.collection, self._images, self._stamps
        waiting = listing.find_fresh(before)
        fresh = await loop.run_in_executor(pool, images.check, waiting[:MAX_FRESH])
        self.indexing = len(waiting)
        outcomes: list[Outcome] = []
        for start in range(0, len(fresh), FRESH_GROUP):
            prepared = await self._decode(fresh[start : start + FRESH_GROUP])
            outcomes += await self._running[1].call(partial(self._encode_served, prepared))
        now = listing.stamps_after(before, fresh)
        collection = await loop.run_in_executor(pool, update_collection, old, before, listing, now, outcomes)
        images.name(collection.sources)
        self.collection, self._stamps, self.indexing = collection, now, len(waiting) - len(fresh)

    def _encode_served(self, prepared: Sequence[Prepared], _: Check) -> list[Outcome]:
        """The vectors of served images, which are kept in the cache on disk."""
        embedder = self.embedder
        batches = embed_images(embedder.encoder, prepared, batch_size=embedder.batch_size, cache=embedder.cache)
        return [outcome for batch in batches for outcome in batch]

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of the data sets that are searched, as far as it is known."""
        return tuple(dict.fromkeys((*self.embedder.notices, *self._notices)))

    @property
    def loaded(self) -> bool:
        """True once the model is loaded."""
        return self._running is not None

    def _find_running(self) -> tuple[Pipeline, ModelThread]:
        """The pipeline and the thread of the model. Raises ServerError before it is loaded."""
        if self._running is None:
            raise ServerError("the model is being loaded")
        return self._running

    @property
    def ended(self) -> bool:
        """True once the model cannot compute any more."""
        return self._running is not None and not self._running[1].running

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the model."""
        return 0 if self._running is None else len(self._running[1])

    @property
    def image_bytes(self) -> int:
        """What a prepared image takes while it waits."""
        height, width = self.embedder.facts.preprocessing.size
        return height * width * 3

    async def embed(
        self, sources: Sequence[Source], texts: tuple[str, ...], templates: tuple[str, ...] = ()
    ) -> tuple[list[ImageVector], TextVectors]:
        """The vectors of images, in order, and of texts.

        Raises BadImageError for the first image that cannot be used, TextError.
        """
        return await _gather(self._embed_images(sources), self._embed_texts(texts, templates))

    async def embed_inputs(
        self, sources: Sequence[Source], texts: Sequence[str], *, truncate: bool | None
    ) -> tuple[list[ImageVector], list[SentenceVector]]:
        """The vectors of images and of texts without templates, in order; None truncates as the server was told to.

        Raises as `embed` does.
        """
        return await _gather(self._embed_images(sources), self._read_texts(texts, truncate))

    async def search(self, request: SearchRequest) -> SearchResult:
        """What `tasks.search.run` gives for a request, with the names that clients know. Raises as `embed` does."""
        outcomes, prompts = await self.embed(request.all_images, request.all_texts, request.templates)

        def compute(check: Check) -> SearchResult:
            queries = make_queries(request, prompts.vectors, outcomes)
            result = find(self.embedder, request, queries, lambda _: check(), notices=self._notices)
            return self._images.rename(result, [] if self.collection is None else self.collection.errors)

        return await self._find_running()[1].call(compute)

    def close(self, *, wait: bool = True) -> None:
        """Close the cache and remove what is temporary; with `wait`, once the batch that is computed has ended."""
        if self._running is not None:
            pipeline, thread = self._running
            pipeline.close()
            thread.close(wait=wait)
        if self.collection is not None:
            self.collection.close()
        self.embedder.close()

    async def _decode(self, sources: Sequence[Source]) -> list[Prepared]:
        pipeline, _ = self._find_running()
        futures = [asyncio.ensure_future(self._decoding.run(partial(pipeline.submit, source))) for source in sources]
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()

    async def _prepare(self, sources: Sequence[Source]) -> list[Prepared]:
        self._preparing += 1
        try:
            prepared = await self._decode(list(number_sources(sources)))
        finally:
            self._preparing -= 1
        for index, one in enumerate(prepared):
            if one.error is not None:
                raise BadImageError(one.name, index, str(one.error))
        return prepared

    async def _embed_images(self, sources: Sequence[Source]) -> list[ImageVector]:
        if not sources:
            return []
        prepared = await self._prepare(sources)
        cached = sum(one.features is not None for one in prepared)
        self._metrics.cached.inc(cached)
        self._metrics.computed.inc(len(prepared) - cached)
        outcomes = await self._find_running()[1].embed(prepared)
        good = []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Failure):
                raise BadImageError(outcome.image, index, outcome.error)
            good.append(outcome)
        return good

    async def _embed_texts(self, texts: tuple[str, ...], templates: tuple[str, ...]) -> TextVectors:
        if not texts:
            return TextVectors(np.zeros((0, self.embedder.facts.embed_dim), np.float32), ())
        key = (texts, templates)
        if (vectors := self._texts.get(key)) is not None:
            return vectors
        filled = [sentence for text in texts for sentence in fill_templates(text, templates)]
        read = await self._read_texts(filled)
        count = max(1, len(templates))
        features = np.stack([vector.features for vector in read]).reshape(len(texts), count, -1)
        starts = range(0, len(read), count)
        identities = tuple(b"".join(vector.identity for vector in read[start : start + count]) for start in starts)
        vectors = join_vectors([TextFeatures(features, identities)])
        self._texts.put(key, vectors, vectors.vectors.nbytes + 4 * sum(len(text) for texts in key for text in texts))
        return vectors

    async def _read_texts(self, texts: Sequence[str], truncate: bool | None = None) -> list[SentenceVector]:
        """The vectors of texts, from memory where all of them are there."""
        if truncate is None:
            truncate = self.embedder.run_options.truncate
        sentences = [Sentence(text, truncate) for text in texts]
        known = [vector for sentence in sentences if (vector := self._sentences.get(sentence)) is not None]
        if len(known) == len(sentences):
            return known
        return await self._find_running()[1].read(sentences)


async def _gather(images: Awaitable[First], texts: Awaitable[Second]) -> tuple[First, Second]:
    """What both give; where one fails, the other is cancelled."""
    futures = asyncio.ensure_future(images), asyncio.ensure_future(texts)
    try:
        return await asyncio.gather(*futures)
    finally:
        for future in futures:
            future.cancel()
