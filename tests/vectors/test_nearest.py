"""Tests of `vectors.nearest`: the same rows as a plain sort of all cosines, whatever the blocks; sums of vectors."""

from __future__ import annotations

import numpy as np
import pytest
from data_sets import random_vectors
from numpy.typing import NDArray

from clipsim.vectors import nearest
from clipsim.vectors.nearest import Nearest, add_vectors, combine_vectors


def plain_search(queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """(m, count) rows by a stable sort of all cosines, to six decimals."""
    cosines = np.round((queries @ vectors.T).astype(np.float64), 6)
    order: NDArray[np.intp] = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("block", [1, 7, 250, 1000])
def test_blocks_give_what_a_sort_gives(monkeypatch: pytest.MonkeyPatch, dtype: type, block: int) -> None:
    """Rows and cosines are those of the whole matrix; float16 vectors are compared as they are stored."""
    monkeypatch.setattr(nearest, "CONVERTED_BYTES", 700)
    monkeypatch.setattr(nearest, "SCORES_BYTES", 900)
    vectors: NDArray[np.floating] = random_vectors(1000, 12).astype(dtype)
    queries = random_vectors(5, 12, seed=2)
    found = Nearest(5, 10)
    for start in range(0, 1000, block):
        add_vectors(found, queries, vectors[start : start + block], start)
    expected = plain_search(queries, vectors.astype(np.float32), 10)

    assert found.rows.tolist() == expected.tolist()
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(queries @ vectors.astype(np.float32).T, expected, 1), atol=1e-6
    )


@pytest.mark.parametrize("block", [3, 40])
def test_equal_scores_are_in_the_order_of_their_rows(block: int) -> None:
    """Also where more rows have the same score than there are places."""
    scores = np.repeat(np.array([0.5, 0.9, 0.5, 0.1], np.float32), 10)[:, None]
    found = Nearest(1, 15)
    for start in range(0, 40, block):
        found.add(scores[start : start + block], start)

    assert found.rows[0].tolist() == [*range(10, 20), *range(5)]


@pytest.mark.parametrize("block", [1, 5, 40])
def test_scores_that_differ_by_less_than_is_promised_are_in_the_order_of_their_rows(block: int) -> None:
    """Noise of 1e-7 decides nothing, in any blocks and in a merge."""
    rng = np.random.default_rng(3)
    scores = (rng.integers(1, 4, 40) / 10 + rng.uniform(-4e-7, 4e-7, 40)).astype(np.float32)[:, None]
    expected = np.argsort(-np.round(scores[:, 0], 1), kind="stable")[:9].tolist()
    found, merged = Nearest(1, 9), Nearest(1, 9)
    for start in reversed(range(0, 40, block)):
        part = Nearest(1, 9)
        part.add(scores[start : start + block], start)
        merged.merge(part)
    for start in range(0, 40, block):
        found.add(scores[start : start + block], start)

    assert found.rows[0].tolist() == merged.rows[0].tolist() == expected


def test_threads_can_share_the_rows() -> None:
    """Parts merged in any order give the same answer."""
    vectors, queries = random_vectors(90, 8), random_vectors(3, 8, seed=2)
    parts = []
    for start in (0, 30, 60):
        part = Nearest(3, 12)
        add_vectors(part, queries, vectors[start : start + 30], start)
        parts.append(part)
    forwards, backwards = Nearest(3, 12), Nearest(3, 12)
    for part in parts:
        forwards.merge(part)
    for part in reversed(parts):
        backwards.merge(part)

    assert forwards.rows.tolist() == backwards.rows.tolist() == plain_search(queries, vectors, 12).tolist()


def test_fewer_rows_than_places() -> None:
    """Places that no row takes hold -1, and a merge does not mistake them for rows."""
    found = Nearest(2, 3)
    found.add(np.array([[0.1, 0.2], [0.3, 0.1]], np.float32), 5)
    found.merge(Nearest(2, 3))

    assert found.rows.tolist() == [[6, 5, -1], [5, 6, -1]]
    assert np.isneginf(found.scores[:, 2]).all()


