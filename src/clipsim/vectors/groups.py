"""Many unit vectors → groups of those that point the same way, by spherical k-means, block by block; pure NumPy.

Dhillon and Modha 2001, "Concept Decompositions for Large Sparse Text Data Using Clustering". The first centres are
those of the greedy k-means++ (Arthur and Vassilvitskii 2007); the number of groups is that with the greatest mean
silhouette (Rousseeuw 1987) on a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.vectors.similarity import Vectors, order_best_first, unit_rows

BLOCK_ROWS = 4096
FITTED_ROWS = 20_000  # of which the centres are found before all rows are looked at
JUDGED_ROWS = 2000  # on which numbers of groups are compared
MAX_GROUPS = 12  # that are tried where the number is not given
STARTS = 4  # of which the best is taken
CANDIDATES = 4  # for each first centre, of which the best is taken
MAX_STEPS = 50
PASSES = 5  # over all rows, where those are more than `FITTED_ROWS`

Take = Callable[[int, int], Vectors]


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of n vectors, largest first.

    `centres` is (k, d), of unit length; `labels` (n,) has the group of each row, `similarity` (n,) its cosine with the
    centre of its group. `silhouette` is the mean one of a sample, -1 to 1; None for a single group.
    """

    centres: Vectors
    labels: NDArray[np.int64]
    similarity: NDArray[np.float32]
    silhouette: float | None

    def sizes(self) -> NDArray[np.int64]:
        """The number of rows in each group."""
        return np.bincount(self.labels, minlength=len(self.centres))

    def typical(self, group: int, count: int) -> NDArray[np.int64]:
        """The rows of a group that are nearest to its centre, nearest first; equals in their order."""
        rows = np.flatnonzero(self.labels == group)
        return rows[order_best_first(self.similarity[rows])[:count]]


