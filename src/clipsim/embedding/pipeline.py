"""Sources → prepared pixels, or vectors from the cache: by threads ahead of the model, in order, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

import numpy as np

from clipsim.cache.keys import image_key, variant_key
from clipsim.cache.vectors import FileKeys, ImageCache
from clipsim.engines.choice import default_workers
from clipsim.engines.encoder import Features, ImageEncoder, Pixels
from clipsim.errors import ImageError
from clipsim.files import CHUNK_BYTES, FileStamp, digest_stream
from clipsim.images.limits import MAX_PIXELS, DecodingRules, open_checked
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import Source, VectorSource, reading_error

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from PIL.Image import Image

    from clipsim.embedding.decoders import DecoderPool


# A large JPEG is decoded at no less than this many times the side of the model's images, or of a thumbnail.
DRAFT_OVERSAMPLING = 2
POLL_SECONDS = 0.1
NOT_FINITE = "that is not finite"  # what is wrong with a vector


@dataclass(frozen=True)
class Prepared:
    """One input: its pixels, or the vector that was cached for it, or what was wrong with it.

    `digest` is the SHA-256 of the file, None where the input has no file; `key` is that of its content in the cache,
    and `stamp` the file's stamp, where they may be kept; `vector_key` is that of its vector, where it is another.
    `size` is the upright image's width and height, where the pipeline measures; `thumbnail` is a small image file,
    where it makes them; `index` is the source's.
    """

    name: str
    pixels: Pixels | None = None
    features: Features | None = None
    error: ImageError | None = None
    digest: bytes | None = None
    key: bytes | None = None
    stamp: FileStamp | None = None
    size: tuple[int, int] | None = None
    thumbnail: bytes | None = None
    index: int | None = None
    vector_key: bytes | None = None


class Pipeline:
    """Inputs that threads prepare, never more than about two batches ahead of the consumer.

    Iterating gives a `Prepared` for each source, in order; an error of the iterable of sources is raised after those
    before it. With `live`, sources are read by a separate thread, and a None is given about every tenth of a second
    while the next input is not ready, so that the consumer can continue with what it has. With `measure`, the size of
    every image is found, also where its vector is cached. With `thumbnails`, every file is decoded even then, and its
    thumbnail is made of the bytes that were read for it. With `own_process`, Pillow's
    limits are set for the whole process. Where the processes of `decoders` are free, threads let them do the work.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        sources: Iterable[Source],
        *,
        rules: DecodingRules,
        batch_size: int,
        workers: int | None = None,
        cache: ImageCache | None = None,
        live: bool = False,
        measure: bool = False,
        thumbnails: ThumbnailRules | None = None,
        own_process: bool = False,
        decoders: DecoderPool | None = None,
    ) -> None:
        self._encoder, self._cache, self._rules = encoder, cache, rules
        self._measure, self._thumbnails = measure, thumbnails
        self._feed = BackgroundReader(sources) if live else None
        self._sources = iter(() if live else sources)
        self._workers = workers or default_workers()
        self._batch_size = batch_size
        self._own_process, self._decoders = own_process, decoders
        self._started = False
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Prepared | Future[Prepared]] = deque()
        self._source_error: Exception | None = None

    def start(self) -> None:
        """Begin to prepare, without waiting for anything but the names of the first inputs."""
        if self._feed is not None and not self._started:
            self._feed.wait(POLL_SECONDS)
        self._started = True
        while len(self._waiting) < max(self._batch_size, self._workers) and self._fill_queue():
            pass

    def submit(self, source: Source) -> Future[Prepared]:
        """Prepare a source that is not one of the pipeline's own, as a thread becomes free."""
        return self._threads().submit(self._prepare, source)

    def close(self) -> None:
        """Drop what has not been prepared yet."""
        if self._feed is not None:
            self._feed.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[Prepared | None]:
        try:
            self.start()
            while self._waiting or (self._feed is not None and not self._feed.ended):
                if self._feed is not None and not self._is_ready(self._feed):
                    yield None
                else:
                    first = self._waiting.popleft()
                    yield first if isinstance(first, Prepared) else first.result()
                self.start()
            if self._source_error is not None:
                raise self._source_error
        finally:
            self.close()

    @property
    def live(self) -> bool:
        """Whether a None is given while the next input is not ready."""
        return self._feed is not None

    def _is_ready(self, feed: BackgroundReader[Source]) -> bool:
        """Whether the next input is prepared, after waiting for it for at most a tenth of a second."""
        if not self._waiting:
            feed.wait(POLL_SECONDS)
            return False
        first = self._waiting[0]
        if isinstance(first, Prepared):
            return True
        from concurrent.futures import wait

        return bool(wait([first], POLL_SECONDS).done)

    def _fill_queue(self) -> bool:
        """Put some more inputs into the queue; whether there were any."""
        sources = self._next_sources()
        if not sources:
            return False
        files, vectors = self._find_cached(sources)
        for source in sources:
            if isinstance(source, VectorSource):
                self._waiting.append(self._take_vector(source))
                continue
            file = files.get(source.name)
            features = None if file is None else vectors.get(file.key)
            if file is not None and features is not None:
                cached = Prepared(source.name, features=features, digest=file.digest, index=source.index)
                looked_at = self._measure or self._limit_is_lowered
                self._waiting.append(
                    self._threads().submit(self._look_at_cached, source, cached) if looked_at else cached
                )
            else:
                self._waiting.append(self._threads().submit(self._prepare, source))
        return True

    def _next_sources(self) -> list[Source]:
        """The sources that follow, up to a batch of them; an error of their iterable is kept for later."""
        sources: list[Source] = []
        try:
            if self._feed is not None:
                return self._feed.take(self._batch_size)
            for source in islice(self._sources, self._batch_size):
                sources.append(source)
        except Exception as error:
            self._source_error = error
        return sources

    def _take_vector(self, source: VectorSource) -> Prepared:
        """A vector of the calling program, or what is wrong with it."""
        if fault := find_fault(source.vector):
            return Prepared(source.name, error=ImageError(f"a vector {fault}"), index=source.index)
        return Prepared(source.name, features=source.vector, index=source.index)

    def _find_cached(self, sources: list[Source]) -> tuple[dict[str, FileKeys], dict[bytes, Features]]:
        """What is known of files that have not changed since they were read, and their vectors by `FileKeys.key`."""
        if self._cache is None or self._thumbnails is not None:
            return {}, {}
        records = [(source.name, source.stat()) for source in sources if not isinstance(source, VectorSource)]
        if not records:
            return {}, {}
        stamps = {name: FileStamp.of(record) for name, record in records if record is not None}
        files = self._cache.files.find(stamps)
        keys = [file.key for file in files.values()]
        return files, find_images(self._cache, keys, self._rules) if files else {}

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            if self._own_process:
                from clipsim.images.decode import configure_pillow  # imports Pillow, which cached runs do without

                configure_pillow()
            self._pool = ThreadPoolExecutor(self._workers, "decode")
        return self._pool

    def _prepare(self, source: Source) -> Prepared:
        prepared = None if self._decoders is None else self._decoders.prepare(source, self._measure, self._thumbnails)
        if prepared is None:
            return self.prepare(source)
        if self._cache is None or prepared.key is None:
            return prepared
        cached = find_images(self._cache, [prepared.key], self._rules).get(prepared.key)
        return prepared if cached is None else replace(prepared, pixels=None, features=cached, vector_key=None)

    def prepare(self, source: Source) -> Prepared:
        """Prepare a source in this thread."""
        try:
            image = source.decoded()
            if image is None:
                return self._prepare_file(source)
            from clipsim.images.decode import convert_image

            image = convert_image(image)
            pixels, small = self._encoder.prepare_image(image), make_thumbnail(image, self._thumbnails)
            return Prepared(source.name, pixels, size=image.size, thumbnail=small, index=source.index)
        except ImageError as error:
            return Prepared(source.name, error=error, index=source.index)

    def _prepare_file(self, source: Source) -> Prepared:
        with open_checked(source) as stream, ExitStack() as copies:
            begun, before = time.time_ns(), read_stamp(stream)
            file, content = read_content(stream, before is not None, copies)
            cached = None if self._cache is None else find_images(self._cache, [file.key], self._rules).get(file.key)
            stamp = before if before is not None and before.is_settled(begun) and before == read_stamp(stream) else None
            if cached is not None:
                if self._limit_is_lowered:
                    from clipsim.images.decode import check_limit

                    check_limit(content)
                small, size = decode_thumbnail(content, self._thumbnails), self._read_size(content)
                return Prepared(source.name, None, cached, None, *file, stamp, size, small, source.index)
            from clipsim.images.decode import decoded_file, may_be_reduced  # imports Pillow

            variant = None
            if self._cache is not None and may_be_reduced(content):
                variant = variant_key(file.key, exact=self._rules.exact)
            min_side = None if self._rules.exact else DRAFT_OVERSAMPLING * self._encoder.image_size
            with decoded_file(content, min_side) as image:
                pixels = self._encoder.prepare_image(image)
                small = make_thumbnail(image, self._thumbnails)
                size = self._read_size(content, image)
            # a file that was read twice may not have been the same both times
            if content is stream and (stamp is None or stamp != read_stamp(stream)):
                return Prepared(source.name, pixels, None, None, file.digest, None, None, size, small, source.index)
        return Prepared(source.name, pixels, None, None, *file, stamp, size, small, source.index, variant)

    @property
    def _limit_is_lowered(self) -> bool:
        """Whether images that were decoded before may have more pixels than the limit now."""
        return self._rules.max_pixels < MAX_PIXELS

    def _look_at_cached(self, source: Source, cached: Prepared) -> Prepared:
        """What is cached for a file, with the size in its header; nothing else of the file is read."""
        from clipsim.images.decode import check_limit

        try:
            with open_checked(source) as stream:
                if self._limit_is_lowered:
                    check_limit(stream)
                return replace(cached, size=self._read_size(stream))
        except ImageError as error:
            return Prepared(source.name, error=error, index=source.index)

    def _read_size(self, content: BinaryIO, decoded: Image | None = None) -> tuple[int, int] | None:
        if not self._measure:
            return None
        from clipsim.images.decode import read_size

        return read_size(content, decoded)


