"""Tests of `vectors.pairs`: every pair over a threshold, and what pairs connect."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest
from data_sets import random_vectors

from clipsim.vectors import pairs as near_pairs
from clipsim.vectors.pairs import Groups, find_near_pairs
from clipsim.vectors.similarity import Vectors


@pytest.mark.parametrize(("block", "workers"), [(7, 1), (64, 3), (1000, 2)])
def test_every_pair_once(monkeypatch: pytest.MonkeyPatch, block: int, workers: int) -> None:
    """The pairs of a whole matrix, each with the first row first, and its cosine; nearer ones first in a block."""
    monkeypatch.setattr(near_pairs, "BLOCK_ROWS", block)
    vectors = random_vectors(300, 8)
    similarity = vectors @ vectors.T
    expected = {tuple(pair) for pair in np.argwhere(np.triu(similarity > 0.85, 1)).tolist()}
    found: dict[tuple[int, int], float] = {}
    done = []
    for rows, pairs in find_near_pairs(lambda start, end: vectors[start:end], 300, 0.85, workers=workers):
        done.append(rows)
        assert (np.diff(pairs.similarity) <= 0).all()
        found.update(zip(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True), pairs.similarity, strict=True))

    assert expected
    assert set(found) == expected
    assert all(abs(similarity[pair] - cosine) < 1e-6 for pair, cosine in found.items())
    assert done == [*range(block, 300, block), 300]


def test_many_equal_vectors_take_bounded_memory() -> None:
    """Of each row the nearest 32 later ones are kept, which still connects all of them."""
    vectors = np.ones((500, 1), np.float32)
    ((_, pairs),) = find_near_pairs(lambda start, end: vectors[start:end], 500, 0.9)
    groups = Groups()
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        groups.join(first, second)

    assert len(pairs.first) <= 32 * 500
    assert groups.members() == [list(range(500))]


def test_threads_run_only_a_few_blocks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs that a slow caller has not taken yet would fill the memory."""
    started: list[int] = []

    class AtOnce(Executor):
        def submit(self, fn: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(fn(*arguments, **options))
            return future

    def take(start: int, end: int) -> Vectors:
        started.append(start)
        return np.ones((end - start, 1), np.float32)

    monkeypatch.setattr(near_pairs, "BLOCK_ROWS", 1)
    monkeypatch.setattr(near_pairs, "ThreadPoolExecutor", lambda *_: AtOnce())
    blocks = find_near_pairs(take, 50, 2.0, workers=3)
    assert next(blocks)[0] == 1
    assert len(started) < 50 * 10  # of 1,275 in all
    assert [done for done, _ in blocks] == list(range(2, 51))


def test_groups_are_what_pairs_connect() -> None:
    """As a search through the graph finds them, whatever the order of the pairs; single rows are no group."""
    rng = np.random.default_rng(4)
    pairs = rng.integers(0, 60, (40, 2)).tolist()
    groups = Groups()
    near: dict[int, set[int]] = {row: {row} for row in range(60)}
    for first, second in pairs:
        groups.join(first, second)
        joined = near[first] | near[second]
        for row in joined:
            near[row] = joined
    expected = sorted({tuple(sorted(rows)) for rows in near.values() if len(rows) > 1})

    assert [tuple(rows) for rows in groups.members()] == expected
    assert all(groups.together(first, second) for first, second in pairs)
    assert not groups.together(expected[0][0], expected[1][0])
