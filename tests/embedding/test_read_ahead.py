"""Tests of `embedding.read_ahead`: a slow iterable is read ahead, and can be left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clipsim.embedding.read_ahead import MAX_AHEAD, Feed
from clipsim.errors import UsageError

PATIENCE = 60.0  # seconds, for what happens at once


def take_all(feed: Feed[int]) -> Iterator[int]:
    """Everything that comes."""
    while not feed.ended:
        assert feed.wait(PATIENCE)
        yield from feed.take(7)


def test_items_come_in_order_and_none_is_lost() -> None:
    """Many more than are read ahead."""
    assert list(take_all(Feed(range(3 * MAX_AHEAD)))) == list(range(3 * MAX_AHEAD))
    assert list(take_all(Feed([]))) == []


def test_waiting_is_given_up_while_nothing_comes() -> None:
    """What has come can be taken while the next item is waited for."""
    released = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        released.wait(PATIENCE)
        yield 2

    feed = Feed(slow())
    assert feed.wait(PATIENCE)
    assert feed.take(7) == [1]
    assert not feed.wait(0.01)
    assert feed.take(7) == []
    assert not feed.ended
    released.set()

    assert list(take_all(feed)) == [2]


def test_no_more_is_read_than_may_be_ahead() -> None:
    """An endless iterable does not fill the memory."""
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    feed = Feed(endless())
    while len(feed.take(1)) == 0:
        feed.wait(PATIENCE)
    for _ in range(100):
        feed.wait(0.001)

    assert read <= MAX_AHEAD + 2
    feed.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    """It is raised once."""

    def failing() -> Iterator[int]:
        yield from range(20)
        raise UsageError("no more")

    feed = Feed(failing())
    taken: list[int] = []
    with pytest.raises(UsageError, match="no more"):
        taken.extend(take_all(feed))

    assert taken == list(range(20))
    assert feed.ended


def test_a_closed_feed_ends_its_thread_at_the_next_item() -> None:
    """A thread that waits for room, or for an item that comes later."""
    released = threading.Event()
    before = set(threading.enumerate())

    def slow() -> Iterator[int]:
        yield 1
        released.wait(PATIENCE)
        yield from range(100)

    slow_feed, full_feed = Feed(slow()), Feed(range(10 * MAX_AHEAD))
    threads = [thread for thread in threading.enumerate() if thread not in before]
    assert len(threads) == 2
    slow_feed.close()
    full_feed.close()
    released.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert not any(thread.is_alive() for thread in threads)
    assert slow_feed.take(7) == full_feed.take(7) == []
