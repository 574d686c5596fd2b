"""Prepared images of many requests → their vectors: one thread owns the model and fills its batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from clipsim.cache.vectors import ImageCache
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome, embed_images
from clipsim.embedding.pipeline import Prepared

BATCH_WAIT_SECONDS = 0.005  # that a batch which is not full waits for other requests
CLOSE_SECONDS = 30.0  # that closing waits for the batch that is being computed
Answer = TypeVar("Answer")
Check = Callable[[], None]


@dataclass(eq=False)
class _Images:
    prepared: Sequence[Prepared]
    future: Future[list[Outcome]] = field(default_factory=Future)


@dataclass(eq=False)
class _Call:
    function: Callable[[Check], Any]
    future: Future[Any] = field(default_factory=Future)


_Job: TypeAlias = _Images | _Call


class ModelThread:
    """The thread that runs a session's model; requests wait in its queue.

    Requests that wait together share batches. `on_batch` is told the number of images of each batch; `expected`
    returns how many requests are being prepared: a batch that is not full waits only where there are any. New vectors
    of images are kept in `cache`.

    A future that is cancelled takes its work with it: what waits leaves the queue, and what has begun ends with the
    batch that is being computed.
    """

    def __init__(
        self,
        session: Embedder,
        *,
        on_batch: Callable[[int], None],
        expected: Callable[[], int],
        cache: ImageCache | None,
    ) -> None:
        self._session, self._cache = session, cache
        self._on_batch, self._expected = on_batch, expected
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    def embed(self, prepared: Sequence[Prepared]) -> Future[list[Outcome]]:
        """The vectors of one request's images, in order."""
        job = _Images(prepared)
        self._put(job)
        return job.future

    def call(self, function: Callable[[Check], Answer]) -> Future[Answer]:
        """Run a function in the thread; it calls what it is given before each step, which ends it once cancelled."""
        job = _Call(function)
        self._put(job)
        return job.future

    def close(self, *, wait: bool = True) -> None:
        """Drop what waits; with `wait`, return once the batch that is being computed has ended."""
        with self._changed:
            self._closed = True
            waiting, self._queue = self._queue, deque()
            self._changed.notify_all()
        for job in waiting:
            job.future.cancel()
        if wait:
            self._thread.join(CLOSE_SECONDS)

    def _put(self, job: _Job) -> None:
        with self._changed:
            self._queue.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda future: self._drop(job) if future.cancelled() else None)

    def _drop(self, job: _Job) -> None:
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)

    def _run(self) -> None:
        while jobs := self._take():
            try:
                if isinstance(jobs[0], _Call):
                    self._answer(jobs[0])
                else:
                    self._encode([job for job in jobs if isinstance(job, _Images)])
            except CancelledError:
                for job in jobs:
                    job.future.cancel()
            except BaseException as error:  # raised where the answer is waited for
                for job in jobs:
                    with suppress(InvalidStateError):  # answered before, or cancelled
                        job.future.set_exception(error)

    def _take(self) -> list[_Job]:
        """The next job; with images, the others that fill its batch. None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            first = self._queue.popleft()
            if isinstance(first, _Call):
                return [first]
            taken: list[_Job] = [first]
            free = self._session.batch_size - len(first.prepared)
            end = time.monotonic() + BATCH_WAIT_SECONDS
            while free > 0:
                fitting = next((job for job in self._queue if self._fits(job, free)), None)
                if fitting is not None:
                    self._queue.remove(fitting)
                    taken.append(fitting)
                    free -= len(fitting.prepared) if isinstance(fitting, _Images) else 0
                    continue
                left = end - time.monotonic()
                if left <= 0 or self._queue or self._closed or not self._expected():
                    break
                self._changed.wait(left)
            return taken

    def _fits(self, job: _Job, free: int) -> bool:
        return isinstance(job, _Images) and len(job.prepared) <= free

    def _answer(self, job: _Call) -> None:
        def check() -> None:
            if job.future.cancelled() or self._closed:
                raise CancelledError

        answer = job.function(check)
        with suppress(InvalidStateError):  # cancelled just now
            job.future.set_result(answer)

    def _encode(self, jobs: Sequence[_Images]) -> None:
        """Encode the images of some jobs, in batches in order, and answer each."""
        jobs = [job for job in jobs if not job.future.cancelled()]
        prepared = [one for job in jobs for one in job.prepared]
        outcomes: list[Outcome] = []
        size = self._session.batch_size
        for start in range(0, len(prepared), size):
            if self._closed or all(job.future.cancelled() for job in jobs):
                raise CancelledError
            part = prepared[start : start + size]
            for batch in embed_images(self._session.encoder, part, batch_size=size, cache=self._cache):
                outcomes += batch
            encoded = sum(one.pixels is not None for one in part)
            if encoded:
                self._on_batch(encoded)
        start = 0
        for job in jobs:
            with suppress(InvalidStateError):  # cancelled just now
                job.future.set_result(outcomes[start : start + len(job.prepared)])
            start += len(job.prepared)
