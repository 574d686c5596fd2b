"""Sources → prepared pixels, or vectors from the cache: by threads ahead of the model, in order, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from clipsim.cache.vectors import FileKeys, ImageCache
from clipsim.embedding.preparation import Prepared, SourcePreparer, find_fault, find_images
from clipsim.engines.choice import default_workers
from clipsim.engines.encoder import Features, ImagePreparer
from clipsim.errors import ImageError
from clipsim.files import FileStamp
from clipsim.images.limits import DecodingRules
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import Source, VectorSource

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from clipsim.embedding.decoders import DecoderPool

POLL_SECONDS = 0.1


class Pipeline:
    """Inputs that threads prepare, never more than about two batches ahead of the consumer.

    Iterating gives a `Prepared` for each source, in order; an error of the iterable of sources is raised after those
    before it. With `live`, sources are read by a separate thread, and a None is given about every tenth of a second
    while the next input is not ready, so that the consumer can continue with what it has. `measure` and `thumbnails`
    are those of a `SourcePreparer`. With `own_process`, Pillow's limits are set for the whole process. Where the
    processes of `decoders` are free, threads let them do the work.
    """

    def __init__(
        self,
        encoder: ImagePreparer,
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
        self._preparer = SourcePreparer(encoder, rules, cache, measure, thumbnails)
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
                looked_at = self._preparer.looks_at_cached
                self._waiting.append(
                    self._threads().submit(self._preparer.look_at_cached, source, cached) if looked_at else cached
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
        cache = self._preparer.cache
        if cache is None or self._preparer.thumbnails is not None:
            return {}, {}
        records = [(source.name, source.stat()) for source in sources if not isinstance(source, VectorSource)]
        if not records:
            return {}, {}
        stamps = {name: FileStamp.of(record) for name, record in records if record is not None}
        files = cache.files.find(stamps)
        keys = [file.key for file in files.values()]
        return files, find_images(cache, keys, self._preparer.rules) if files else {}

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            if self._own_process:
                from clipsim.images.decode import configure_pillow  # imports Pillow, which cached runs do without

                configure_pillow()
            self._pool = ThreadPoolExecutor(self._workers, "decode")
        return self._pool

    def _prepare(self, source: Source) -> Prepared:
        one = self._preparer
        prepared = None if self._decoders is None else self._decoders.prepare(source, one.measure, one.thumbnails)
        if prepared is None:
            return one.prepare(source)
        if one.cache is None or prepared.key is None:
            return prepared
        cached = find_images(one.cache, [prepared.key], one.rules).get(prepared.key)
        return prepared if cached is None else replace(prepared, pixels=None, features=cached, vector_key=None)


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
