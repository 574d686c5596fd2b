"""Collections that a store has to be asked for → the same in their order, several of them read ahead by threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from queue import Full, Queue, SimpleQueue

from clipsim.inputs.sources import Source

Key = tuple[str | None, str | None, str | None]  # a name that a store lists, None for others; the columns of its tables
THREADS = 16
CHUNK_SOURCES, MAX_CHUNKS = 500, 40  # 20,000 sources of a collection wait at most
MAX_WAITING = 1000  # collections, behind one that is being read


@dataclass(frozen=True)
class Collection:
    """The sources of a file or address that a name stands for, by its key in a plan; `last` after all of the name.

    `remote` are those that a store is asked for when they are read.
    """

    key: Key
    sources: Iterable[Source]
    remote: bool = False
    last: bool = False


def read_ahead(collections: Iterable[Collection], threads: int = THREADS) -> Generator[Collection, None, None]:
    """The collections in order; while one is used, the remote ones after it are read by as many threads.

    What a thread raises is raised where its collection is read, and what `collections` raises after all before it. The
    threads end with the iterator, each once it has the source that it is waiting for.
    """
    workers = _Workers(threads)
    waiting = deque[Collection]()
    reading = 0
    failure: Exception | None = None
    rest = iter(collections)
    try:
        while True:
            try:
                collection = next(rest, None)
            except Exception as error:
                failure, collection = error, None
            if collection is None:
                break
            if collection.remote:
                collection = replace(collection, sources=workers.read(collection.sources))
                reading += 1
            waiting.append(collection)
            while waiting and (reading >= threads or not waiting[0].remote or len(waiting) > MAX_WAITING):
                reading -= waiting[0].remote
                yield waiting.popleft()
        yield from waiting
        if failure is not None:
            raise failure
    finally:
        workers.stop()


class _Workers:
    """Threads that read sources; each reads many collections, since clients of stores may be made for each thread."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._tasks = SimpleQueue[_Reader | None]()
        self._stopped = threading.Event()

    def read(self, sources: Iterable[Source]) -> _Reader:
        """Have sources read by the next thread that is free."""
        reader = _Reader(sources, self._stopped)
        self._tasks.put(reader)
        if self._count < self._most:
            self._count += 1
            threading.Thread(target=self._work, daemon=True).start()
        return reader

    def stop(self) -> None:
        """End the threads, also where what they have read is not used."""
        self._stopped.set()
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self) -> None:
        while not self._stopped.is_set() and (reader := self._tasks.get()) is not None:
            reader.read()


class _Reader:
    """Sources that a thread reads."""

    def __init__(self, sources: Iterable[Source], stopped: threading.Event) -> None:
        self._sources, self._stopped = sources, stopped
        self._chunks = Queue[list[Source] | BaseException | None](MAX_CHUNKS)

    def __iter__(self) -> Iterator[Source]:
        """The sources, once."""
        while (chunk := self._chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield from chunk

    def read(self) -> None:
        """Read the sources; the thread that uses them gets them in chunks."""
        chunk: list[Source] = []
        try:
            for source in self._sources:
                if self._stopped.is_set():
                    return
                chunk.append(source)
                if len(chunk) == CHUNK_SOURCES:
                    if not self._put(chunk):
                        return
                    chunk = []
        except BaseException as error:
            self._put(chunk)
            self._put(error)
        else:
            self._put(chunk)
            self._put(None)

    def _put(self, chunk: list[Source] | BaseException | None) -> bool:
        """Hand on a chunk; False where nobody waits for it any more."""
        while not self._stopped.is_set():
            try:
                self._chunks.put(chunk, timeout=0.2)
            except Full:
                continue
            return True
        return False