def group_vectors(take: Take, rows: int, count: int | None = None, *, seed: int = 0) -> Grouping:
    """Divide `rows` unit vectors into `count` groups, or as many as suit them best.

    `take(start, end)` gives vectors as (n, d) float32. The same vectors and seed give the same groups. There are fewer
    than `count` where there are fewer different vectors. Memory is that of a sample of 20,000 rows and of a block.
    """
    rng = np.random.default_rng(seed)
    fitted = _sample(take, rows, FITTED_ROWS, rng)
    judged = fitted[np.sort(rng.permutation(len(fitted))[:JUDGED_ROWS])]
    if count is None:
        count = _choose_count(judged, rng)
    centres = _fit(fitted, count, rng)
    for _ in range(PASSES if rows > len(fitted) else 0):
        centres = _pass(take, rows, centres)
    labels, similarity = _assign_all(take, rows, centres)
    sizes = np.bincount(labels, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    new_number = np.empty(len(centres), np.int64)
    new_number[order] = np.arange(len(order))
    judged_labels, _ = _assign(judged, centres)
    silhouette = _silhouette(judged, judged_labels) if len(order) > 1 else None
    return Grouping(centres[order], new_number[labels], similarity, silhouette)


def _sample(take: Take, rows: int, size: int, rng: np.random.Generator) -> Vectors:
    """Up to `size` rows, in order."""
    chosen = np.sort(rng.permutation(rows)[:size])
    parts = []
    for start in range(0, rows, BLOCK_ROWS):
        inside = chosen[(chosen >= start) & (chosen < start + BLOCK_ROWS)]
        if len(inside):
            parts.append(take(start, min(start + BLOCK_ROWS, rows))[inside - start])
    return np.concatenate(parts)


def _choose_count(vectors: Vectors, rng: np.random.Generator) -> int:
    """The number of groups with the greatest silhouette; 1 where none is better than one group."""
    best, best_silhouette = 1, 0.0
    for count in range(2, min(MAX_GROUPS, len(vectors) - 1) + 1):
        labels, _ = _assign(vectors, _fit(vectors, count, rng))
        silhouette = _silhouette(vectors, labels)
        if silhouette > best_silhouette:
            best, best_silhouette = count, silhouette
    return best


def _fit(vectors: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """The centres of up to `count` groups: the best of several starts, by the sum of cosines."""
    best, best_sum = vectors[:1], -np.inf
    for _ in range(STARTS):
        centres = _first_centres(vectors, count, rng)
        before = -np.inf
        for _ in range(MAX_STEPS):
            labels, similarity = _assign(vectors, centres)
            total = float(similarity.sum(dtype=np.float64))
            if total - before <= 1e-6 * len(vectors):
                break
            before = total
            centres = _means(_sums(vectors, labels, len(centres)), centres)
        if total > best_sum:
            best, best_sum = centres, total
    return best


def _first_centres(vectors: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Centres far from each other, by k-means++; fewer where there are fewer different vectors."""
    chosen = [int(rng.integers(len(vectors)))]
    distance = _distances(vectors, vectors[chosen])[0]
    while len(chosen) < count and (total := distance.sum()) > 0:
        drawn = rng.random(CANDIDATES) * total
        candidates = np.minimum(np.searchsorted(np.cumsum(distance), drawn, side="right"), len(vectors) - 1)
        left = np.minimum(distance, _distances(vectors, vectors[candidates]))
        best = int(left.sum(axis=1).argmin())
        chosen.append(int(candidates[best]))
        distance = left[best]
    return vectors[chosen]


def _distances(vectors: Vectors, centres: Vectors) -> NDArray[np.float64]:
    """(k, n): 1 - cosine of each row and centre; 0 where that is only rounding."""
    distances: NDArray[np.float64] = 1.0 - (centres @ vectors.T).astype(np.float64)
    distances[distances < 1e-6] = 0.0
    return distances


def _assign(vectors: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest centre of each row, and the cosine with it."""
    scores = vectors @ centres.T
    labels = scores.argmax(axis=1)
    return labels, np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]


def _sums(vectors: Vectors, labels: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(k, d): the sum of the rows of each group."""
    members = (labels[None, :] == np.arange(count)[:, None]).astype(np.float32)
    sums: NDArray[np.float64] = (members @ vectors).astype(np.float64)
    return sums


def _means(sums: NDArray[np.float64], centres: Vectors) -> Vectors:
    """The new centres; that of a group without rows stays."""
    empty = ~sums.any(axis=1)
    means = unit_rows(sums)
    means[empty] = centres[empty]
    return means


def _pass(take: Take, rows: int, centres: Vectors) -> Vectors:
    """The centres after one step of k-means over all rows."""
    sums = np.zeros(centres.shape, np.float64)
    for start in range(0, rows, BLOCK_ROWS):
        block = take(start, min(start + BLOCK_ROWS, rows))
        sums += _sums(block, _assign(block, centres)[0], len(centres))
    return _means(sums, centres)


def _assign_all(take: Take, rows: int, centres: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    parts = [_assign(take(start, min(start + BLOCK_ROWS, rows)), centres) for start in range(0, rows, BLOCK_ROWS)]
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([similarity for _, similarity in parts])


def _silhouette(vectors: Vectors, labels: NDArray[np.int64]) -> float:
    """The mean silhouette by the distance 1 - cosine; 0 for the only row of a group, and for a single group.

    The mean distance to the rows of a group follows from the sum of its vectors, so that no matrix of all pairs is
    needed.
    """
    present, labels = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return 0.0
    sums, sizes = _sums(vectors, labels, len(present)), np.bincount(labels)
    distance_sums = sizes - vectors.astype(np.float64) @ sums.T  # to all rows of each group
    rows = np.arange(len(vectors))
    own_sums = distance_sums[rows, labels]
    within = own_sums / np.maximum(1, sizes[labels] - 1)
    means = distance_sums / sizes
    means[rows, labels] = np.inf
    nearest = means.min(axis=1)
    scores = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-12)
    scores[(sizes[labels] == 1) | (np.maximum(nearest, within) < 1e-6)] = 0.0
    return float(scores.mean())