def find_fault(features: Features) -> str | None:
    """What is wrong with vectors along the last axis: none of them can be ranked then. None where nothing is."""
    if not np.isfinite(features).all():
        return NOT_FINITE
    return None if features.any(axis=-1).all() else "of length zero"


def find_images(cache: ImageCache, keys: Sequence[bytes], rules: DecodingRules) -> dict[bytes, Features]:
    """The vectors of image files by the keys of their content, where those were decoded by these rules."""
    variants = {key: variant_key(key, exact=rules.exact) for key in keys}
    vectors = cache.images.find([*variants, *variants.values()])
    by_content = {key: vectors.get(key, vectors.get(variant)) for key, variant in variants.items()}
    return {key: features for key, features in by_content.items() if features is not None}


WHOLE_FILE_BYTES = 32_000_000  # a file up to this size is read once, into memory


def read_stamp(stream: BinaryIO) -> FileStamp | None:
    """The stamp of an open file; None where the stream is not a file of its own."""
    try:
        return FileStamp.of(os.fstat(stream.fileno()))
    except (OSError, AttributeError):
        return None


def read_content(stream: BinaryIO, is_file: bool, copies: ExitStack) -> tuple[FileKeys, BinaryIO]:
    """The SHA-256 and the cache's key of a stream, and what to decode.

    What is too long for memory has its SHA-256 as its key, and is copied to a temporary file, which `copies` closes, if
    the stream is no file of its own. Raises ImageError where it cannot be read.
    """
    try:
        data = stream.read(WHOLE_FILE_BYTES + 1)
        if len(data) <= WHOLE_FILE_BYTES:
            digest = hashlib.sha256(data).digest()
            return FileKeys(digest, image_key(data, digest)), io.BytesIO(data)
        del data
        stream.seek(0)
        content = stream
        if not is_file:
            content = copies.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed with the source)
            shutil.copyfileobj(stream, content, CHUNK_BYTES)
            content.seek(0)
        digest = bytes.fromhex(digest_stream(content))
        content.seek(0)
    except OSError as error:
        raise reading_error("read", error) from error
    return FileKeys(digest, digest), content