def test_a_floor_keeps_out_what_is_not_above_it() -> None:
    """A score that equals the floor is not above it."""
    found = Nearest(1, 5, floor=0.25)
    found.add(np.array([[0.25], [0.26], [0.2]], np.float32), 0)

    assert found.rows[0].tolist() == [1, -1, -1, -1, -1]


def test_each_query_has_its_own_floor() -> None:
    """A score that is too low for one query is kept for another."""
    found = Nearest(2, 2, floor=np.array([0.5, 0.1], np.float32))
    found.add(np.array([[0.3, 0.3], [0.6, 0.05]], np.float32), 0)

    assert found.rows.tolist() == [[1, -1], [0, -1]]


@pytest.mark.parametrize("block", [4, 100])
def test_excluded_pairs(block: int) -> None:
    """A row that is excluded for one query is found for another; rows count from the block's first."""
    vectors = random_vectors(20, 6)
    found = Nearest(2, 3)
    for start in range(0, 20, block):
        excluded = [(0, 9 - start)] if start <= 9 < start + block else []
        add_vectors(found, vectors[[9, 9]], vectors[start : start + block], start, excluded)

    assert 9 not in found.rows[0]
    assert found.rows[1, 0] == 9
    assert found.rows[0, :2].tolist() == found.rows[1, 1:].tolist()


def test_places_can_be_given_up() -> None:
    """What is left moves up."""
    found = Nearest(1, 3)
    found.add(np.array([[0.1], [0.3], [0.2]], np.float32), 0)
    found.remove(0, np.array([True, False, False]))

    assert found.rows[0].tolist() == [2, 0, -1]


def test_every_finite_half_is_converted_exactly() -> None:
    """Normal, subnormal, zero, of both signs: all that a float16 can be but infinities and NaN."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = every[np.isfinite(every)].reshape(-1, 2)
    expanded = nearest._expand_halves(halves, np.empty(halves.shape, np.float32))

    np.testing.assert_array_equal(expanded * nearest.HALF_SCALE, halves.astype(np.float32))


def test_sums_are_those_of_plain_numpy() -> None:
    """Each query + w · Σ plus - w · Σ minus, of length one."""
    queries, plus, minus = random_vectors(4, 9), random_vectors(2, 9, seed=2), random_vectors(3, 9, seed=3)
    expected = queries + 0.7 * plus.sum(axis=0) - 0.7 * minus.sum(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    others = np.concatenate([plus, minus])
    np.testing.assert_allclose(combine_vectors(queries, others, [0.7, 0.7, -0.7, -0.7, -0.7]), expected, atol=1e-6)


def test_queries_alone_stay_as_they_are() -> None:
    """Not even their rounding changes."""
    queries, none = random_vectors(4, 9), np.zeros((0, 9), np.float32)

    assert combine_vectors(queries, none, []) is queries


def test_what_cancels_out_has_no_direction() -> None:
    """Rounding leaves a remainder, which is not taken for a query; the others are not concerned."""
    queries = random_vectors(2, 9)
    combined = combine_vectors(queries, queries[:1], [-1.0])

    assert np.isnan(combined[0]).all()
    assert np.isfinite(combined[1]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_damaged_vectors_are_left_out_without_a_warning(dtype: type) -> None:
    vectors: NDArray[np.floating] = random_vectors(200, 12).astype(dtype)
    vectors[3], vectors[4], vectors[7], vectors[8], vectors[199] = np.inf, np.nan, -60000, -np.inf, 0
    if dtype is np.float32:
        vectors[7] = 3e38
    found = Nearest(2, 200)
    add_vectors(found, random_vectors(2, 12), vectors, 1000)
    assert found.wrong == {1003, 1004, 1007, 1008, 1199}
    assert not found.wrong & set(found.rows.ravel().tolist())
