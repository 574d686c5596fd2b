"""Requests of many clients → records: `ServedModel`, whose model they share, and the thread that runs it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from clipsim.cache.vectors import ImageCache
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, embed_images, embed_texts
from clipsim.embedding.pipeline import Pipeline, Prepared
from clipsim.engines.encoder import Encoder, Features, Tokens
from clipsim.errors import DatasetError, Failure, ImageError, ServerError, printable
from clipsim.inputs.sources import Source, number_sources
from clipsim.results.classifier import Classifier
from clipsim.results.search import SearchResult
from clipsim.server.following import FRESH_GROUP, MAX_FRESH, Listing, Stamps, update_collection
from clipsim.server.metrics import Metrics
from clipsim.server.recent_vectors import RecentCache, RecentValues
from clipsim.server.served_images import ServedImages
from clipsim.tasks.progress import ProgressCallback, ignore_progress
from clipsim.tasks.rank import TextVectors, join_vectors
from clipsim.tasks.saved_files import check_classifier
from clipsim.tasks.search import SearchRequest, find, make_queries
from clipsim.tasks.search_targets import EmbeddedCollection, check_models

MAX_TEXT_BYTES = 32_000_000  # of the vectors of texts that are kept, with the texts
MAX_IMAGE_BYTES = 32_000_000  # of the vectors of images that are kept
BATCH_WAIT_SECONDS = 0.005  # that a batch which is not full waits for other requests
CLOSE_SECONDS = 30.0  # that closing waits for the batch that is being computed
ENDED = "the thread of the model has ended; the server ends"
Answer = TypeVar("Answer")
Check = Callable[[], None]


class BadImageError(ImageError):
    """An image of a request that cannot be used; `image` is its name and `index` its place among the images."""

    def __init__(self, image: str, index: int, cause: str) -> None:
        super().__init__(f"{printable(image)}: {cause}")
        self.image, self.index = image, index


class Slots:
    """Places in a pool of threads, so that what waits for one waits where it can be cancelled.

    A pool keeps what was submitted, images and all, until a thread comes to it, also where it was cancelled.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def run(self, submit: Callable[[], Future[Answer]]) -> Answer:
        """Submit, once a thread is free, and wait for the result."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        try:
            future = submit()
        except BaseException:
            self._free.release()
            raise

        def settle() -> None:  # not when the caller goes: the thread is busy until it ends
            self._free.release()
            if not answer.done():
                settle_future(answer, CancelledError() if future.cancelled() else future.exception() or future.result())

        future.add_done_callback(lambda _: call_in_loop(loop, settle))
        try:
            return await answer
        finally:
            future.cancel()


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the thread of an event loop, unless it is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def settle_future(future: asyncio.Future[Any], outcome: Any) -> None:
    """Give a future its result or, where the outcome is one, its error, unless it was cancelled."""
    if future.done():
        return
    if isinstance(outcome, CancelledError):
        future.cancel()
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


@dataclass(eq=False)
class _Job:
    """Images to encode, or a function to call, and what is computed of it."""

    future: asyncio.Future[Any]
    prepared: Sequence[Prepared] = ()
    function: Callable[[Check], Any] | None = None
    since: float = field(default_factory=time.monotonic)


class ModelThread:
    """The thread that runs an embedder's model; requests of one event loop wait in its queue.

    Requests that wait together share batches. `metrics` counts the images of each batch, and how long it waited and
    took; `expected` returns how many requests are being prepared: a batch that is not full waits only where there are
    any. New vectors of images are kept in `cache`. `on_end` is called where the thread ends without being closed.

    Cancelling a call takes its work with it: what waits leaves the queue, and what has begun ends with the batch that
    is being computed.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        metrics: Metrics,
        expected: Callable[[], int],
        cache: ImageCache | None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._embedder, self._cache = embedder, cache
        self._metrics, self._expected, self._on_end = metrics, expected, on_end
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._taken: list[_Job] = []  # that are being computed
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    async def embed(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """The vectors of one request's images, in order."""
        outcomes: list[Outcome] = await self._put(_Job(asyncio.get_running_loop().create_future(), prepared))
        return outcomes

    async def call(self, function: Callable[[Check], Answer]) -> Answer:
        """Run a function in the thread; it calls what it is given before each step, which ends it once cancelled."""
        answer: Answer = await self._put(_Job(asyncio.get_running_loop().create_future(), function=function))
        return answer

    def close(self, *, wait: bool = True) -> None:
        """Drop what waits; with `wait`, return once the batch that is being computed has ended."""
        with self._changed:
            self._closed = True
            waiting, self._queue = self._queue, deque()
            self._changed.notify_all()
        self._settle(waiting, [CancelledError()] * len(waiting))
        if wait:
            self._thread.join(CLOSE_SECONDS)

    async def _put(self, job: _Job) -> Any:
        with self._changed:
            if not self.running:
                raise ServerError(ENDED)
            self._queue.append(job)
            self._changed.notify()
        try:
            return await job.future
        except asyncio.CancelledError:
            with self._changed, suppress(ValueError):  # it has been taken
                self._queue.remove(job)
            raise

    @property
    def running(self) -> bool:
        """False once it is closed, or has ended without."""
        return not self._closed and self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._answer()
        finally:
            if not self._closed:  # by an error that is not of a request
                with self._changed:
                    self._closed = True
                    waiting, self._queue = [*self._taken, *self._queue], deque()
                self._settle(waiting, [ServerError(ENDED)] * len(waiting))
                self._on_end()

    def _answer(self) -> None:
        while jobs := self._take():
            self._taken = jobs
            begun = time.monotonic()
            for job in jobs:
                self._metrics.queue_seconds.observe(begun - job.since)
            outcomes: Sequence[Any]
            try:
                outcomes = self._encode(jobs) if jobs[0].function is None else [self._call(jobs[0], jobs[0].function)]
            except BaseException as error:  # raised where the answer is waited for
                outcomes = [error] * len(jobs)
            self._metrics.model_seconds.observe(time.monotonic() - begun)
            self._settle(jobs, outcomes)

    def _settle(self, jobs: Sequence[_Job], outcomes: Sequence[Any]) -> None:
        """Answer jobs. The event loop is woken once for all: each time, it may take the interpreter from the model."""

        def settle() -> None:
            for job, outcome in zip(jobs, outcomes, strict=True):
                settle_future(job.future, outcome)

        if jobs:
            call_in_loop(jobs[0].future.get_loop(), settle)

    def _take(self) -> list[_Job]:
        """The next job; with images, the others that fill its batch. None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            first = self._queue.popleft()
            taken = [first]
            free = 0 if first.function is not None else self._embedder.batch_size - len(first.prepared)
            end = time.monotonic() + BATCH_WAIT_SECONDS
            while free > 0:
                images = (job for job in self._queue if job.function is None)
                if fitting := next((job for job in images if len(job.prepared) <= free), None):
                    self._queue.remove(fitting)
                    taken.append(fitting)
                    free -= len(fitting.prepared)
                    continue
                left = end - time.monotonic()
                if left <= 0 or self._queue or self._closed or not self._expected():
                    break
                self._changed.wait(left)
            return taken

    def _call(self, job: _Job, function: Callable[[Check], Any]) -> Any:
        def check() -> None:
            if job.future.cancelled() or self._closed:
                raise CancelledError

        return function(check)

    def _encode(self, jobs: Sequence[_Job]) -> list[list[Outcome]]:
        """The vectors of the images of each job, encoded in batches in order; none of a job that was cancelled."""
        parts = [() if job.future.cancelled() else job.prepared for job in jobs]
        prepared = [one for part in parts for one in part]
        outcomes: list[Outcome] = []
        size = self._embedder.batch_size
        for start in range(0, len(prepared), size):
            if self._closed or all(job.future.cancelled() for job in jobs):
                raise CancelledError
            batch = prepared[start : start + size]
            for vectors in embed_images(self._embedder.encoder, batch, batch_size=size, cache=self._cache):
                outcomes += vectors
            if encoded := sum(one.pixels is not None for one in batch):
                self._metrics.batches.observe(encoded)
        rest = iter(outcomes)
        return [list(islice(rest, len(part))) for part in parts]


class ServedModel:
    """A loaded model that answers the requests of many clients at once, each as it would be answered alone.

    `classifier` has the labels of requests without texts. `collection` is what clients may search, `unsearchable` why
    there is none; `indexing` counts the images that are there and cannot be searched yet. What a caller no longer waits
    for is not done: cancelling a call takes its work out of all queues. What requests send is kept in memory alone.
    """

    def __init__(self, embedder: Embedder, metrics: Metrics, classifier: Classifier | None = None) -> None:
        self.embedder, self._metrics, self.classifier = embedder, metrics, classifier
        self._texts: RecentValues[tuple[tuple[str, ...], tuple[str, ...]], TextVectors] = RecentValues(MAX_TEXT_BYTES)
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
            self.embedder, metrics=self._metrics, expected=lambda: self._preparing, cache=cache, on_end=on_end
        )
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
        images = asyncio.ensure_future(self._embed_images(sources))
        prompts = asyncio.ensure_future(self._embed_texts(texts, templates))
        try:
            return await asyncio.gather(images, prompts)
        finally:  # where one fails, the other is not needed
            images.cancel()
            prompts.cancel()

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
        return await self._find_running()[1].call(lambda check: self._compute_texts(key, check))

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
        self._texts.put(key, vectors, vectors.vectors.nbytes + 4 * sum(len(text) for texts in key for text in texts))
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