def decode_thumbnail(content: BinaryIO, rules: ThumbnailRules | None) -> bytes | None:
    """The thumbnail of the image in an open file; None without rules. Raises ImageError where it cannot be decoded."""
    if rules is None:
        return None
    from clipsim.images.decode import decoded_file  # imports Pillow

    with decoded_file(content, DRAFT_OVERSAMPLING * rules.side, draft_pixels=0) as image:
        return make_thumbnail(image, rules)


def read_thumbnails(sources: Iterable[Source], rules: ThumbnailRules) -> dict[str, bytes]:
    """The thumbnails of sources by their names, without those that can no longer be decoded.

    For results that show a few of many inputs, such as those of a search: to decode these once more takes less time
    than a thumbnail of every image, which costs about as much as decoding a small JPEG.
    """
    from concurrent.futures import ThreadPoolExecutor

    def read(source: Source) -> bytes | None:
        try:
            if (image := source.decoded()) is not None:
                from clipsim.images.decode import convert_image

                return make_thumbnail(convert_image(image), rules)
            with open_checked(source) as stream, ExitStack() as copies:
                if read_stamp(stream) is not None:
                    return decode_thumbnail(stream, rules)
                return decode_thumbnail(read_content(stream, False, copies)[1], rules)  # web servers may only give all
        except ImageError:
            return None

    by_name = {source.name: source for source in sources}
    with ThreadPoolExecutor(default_workers(), "decode") as pool:
        thumbnails = zip(by_name, pool.map(read, by_name.values()), strict=True)
        return {name: thumbnail for name, thumbnail in thumbnails if thumbnail is not None}


Item = TypeVar("Item")
MAX_AHEAD = 4096


class BackgroundReader(Generic[Item]):
    """Items that a daemon thread reads, at most `MAX_AHEAD` ahead; an error of the iterable is raised by `take`."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._read: deque[Item] = deque()
        self._changed = threading.Condition()
        self._exhausted = self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="read names", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether there will never be another item or error."""
        with self._changed:
            return self._exhausted and not self._read and self._error is None

    def wait(self, seconds: float) -> bool:
        """Wait until there is an item to take or the iterable has ended; False if neither happens in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._read) or self._exhausted, seconds)

    def take(self, count: int) -> list[Item]:
        """The next items, at most `count`, without waiting; raises the error of the iterable after its last item."""
        with self._changed:
            items = [self._read.popleft() for _ in range(min(count, len(self._read)))]
            self._changed.notify_all()
            if not items and self._error is not None:
                error, self._error = self._error, None
                raise error
            return items

    def close(self) -> None:
        """Drop what was read; the thread ends at its next item."""
        with self._changed:
            self._closed = True
            self._read.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._read) < MAX_AHEAD or self._closed)
                    if self._closed:
                        return
                    self._read.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # raised where the items are taken
            self._error = error
        finally:
            with self._changed:
                self._exhausted = True
                self._changed.notify_all()
