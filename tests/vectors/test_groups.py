"""Tests of `vectors.groups`: what points the same way is one group, in blocks as at once, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from clipsim.vectors import groups
from clipsim.vectors.groups import Grouping, group_vectors
from clipsim.vectors.similarity import Vectors, unit_rows


def scatter(sizes: tuple[int, ...], spread: float = 0.1, dimensions: int = 16) -> tuple[Vectors, np.ndarray]:
    """Unit vectors around as many random directions, in random order, and the direction of each."""
    rng = np.random.default_rng(3)
    centres = unit_rows(rng.normal(size=(len(sizes), dimensions)))
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return unit_rows(centres[labels] + spread * rng.normal(size=(len(labels), dimensions))), labels


def divide(vectors: Vectors, count: int | None = None, seed: int = 0) -> Grouping:
    """The groups of vectors that are in memory."""
    return group_vectors(lambda start, end: vectors[start:end], len(vectors), count, seed=seed)


@pytest.mark.parametrize("count", [None, 4])
def test_what_points_the_same_way_is_one_group(count: int | None) -> None:
    """Whether the number of groups is given or found; the largest comes first."""
    vectors, labels = scatter((60, 10, 35, 20))
    grouping = divide(vectors, count)

    assert grouping.sizes().tolist() == [60, 35, 20, 10]
    assert {(int(a), int(b)) for a, b in zip(labels, grouping.labels, strict=True)} == {(0, 0), (2, 1), (3, 2), (1, 3)}
    assert grouping.silhouette is not None
    assert grouping.silhouette > 0.7


def test_the_same_vectors_and_seed_give_the_same_groups() -> None:
    """Also where there are no clear groups; another seed may give others."""
    vectors, _ = scatter((200,), spread=2.0)
    first, second, other = divide(vectors, 5), divide(vectors, 5), divide(vectors, 5, seed=1)

    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.centres, second.centres)
    assert not np.array_equal(first.labels, other.labels)


def test_many_rows_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a block at a time; the groups are those of all rows, though they are begun on some."""
    monkeypatch.setattr(groups, "BLOCK_ROWS", 64)
    monkeypatch.setattr(groups, "FITTED_ROWS", 100)
    monkeypatch.setattr(groups, "JUDGED_ROWS", 50)
    vectors, labels = scatter((700, 300))
    taken: list[int] = []

    def take(start: int, end: int) -> Vectors:
        taken.append(end - start)
        return vectors[start:end]

    grouping = group_vectors(take, len(vectors))

    assert np.array_equal(grouping.labels, labels)
    assert max(taken) == 64
    means = unit_rows(np.stack([vectors[labels == group].mean(axis=0) for group in (0, 1)]))
    assert np.abs(grouping.centres - means).max() < 1e-5


def test_the_silhouette_is_that_of_scikit_learn() -> None:
    """By the cosine distance; a row that is alone in its group counts 0."""
    vectors, _ = scatter((40, 30, 1), spread=0.6)
    grouping = divide(vectors, 5)

    expected = silhouette_score(vectors, grouping.labels, metric="cosine")
    assert grouping.silhouette == pytest.approx(expected, abs=1e-5)


def test_typical_rows_are_nearest_to_the_centre() -> None:
    """Nearest first, all of the group; fewer where there are fewer."""
    vectors, _ = scatter((30, 2))
    grouping = divide(vectors, 2)
    rows = grouping.typical(0, 5)

    cosines = vectors @ grouping.centres[0]
    expected = sorted(np.flatnonzero(grouping.labels == 0), key=lambda row: -cosines[row])[:5]
    assert rows.tolist() == expected
    assert np.allclose(grouping.similarity[rows], cosines[rows])
    assert len(grouping.typical(1, 5)) == 2


@pytest.mark.parametrize("count", [None, 3])
def test_equal_vectors_are_one_group(count: int | None) -> None:
    """There is nothing to divide."""
    grouping = divide(np.repeat(unit_rows(np.ones((1, 8))), 20, axis=0), count)

    assert grouping.sizes().tolist() == [20]
    assert grouping.silhouette is None


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_hardly_any_rows(rows: int) -> None:
    """Each is in a group."""
    vectors, _ = scatter((rows,))

    assert divide(vectors).sizes().sum() == rows
    assert divide(vectors, 5).sizes().tolist() == [1] * rows
