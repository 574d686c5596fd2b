"""Work of many requests → the thread that runs a model, which computes what waits together in batches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np

from clipsim.cache.keys import tokens_key
from clipsim.cache.vectors import ImageCache
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome, embed_images
from clipsim.embedding.preparation import Prepared, find_fault
from clipsim.engines.encoder import Features
from clipsim.errors import DeviceLostError, ServerError, TextError, printable
from clipsim.inputs.texts import MAX_QUOTED
from clipsim.server.metrics import Metrics
from clipsim.server.recent_vectors import RecentValues

BATCH_WAIT_SECONDS = 0.005  # that a batch of images which is not full waits for other requests
CLOSE_SECONDS = 30.0  # that closing waits for the batch that is being computed
ENDED = "the thread of the model has ended; the server ends"
Answer = TypeVar("Answer")
Check = Callable[[], None]


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


class Sentence(NamedTuple):
    """A text as the model gets it, in its template; with `truncate` it is cut where it is too long."""

    text: str
    truncate: bool


@dataclass(frozen=True, eq=False)
class SentenceVector:
    """What the model makes of a sentence: its features, (embed_dim,) float32 and not normalised.

    `identity` is that of its tokens, of which the model reads `tokens`.
    """

    features: Features
    identity: bytes
    tokens: int


_TokenizedSentence = tuple[Sentence, bytes, int]  # with the identity and the number of its tokens


@dataclass(eq=False)
class _Job:
    """Images or sentences to encode, or a function to call, and what is computed of it."""

    future: asyncio.Future[Any]
    prepared: Sequence[Prepared] = ()
    sentences: Sequence[Sentence] = ()
    function: Callable[[Check], Any] | None = None
    since: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return len(self.prepared) + len(self.sentences)

    def goes_with(self, other: _Job) -> bool:
        """Whether both may be in one batch."""
        if self.function is not None or other.function is not None:
            return False
        return bool(self.prepared) == bool(other.prepared)


class ModelThread:
    """The thread that runs an embedder's model; requests of one event loop wait in its queue.

    Requests that wait together share batches, those with images and those with texts. `metrics` counts the images of
    each batch, and how long it waited and took; `expected` returns how many requests with images are being prepared: a
    batch of images that is not full waits only where there are any. New vectors of images are kept in `cache`, those of
    texts in `sentences`. `on_end` is called where the thread ends without being closed, which it does once the GPU has
    failed.

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
        sentences: RecentValues[Sentence, SentenceVector],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._embedder, self._cache, self._sentences = embedder, cache, sentences
        self._metrics, self._expected, self._on_end = metrics, expected, on_end
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._taken: list[_Job] = []  # that were taken last
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    async def embed(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """The vectors of one request's images, in order."""
        outcomes: list[Outcome] = await self._put(_Job(asyncio.get_running_loop().create_future(), prepared))
        return outcomes

    async def read(self, sentences: Sequence[Sentence]) -> list[SentenceVector]:
        """The vectors of one request's sentences, in order. Raises TextError."""
        job = _Job(asyncio.get_running_loop().create_future(), sentences=sentences)
        vectors: list[SentenceVector] = await self._put(job)
        return vectors

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
            begun = time.monotonic()
            for job in jobs:
                self._metrics.queue_seconds.observe(begun - job.since)
            outcomes: Sequence[Any]
            try:
                outcomes = self._compute(jobs)
            except BaseException as error:  # raised where the answer is waited for
                outcomes = [error] * len(jobs)
            self._metrics.model_seconds.observe(time.monotonic() - begun)
            self._settle(jobs, outcomes)
            if any(isinstance(outcome, DeviceLostError) for outcome in outcomes):
                return  # and the server ends, which whoever watches it starts again

    def _compute(self, jobs: Sequence[_Job]) -> Sequence[Any]:
        """The outcome of each job: a function alone, or jobs of one kind."""
        first = jobs[0]
        if first.function is not None:
            return [self._call(first, first.function)]
        return self._encode_images(jobs) if first.prepared else self._encode_texts(jobs)

    def _settle(self, jobs: Sequence[_Job], outcomes: Sequence[Any]) -> None:
        """Answer jobs. The event loop is woken once for all: each time, it may take the interpreter from the model."""

        def settle() -> None:
            for job, outcome in zip(jobs, outcomes, strict=True):
                settle_future(job.future, outcome)

        if jobs:
            call_in_loop(jobs[0].future.get_loop(), settle)

    def _take(self) -> list[_Job]:
        """The next job, and the others that fill its batch. None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            first = self._queue[0]
            self._taken = taken = [first]  # before it leaves the queue, so that it is answered whatever happens
            self._queue.popleft()
            free = 0 if first.function is not None else self._embedder.batch_size - len(first)
            end = time.monotonic() + BATCH_WAIT_SECONDS
            while free > 0:
                if fitting := next((job for job in self._queue if first.goes_with(job) and len(job) <= free), None):
                    taken.append(fitting)
                    self._queue.remove(fitting)
                    free -= len(fitting)
                    continue
                left = end - time.monotonic()
                if left <= 0 or self._queue or self._closed or first.sentences or not self._expected():
                    break
                self._changed.wait(left)
            return taken

    def _call(self, job: _Job, function: Callable[[Check], Any]) -> Any:
        def check() -> None:
            if job.future.cancelled() or self._closed:
                raise CancelledError

        return function(check)

    def _encode_images(self, jobs: Sequence[_Job]) -> list[list[Outcome]]:
        """The vectors of the images of each job, encoded in batches in order; none of a job that was cancelled."""
        parts = [() if job.future.cancelled() else job.prepared for job in jobs]
        prepared = [one for part in parts for one in part]
        outcomes: list[Outcome] = []
        size = self._embedder.batch_size
        for start in range(0, len(prepared), size):
            self._check_awaited(jobs)
            batch = prepared[start : start + size]
            for vectors in embed_images(self._embedder.encoder, batch, batch_size=size, cache=self._cache):
                outcomes += vectors
            if encoded := sum(one.pixels is not None for one in batch):
                self._metrics.batches.observe(encoded)
        rest = iter(outcomes)
        return [list(islice(rest, len(part))) for part in parts]

    def _encode_texts(self, jobs: Sequence[_Job]) -> list[list[SentenceVector] | BaseException]:
        """The vectors of the sentences of each job, or its error; sentences of the same tokens are encoded once."""
        parts = [self._tokenize(job) for job in jobs]
        distinct: dict[bytes, Sentence] = {}
        vectors: dict[bytes, Features] = {}
        for sentence, identity, _ in (read for part in parts if not isinstance(part, BaseException) for read in part):
            if (known := self._sentences.get(sentence)) is None:
                distinct.setdefault(identity, sentence)
            else:  # by a request just before
                vectors[identity] = known.features
        missing = [(identity, sentence) for identity, sentence in distinct.items() if identity not in vectors]
        size = self._embedder.batch_size
        for start in range(0, len(missing), size):
            self._check_awaited(jobs)
            batch = missing[start : start + size]
            # one that is too long and must not be cut has been refused
            encoded = self._embedder.encoder.encode_texts([sentence.text for _, sentence in batch], truncate=True)
            vectors |= {identity: np.array(row) for (identity, _), row in zip(batch, encoded, strict=True)}
        return [part if isinstance(part, BaseException) else self._join(part, vectors) for part in parts]

    def _tokenize(self, job: _Job) -> list[_TokenizedSentence] | BaseException:
        """The sentences of a job with the identity and number of their tokens, or what is wrong with one of them."""
        encoder, size = self._embedder.encoder, self._embedder.batch_size
        read: list[_TokenizedSentence] = []
        try:
            for start in range(0, len(job.sentences), size):
                self._check_awaited([job])
                batch = job.sentences[start : start + size]
                texts, truncate = [sentence.text for sentence in batch], batch[0].truncate
                identities = map(tokens_key, encoder.tokenize(texts, truncate=truncate))
                read += zip(batch, identities, encoder.count_tokens(texts, truncate=truncate), strict=True)
        except Exception as error:
            return error
        return read

    def _join(
        self, part: Sequence[_TokenizedSentence], vectors: Mapping[bytes, Features]
    ) -> list[SentenceVector] | BaseException:
        """The vectors of a job's sentences, which are kept; TextError for one that is not finite."""
        joined = []
        for sentence, identity, tokens in part:
            vector = SentenceVector(vectors[identity], identity, tokens)
            if fault := find_fault(vector.features):
                cause = f"the model returns a vector {fault} for it; its weights may be damaged"
                return TextError(f"'{printable(sentence.text, MAX_QUOTED)}': {cause}")
            size = vector.features.nbytes + 4 * len(sentence.text) + len(identity)
            self._sentences.put(sentence, vector, size)
            joined.append(vector)
        return joined

    def _check_awaited(self, jobs: Sequence[_Job]) -> None:
        """Raise CancelledError where nobody waits for any of the jobs."""
        if self._closed or all(job.future.cancelled() for job in jobs):
            raise CancelledError
