"""Tests of `inputs.ahead`: collections in order, read by threads that end with the reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clipsim.inputs.ahead import CHUNK_SOURCES, MAX_CHUNKS, Collection, read_ahead
from clipsim.inputs.sources import FileSource, Source

KEY = ("a", None, None)


def make_sources(name: str, count: int, started: list[str] | None = None) -> Iterator[Source]:
    """Sources of a name, which says that it is read."""
    if started is not None:
        started.append(name)
    for number in range(count):
        yield FileSource(f"{name}/{number}")


def test_the_order_is_that_of_the_collections() -> None:
    """Whichever is read first, and however many are in one."""
    counts = {"a": 3, "b": CHUNK_SOURCES, "c": 2 * CHUNK_SOURCES + 1, "d": 0, "e": (MAX_CHUNKS + 3) * CHUNK_SOURCES}
    collections = (
        Collection((name, None, None), make_sources(name, count), remote=name != "d") for name, count in counts.items()
    )
    names = [source.name for collection in read_ahead(collections, 2) for source in collection.sources]

    assert names == [f"{name}/{number}" for name, count in counts.items() for number in range(count)]


def test_what_needs_no_store_is_not_read_ahead() -> None:
    """It comes as it is asked for."""
    started: list[str] = []
    collections = (
        Collection((str(number), None, None), make_sources(str(number), 1, started)) for number in range(1000)
    )
    first = next(read_ahead(collections))

    assert started == []
    assert [source.name for source in first.sources] == ["0/0"]
    assert started == ["0"]


def test_only_so_many_are_read() -> None:
    """And their threads end with the iterator."""
    before = set(threading.enumerate())
    started: list[str] = []
    large = (MAX_CHUNKS + 5) * CHUNK_SOURCES
    collections = (
        Collection((str(number), None, None), make_sources(str(number), large, started), remote=True)
        for number in range(100)
    )
    reading = read_ahead(collections, 3)
    assert next(reading).key[0] == "0"
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    reading.close()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert sorted(started) == ["0", "1", "2"]


def test_a_thread_ends_within_a_collection() -> None:
    """It asks for no more than what it waits for when the iterator is closed."""
    before = set(threading.enumerate())
    begun, closed = threading.Event(), threading.Event()
    numbers: list[int] = []

    def read() -> Iterator[Source]:
        for number in range(CHUNK_SOURCES - 1):
            numbers.append(number)
            begun.set()
            closed.wait(60)
            yield FileSource(str(number))

    reading = read_ahead([Collection(KEY, read(), remote=True)], 1)
    next(reading)
    threads = set(threading.enumerate()) - before
    assert begun.wait(60)
    reading.close()
    closed.set()
    for thread in threads:
        thread.join(60)

    assert len(numbers) <= 2


def test_an_error_comes_in_its_place() -> None:
    """After the sources that came before it."""

    def fail() -> Iterator[Source]:
        yield FileSource("b")
        raise ValueError("torn")

    collections = [Collection(KEY, make_sources("a", 2), remote=True), Collection(KEY, fail(), remote=True)]
    names: list[str] = []
    with pytest.raises(ValueError, match="torn"):
        names.extend(source.name for collection in read_ahead(collections) for source in collection.sources)

    assert names == ["a/0", "a/1", "b"]


def test_few_threads_read_many_collections() -> None:
    """Clients of stores may be made for each thread."""
    idents = set[int]()

    def note(number: int) -> Iterator[Source]:
        idents.add(threading.get_ident())
        yield FileSource(str(number))

    before = threading.active_count()
    collections = (Collection(KEY, note(number), remote=True) for number in range(200))
    most = 0
    for collection in read_ahead(collections, 4):
        most = max(most, threading.active_count() - before)
        assert sum(1 for _ in collection.sources) == 1

    assert most <= 4
    assert len(idents) <= 4


def test_a_listing_that_fails_comes_after_what_is_read() -> None:
    """So that nothing of it is lost."""

    def find() -> Iterator[Collection]:
        for number in range(5):
            yield Collection(KEY, make_sources(str(number), 2), remote=True)
        raise ValueError("refused")

    names: list[str] = []
    with pytest.raises(ValueError, match="refused"):
        names.extend(source.name for collection in read_ahead(find()) for source in collection.sources)

    assert len(names) == 10
