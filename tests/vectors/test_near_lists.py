"""Tests of `vectors.near_lists`: most near pairs are found without comparing all, and how many is known."""

from __future__ import annotations

import numpy as np
import pytest
from data_sets import random_vectors
from numpy.typing import NDArray

from clipsim.vectors import near_lists
from clipsim.vectors.near_lists import NearLists, find_listed_pairs, make_lists
from clipsim.vectors.pairs import Groups
from clipsim.vectors.similarity import Vectors, unit_rows

THRESHOLD = 0.9
FoundPairs = dict[tuple[int, int], float]


class Stored:
    """Vectors that are read by their rows, and how many were read at once and in all."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.reads = vectors, list[int]()

    def __call__(self, rows: NDArray[np.int64]) -> Vectors:
        assert (np.diff(rows) > 0).all()
        self.reads.append(len(rows))
        return self.vectors[rows]


def plant(rows: int, dimensions: int, pairs: int) -> Vectors:
    """Random vectors, the last of which are near the first."""
    rng = np.random.default_rng(7)
    vectors = random_vectors(rows, dimensions)
    vectors[-pairs:] = unit_rows(vectors[:pairs] + 0.3 / dimensions**0.5 * rng.standard_normal((pairs, dimensions)))
    return vectors


def all_pairs(vectors: Vectors) -> set[tuple[int, int]]:
    """Every pair over the threshold."""
    return {(first, second) for first, second in np.argwhere(np.triu(vectors @ vectors.T > THRESHOLD, 1)).tolist()}


def listed_pairs(vectors: Vectors, lists: NearLists, workers: int = 1) -> FoundPairs:
    """The pairs that the lists find, and their cosines."""
    pairs: FoundPairs = {}
    done = [0]
    for rows, part in find_listed_pairs(Stored(vectors), len(vectors), THRESHOLD, lists, workers=workers):
        assert (np.diff(part.similarity) <= 0).all()
        done.append(rows)
        pairs.update(zip(zip(part.first.tolist(), part.second.tolist(), strict=True), part.similarity, strict=True))
    assert done == sorted(done)
    assert done[-1] == len(vectors)
    return pairs


@pytest.mark.parametrize("workers", [1, 3])
def test_near_pairs_are_found_and_counted(workers: int) -> None:
    """Each is one, with its cosine; the share that is found is the one that was estimated."""
    vectors = plant(3000, 32, 300)
    lists = make_lists(Stored(vectors), 3000, THRESHOLD, workers=workers)
    expected, pairs = all_pairs(vectors), listed_pairs(vectors, lists, workers)
    share = len(expected & pairs.keys()) / len(expected)

    assert len(expected) >= 280
    assert pairs.keys() <= expected
    assert all(abs(vectors[first] @ vectors[second] - cosine) < 1e-6 for (first, second), cosine in pairs.items())
    assert lists.recall is not None
    assert lists.recall >= 0.99
    assert abs(share - lists.recall) < 0.02
    assert lists.probes < len(lists.centres) / 4
    assert lists.sampled == 2048


def test_fewer_lists_find_fewer_pairs() -> None:
    """So that the number of lists that is chosen matters."""
    vectors = plant(3000, 8, 300)
    lists = make_lists(Stored(vectors), 3000, THRESHOLD)
    expected = all_pairs(vectors)
    shares = [
        len(expected & listed_pairs(vectors, NearLists(lists.centres, probes, None, 0, 0)).keys()) / len(expected)
        for probes in (1, lists.probes, len(lists.centres))
    ]

    assert shares[0] < shares[1] < shares[2] == 1.0
    assert shares[1] > 0.97


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither how many lists are read together, nor in which parts a long one is."""
    vectors = plant(1000, 8, 100)
    lists = make_lists(Stored(vectors), 1000, THRESHOLD)
    expected = listed_pairs(vectors, lists)
    monkeypatch.setattr(near_lists, "GATHERED_ROWS", 40)
    monkeypatch.setattr(near_lists, "MEMBER_ROWS", 7)
    monkeypatch.setattr(near_lists, "BLOCK_ROWS", 11)
    monkeypatch.setattr(near_lists, "SCORES", 40_000)
    stored = Stored(vectors)
    lists_again = make_lists(stored, 1000, THRESHOLD)
    pairs = listed_pairs(vectors, lists)

    assert expected
    assert pairs.keys() == expected.keys()
    assert (lists_again.recall, lists_again.probes) == (lists.recall, lists.probes)


def test_many_equal_vectors_do_not_hide_what_is_missed() -> None:
    """They are always found, and have 32 pairs each: other vectors' pairs need more lists than theirs."""
    vectors = plant(6000, 8, 600)
    vectors[1500:4500] = vectors[1500]
    lists = make_lists(Stored(vectors), 6000, THRESHOLD)
    expected = all_pairs(np.delete(vectors, slice(1500, 4500), axis=0))
    others = np.delete(np.arange(6000), slice(1500, 4500))
    pairs = listed_pairs(vectors, lists).keys()
    share = np.mean([(others[first], others[second]) in pairs for first, second in expected])
    with_one = listed_pairs(vectors, NearLists(lists.centres, 1, None, 0, 0)).keys()

    assert np.mean([(others[first], others[second]) in with_one for first, second in expected]) < 0.9
    assert share > 0.96


def test_long_lists_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that neither an interruption nor the caller waits for the whole of it; a pair comes once from each."""
    monkeypatch.setattr(near_lists, "GATHERED_ROWS", 100)
    monkeypatch.setattr(near_lists, "BLOCK_ROWS", 50)
    vectors = np.ones((500, 1), np.float32)
    lists = make_lists(Stored(vectors), 500, THRESHOLD)
    parts = list(find_listed_pairs(Stored(vectors), 500, THRESHOLD, lists))

    assert [done for done, _ in parts] == list(range(50, 501, 50))
    for _, pairs in parts:
        assert len(pairs.first) == len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)))


def test_without_near_pairs_the_recall_is_not_known() -> None:
    """No number is made up for it."""
    vectors = np.eye(64, dtype=np.float32)
    lists = make_lists(Stored(vectors), 64, THRESHOLD)

    assert (lists.recall, lists.pairs, lists.sampled) == (None, 0, 64)
    assert listed_pairs(vectors, lists) == {}


def test_many_equal_vectors_take_bounded_memory() -> None:
    """They are one list, and are connected by the 32 nearest of each."""
    vectors = np.ones((500, 1), np.float32)
    lists = make_lists(Stored(vectors), 500, THRESHOLD)
    groups = Groups()
    pairs = listed_pairs(vectors, lists)
    for first, second in pairs:
        groups.join(first, second)

    assert (len(lists.centres), lists.probes, lists.recall) == (1, 1, 1.0)
    assert len(pairs) <= 32 * 500
    assert groups.members() == [list(range(500))]
