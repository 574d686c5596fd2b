"""Paths → prepared pixels, or vectors that the cache has: ahead of the model, in order, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsim.cache import EmbeddingCache, Stamp
from clipsim.errors import ImageError
from clipsim.files import open_regular

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from typing import TypeAlias

    from PIL import Image

    Source: TypeAlias = str | Image.Image

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]

AT_ONCE = 32_000_000  # bytes of a file that is read in one piece
CHUNK = 1 << 20
# Raise it when the same file gives another picture than before: another order of steps, another format that is read.
DECODING_RULES = 1
# A large JPEG is decoded at no less than this many times the side of the model's pictures.
AMPLE = 2


class Preparer(Protocol):
    """What of an `embed.Encoder` is needed here."""

    @property
    def image_size(self) -> int:
        """Pixels, of the side."""
        ...

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8."""
        ...


@dataclass(frozen=True)
class Prepared:
    """One input: its pixels, or the vector that was cached for it, or what was wrong with it.

    `content` is the digest of the file, and `stamp` what the file was like, where they may be kept.
    """

    name: str
    pixels: Pixels | None = None
    features: Features | None = None
    error: ImageError | None = None
    content: bytes | None = None
    stamp: Stamp | None = None


class Pipeline:
    """Inputs that threads prepare, never more than about two batches ahead of whoever iterates.

    Sources are paths or PIL pictures (named "image 1", "image 2", … by position). With `exact`, large JPEGs are decoded
    in full. `before_decoding` is called before each file that is decoded.
    """

    def __init__(
        self,
        encoder: Preparer,
        sources: Iterable[Source],
        *,
        batch_size: int,
        workers: int | None = None,
        exact: bool = False,
        cache: EmbeddingCache | None = None,
        before_decoding: Callable[[], None] | None = None,
    ) -> None:
        self._encoder, self._cache, self._exact = encoder, cache, exact
        self._sources = enumerate(sources, start=1)
        self._workers = workers or default_workers()
        self._batch_size = batch_size
        self._before_decoding = before_decoding
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Prepared | Future[Prepared]] = deque()

    def start(self) -> None:
        """Begin to prepare, without waiting for anything but the names of the first inputs."""
        while len(self._waiting) < max(self._batch_size, self._workers) and self._take(self._batch_size):
            pass

    def close(self) -> None:
        """Drop what nobody will ask for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[Prepared]:
        try:
            self.start()
            while self._waiting:
                first = self._waiting.popleft()
                yield first if isinstance(first, Prepared) else first.result()
                self.start()
        finally:
            self.close()

    def _take(self, count: int) -> bool:
        """Put some more inputs into the queue; whether there were any."""
        taken = list(islice(self._sources, count))
        paths = [source for _, source in taken if isinstance(source, str)]
        contents = self._cache.files.find(paths) if self._cache is not None else {}
        vectors = self._cache.images.find(list(contents.values())) if self._cache is not None and contents else {}
        for number, source in taken:
            if isinstance(source, str) and (features := vectors.get(contents.get(source, b""))) is not None:
                self._waiting.append(Prepared(source, features=features))
            else:
                self._waiting.append(self._threads().submit(self._prepare, number, source))
        return bool(taken)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._workers, "decode", _give_way)
        return self._pool

    def _prepare(self, number: int, source: Source) -> Prepared:
        if isinstance(source, str):
            try:
                return self._prepare_file(source)
            except ImageError as error:
                return Prepared(source, error=error)
        from clipsim.images import convert_picture

        name = f"image {number}"
        try:
            return Prepared(name, self._encoder.prepare_image(convert_picture(source)))
        except ImageError as error:
            return Prepared(name, error=error)

    def _prepare_file(self, path: str) -> Prepared:
        content = stamp = None
        with open_regular(path) as file:
            picture_file: BinaryIO = file
            if self._cache is not None:
                begun, before = time.time_ns(), Stamp.of(os.fstat(file.fileno()))
                content, picture_file = _digest(file, before.size)
                features = self._cache.images.find([content]).get(content)
                unchanged = before.settled(begun) and before == Stamp.of(os.fstat(file.fileno()))
                stamp = before if unchanged else None
                if features is not None:
                    return Prepared(path, features=features, content=content, stamp=stamp)
            from clipsim.images import decoded_file  # imports Pillow

            if self._before_decoding is not None:
                self._before_decoding()
            enough = None if self._exact else AMPLE * self._encoder.image_size
            with decoded_file(picture_file, enough) as image:
                pixels = self._encoder.prepare_image(image)
            if picture_file is file and (stamp is None or stamp != Stamp.of(os.fstat(file.fileno()))):
                content = stamp = None  # it was read twice, and may not have been the same
        return Prepared(path, pixels, content=content, stamp=stamp)


def _give_way() -> None:
    """Let the model's threads go first where threads have priorities of their own (Linux).

    They work in step: one that waits for a processor keeps all of them waiting. When the model waits for pictures,
    nothing is in the way of those who decode them.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def default_workers() -> int:
    """Threads that decode: one a processor this process may use, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, usable)


def _digest(file: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """The SHA-256 of an open file, and the file to decode from: its very bytes, unless they are too many."""
    try:
        if size <= AT_ONCE:
            data = file.read(AT_ONCE + 1)
            if len(data) <= AT_ONCE:
                return hashlib.sha256(data).digest(), io.BytesIO(data)
            file.seek(0)
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        file.seek(0)
    except OSError as error:
        raise ImageError(f"cannot read it: {error.strerror or error}") from error
    return digest.digest(), file
