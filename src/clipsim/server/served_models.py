"""Requests of many clients → records: `ServedModel`, an embedder whose model they share."""

from __future__ import annotations

import asyncio
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
from clipsim.embedding.pipeline import Pipeline, Prepared
from clipsim.engines.encoder import Encoder, Features, Tokens
from clipsim.errors import DatasetError, Failure, ImageError, printable
from clipsim.inputs.sources import Source, number_sources
from clipsim.results.search import SearchResult
from clipsim.server.batching import Check, ModelThread
from clipsim.server.served_images import ServedImages
from clipsim.tasks.progress import ProgressCallback, ignore_progress
from clipsim.tasks.rank import TextVectors, join_vectors
from clipsim.tasks.search import SearchRequest, find, make_queries
from clipsim.tasks.search_targets import EmbeddedCollection, check_models

MAX_TEXT_BYTES = 32_000_000  # of the vectors of texts that are kept, with the texts
MAX_IMAGE_BYTES = 32_000_000  # of the vectors of images that are kept
Made = TypeVar("Made")


class BadImageError(ImageError):
    """An image of a request that cannot be used; `image` is its name and `index` its place among the images."""

    def __init__(self, image: str, index: int, cause: str) -> None:
        super().__init__(f"{printable(image)}: {cause}")
        self.image, self.index = image, index


@dataclass
class ServerHooks:
    """What a server counts: called with the images of each batch, and with cached and all images of a request."""

    on_batch: Callable[[int], None]
    on_lookup: Callable[[int, int], None]


class Slots:
    """Places in a pool of threads, so that what waits for one waits where it can be cancelled.

    A pool keeps what was submitted, images and all, until a thread comes to it, also where it was cancelled.
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

    def __init__(self, embedder: Embedder, hooks: ServerHooks) -> None:
        self.embedder, self._hooks = embedder, hooks
        self._pipeline: Pipeline | None = None
        self._texts: RecentArrays[tuple[tuple[str, ...], tuple[str, ...]], TextVectors] = RecentArrays(MAX_TEXT_BYTES)
        self._preparing = 0
        self._decoding = Slots(embedder.workers)
        self._thread: ModelThread | None = None
        self.collection: EmbeddedCollection | None = None
        self.unsearchable = "no images to search; start the server with PATHS"
        self._images = ServedImages([])
        self._notices: list[str] = []

    def load(self, images: ServedImages, progress: ProgressCallback = ignore_progress) -> None:
        """Load the model, and embed what is to be searched."""
        self.embedder.load_model()
        self._images = images
        if images.targets:
            self._fill(images, progress)
        cache = None if self.embedder.cache is None else RecentCache(self.embedder.cache, MAX_IMAGE_BYTES)
        self._pipeline = self.embedder.open_pipeline((), cache=cache)
        self._thread = ModelThread(
            self.embedder,
            on_batch=self._hooks.on_batch,
            expected=lambda: self._preparing,
            cache=cache,
        )

    def _fill(self, images: ServedImages, progress: ProgressCallback) -> None:
        try:
            self._notices = check_models(images.targets, self.embedder)
        except DatasetError as error:  # the vectors of another model, which may be served too
            self.unsearchable = str(error)
            return
        collection = EmbeddedCollection(self.embedder.facts.embed_dim)
        collection.fill(self.embedder, images.targets, progress)
        images.name(collection.sources)
        self.collection = collection

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of the data sets that are searched, as far as it is known."""
        return tuple(dict.fromkeys((*self.embedder.notices, *self._notices)))

    @property
    def loaded(self) -> bool:
        """True once the model is loaded."""
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
        images = asyncio.ensure_future(self._embed_images(sources))
        prompts = asyncio.ensure_future(self._embed_texts(texts, templates))
        try:
            return await asyncio.gather(images, prompts)
        finally:  # where one fails, the other is not needed
            images.cancel()
            prompts.cancel()

    async def search(self, request: SearchRequest) -> SearchResult:
        """What `tasks.search.run` gives for a request, with the names that clients know. Raises as `embed` does."""
        texts = (*request.texts, *request.plus, *request.minus)
        outcomes, prompts = await self.embed(request.images, texts, request.templates)

        def compute(check: Check) -> SearchResult:
            queries = make_queries(request, prompts.vectors, outcomes)
            result = find(self.embedder, request, queries, lambda _: check(), notices=self._notices)
            return self._images.rename(result, [] if self.collection is None else self.collection.errors)

        return await asyncio.wrap_future(self.thread.call(compute))

    def close(self, *, wait: bool = True) -> None:
        """Close the cache and remove what is temporary; with `wait`, once the batch that is computed has ended."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._thread is not None:
            self._thread.close(wait=wait)
        if self.collection is not None:
            self.collection.close()
        self.embedder.close()

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
        if not sources:
            return []
        prepared = await self._prepare(sources)
        self._hooks.on_lookup(sum(one.features is not None for one in prepared), len(prepared))
        outcomes: list[Outcome] = await asyncio.wrap_future(self.thread.embed(prepared))
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
        return await asyncio.wrap_future(self.thread.call(lambda check: self._compute_texts(key, check)))

    def _compute_texts(self, key: tuple[tuple[str, ...], tuple[str, ...]], check: Check) -> TextVectors:
        if (vectors := self._texts.get(key)) is not None:  # by a request just before
            return vectors
        embedder = self.embedder
        blocks = embed_texts(
            _CheckedEncoder(embedder.encoder, check),
            *key,
            batch_size=embedder.batch_size,
            truncate=embedder.run_options.truncate,
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
