"""Prepared pictures of many requests → their vectors: one thread owns the model and fills its batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from clipsim.embedding.encode import Outcome, embed_images
from clipsim.embedding.pipeline import Prepared
from clipsim.embedding.session import Session
from clipsim.engines.encoder import Encoder

BATCH_WAIT_SECONDS = 0.005  # that a batch which is not full waits for other requests
TRIED_BATCHES = (1, 2, 3, 5, 8)
Answer = TypeVar("Answer")


@dataclass(eq=False)
class _Pictures:
    prepared: Sequence[Prepared]
    future: Future[list[Outcome]] = field(default_factory=Future)


@dataclass(eq=False)
class _Call:
    function: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)


class ModelThread:
    """The thread that runs a session's model; requests wait in its queue.

    With `shared`, pictures of different requests are encoded in one batch. Otherwise each request has batches of its
    own, exactly those that it would have in a run by itself. `on_batch` is told the number of pictures of each batch;
    `expected` returns how many requests are being prepared: a batch waits only where there are any.
    """

    def __init__(
        self, session: Session, *, shared: bool, on_batch: Callable[[int], None], expected: Callable[[], int]
    ) -> None:
        self._session, self.shared = session, shared
        self._on_batch, self._expected = on_batch, expected
        self._queue: deque[_Pictures | _Call] = deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def __len__(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    def embed(self, prepared: Sequence[Prepared]) -> Future[list[Outcome]]:
        """The vectors of one request's pictures, in order."""
        job = _Pictures(prepared)
        self._put(job)
        return job.future

    def call(self, function: Callable[[], Answer]) -> Future[Answer]:
        """Run a function in the thread."""
        job = _Call(function)
        self._put(job)
        return job.future

    def _put(self, job: _Pictures | _Call) -> None:
        with self._changed:
            self._queue.append(job)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            jobs = self._take()
            waiting = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            try:
                for job in waiting:
                    if isinstance(job, _Call):
                        job.future.set_result(job.function())
                pictures = [job for job in waiting if isinstance(job, _Pictures)]
                self._encode(pictures)
            except BaseException as error:  # raised where the answer is waited for
                for job in waiting:
                    if not job.future.done():
                        job.future.set_exception(error)

    def _take(self) -> list[_Pictures | _Call]:
        """The next job; with pictures that may share a batch, those that fill it."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue)
            first = self._queue.popleft()
            if isinstance(first, _Call) or not self.shared:
                return [first]
            taken: list[_Pictures | _Call] = [first]
            free = self._session.batch_size - len(first.prepared)
            end = time.monotonic() + BATCH_WAIT_SECONDS
            while free > 0:
                fitting = next(
                    (job for job in self._queue if isinstance(job, _Pictures) and len(job.prepared) <= free), None
                )
                if fitting is not None:
                    self._queue.remove(fitting)
                    taken.append(fitting)
                    free -= len(fitting.prepared)
                    continue
                left = end - time.monotonic()
                if left <= 0 or self._queue or not self._expected():
                    break
                self._changed.wait(left)
            return taken

    def _encode(self, jobs: Sequence[_Pictures]) -> None:
        """Encode the pictures of some jobs, in batches in order, and answer each."""
        if not jobs:
            return
        prepared = [one for job in jobs for one in job.prepared]
        outcomes: list[Outcome] = []
        size = self._session.batch_size
        for start in range(0, len(prepared), size):
            part = prepared[start : start + size]
            for batch in embed_images(self._session.encoder, part, batch_size=size, cache=self._session.cache):
                outcomes += batch
            encoded = sum(one.pixels is not None for one in part)
            if encoded:
                self._on_batch(encoded)
        start = 0
        for job in jobs:
            job.future.set_result(outcomes[start : start + len(job.prepared)])
            start += len(job.prepared)


def vectors_are_batch_independent(encoder: Encoder, batch_size: int) -> bool:
    """Whether the encoder gives a picture the same bits in batches of any size, tried on random pixels."""
    height, width = encoder.preprocessing.size
    count = max(TRIED_BATCHES)
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    known = encoder.encode_images(pixels)
    for size in TRIED_BATCHES:
        for start in range(0, count - size + 1, size):
            if not np.array_equal(encoder.encode_images(pixels[start : start + size]), known[start : start + size]):
                return False
    full = np.resize(pixels, (min(batch_size, 32), *pixels.shape[1:]))
    return np.array_equal(encoder.encode_images(full)[:count], known[: len(full)])
