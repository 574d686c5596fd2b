"""Blocks of vectors → the nearest ones of each query, in memory that does not grow with their number; pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.vectors.similarity import Vectors, order_best_first, round_cosines, unit_rows

# A block of float32 rows this large stays in the processor's caches between its conversion and its product; threads
# with smaller blocks wait for each other between operations.
CONVERTED_BYTES = 1 << 21
MERGED_ENTRIES = 1 << 17  # of the results of several queries, at a time
FEW_QUERIES = 4  # that are multiplied one by one
SCORES_BYTES = 1 << 24  # scores that are computed before the best of them are kept
# float32 exponents are larger than those of float16 by the difference of their biases, 127 - 15.
HALF_SCALE = np.float32(2.0**112)
_LIFT = np.float32(2.0**52)  # what makes squares of expanded float16 numbers normal numbers
LIFTED_SCALE = HALF_SCALE / _LIFT
# A unit vector's numbers are rounded to float16 by at most 2**-11 of each; its squared length by a little over 2**-10.
SQUARE_TOLERANCE = np.float32(2e-3)
_HALF_BITS = np.int32(-0x70000001)  # 0x8fffffff: the sign, and what a float16 has of exponent and fraction


class Nearest:
    """The `count` best rows of each of m queries so far.

    `scores` is (m, count) float32 and `rows` (m, count) int64, best first, scores that are equal after rounding in the
    order of their rows; entries that no row has taken hold -inf and -1. Scores that are not above `floor`, one for all
    queries or one for each, are not kept. `wrong` are rows that were left out because they are not unit vectors.
    """

    def __init__(self, queries: int, count: int, floor: float | NDArray[np.float32] = -np.inf) -> None:
        self.scores = np.full((queries, count), -np.inf, np.float32)
        self.rows = np.full((queries, count), -1, np.int64)
        self._floor = np.array(floor, np.float32)
        self.wrong: set[int] = set()

    def add(self, scores: NDArray[np.float32], start: int) -> None:
        """Consider (n, m) scores of the n rows from `start` on; later calls have higher rows."""
        limit = np.maximum(self.scores[:, -1], self._floor)  # an equal score of a later row comes behind
        above = scores > limit
        for query in np.flatnonzero(above.any(axis=0)):
            rows = np.flatnonzero(above[:, query])
            rows = _best(scores[rows, query], rows, len(self.scores[query]))
            self.consider(int(query), scores[rows, query], rows + start)

    def merge(self, other: Nearest) -> None:
        """Add the nearest rows that another one holds, of other rows."""
        self.wrong |= other.wrong
        count = self.rows.shape[1]
        found = np.flatnonzero(other.rows[:, 0] >= 0)
        step = max(1, MERGED_ENTRIES // count)
        for queries in (found[low : low + step] for low in range(0, len(found), step)):
            scores = np.concatenate([self.scores[queries], other.scores[queries]], axis=1)
            rows = np.concatenate([self.rows[queries], other.rows[queries]], axis=1)
            order = np.lexsort((rows, -round_cosines(scores)))[:, :count]
            self.scores[queries] = np.take_along_axis(scores, order, axis=1)
            self.rows[queries] = np.take_along_axis(rows, order, axis=1)

    def select(self, queries: slice) -> Nearest:
        """The nearest rows of some of the queries."""
        part = Nearest(0, self.rows.shape[1])
        part.scores, part.rows, part.wrong = self.scores[queries], self.rows[queries], self.wrong
        return part

    def remove(self, query: int, removed: NDArray[np.bool_]) -> None:
        """Drop the entries of a query that the mask `removed` marks."""
        self.scores[query][removed], self.rows[query][removed] = -np.inf, -1
        order = np.argsort(removed, kind="stable")
        self.scores[query], self.rows[query] = self.scores[query][order], self.rows[query][order]

    def consider(self, query: int, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """Consider some rows for one query, in any order."""
        scores = np.concatenate([self.scores[query], scores])
        rows = np.concatenate([self.rows[query], rows])
        order = np.lexsort((rows, -round_cosines(scores)))[: self.rows.shape[1]]
        self.scores[query], self.rows[query] = scores[order], rows[order]


def add_vectors(
    nearest: Nearest,
    queries: Vectors,
    vectors: NDArray[np.floating[Any]],
    start: int,
    excluded: Sequence[tuple[int, int]] = (),
) -> None:
    """Consider (n, d) unit vectors, float16 or float32, for (m, d) unit queries; `start` is the first one's row.

    `excluded` are pairs of a query and one of the n rows, counted from 0, that is not among its answers. A vector whose
    length is not 1 within the error of float16 is among no answers. float16 is converted a small block at a time, so
    that a memory-mapped file takes no memory of its own.
    """
    d = queries.shape[1]
    rows = max(1, min(len(vectors), SCORES_BYTES // (4 * len(queries))))
    step = max(1, min(rows, CONVERTED_BYTES // (4 * d)))
    scores = np.empty((rows, len(queries)), np.float32)
    block = np.empty((step, d), np.float32)
    scale = LIFTED_SCALE if vectors.dtype == np.float16 else np.float32(1)
    columns = (queries * scale).T
    squares = np.empty(rows, np.float32)
    for begin in range(0, len(vectors), rows):
        part = vectors[begin : begin + rows]
        with np.errstate(invalid="ignore", over="ignore"):  # of vectors that are left out
            for low in range(0, len(part), step):
                high = min(low + step, len(part))
                near = _lift_halves(part[low:high], block[: high - low]) if scale != 1 else part[low:high]
                _multiply(near, columns, scores[low:high])
                squares[low:high] = _squared_lengths(near)
            wrong = _not_one(squares[: len(part)] * (scale * scale))
        if len(wrong):
            scores[wrong] = -np.inf
            nearest.wrong.update((start + begin + wrong).tolist())
        for query, row in excluded:
            if begin <= row < begin + len(part):
                scores[row - begin, query] = -np.inf
        nearest.add(scores[: len(part)], start + begin)


def _multiply(vectors: NDArray[np.float32], columns: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """(n, d) vectors, (d, m) columns → their products, (n, m).

    OpenBLAS runs one product in many threads, also where each core has a thread of its own that asks for one; they
    wait for each other. It does not for products of a vector with each row, which take as long where columns are few.
    """
    if columns.shape[1] <= FEW_QUERIES and hasattr(np, "vecdot"):
        for column, products in zip(columns.T, out.T, strict=True):
            np.vecdot(vectors, column, out=products)
    else:
        np.matmul(vectors, columns, out=out)


def find_wrong_rows(vectors: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The rows of (n, d) vectors whose length is not 1 within the error of float16, or not a number; in order."""
    step = max(1, CONVERTED_BYTES // (4 * max(1, vectors.shape[1])))
    squares = np.empty(len(vectors), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for low in range(0, len(vectors), step):
            squares[low : low + step] = _squared_lengths(np.asarray(vectors[low : low + step], np.float32))
    return _not_one(squares)


def _not_one(squares: NDArray[np.float32]) -> NDArray[np.intp]:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.flatnonzero(~(np.abs(squares - 1) <= SQUARE_TOLERANCE))


def _squared_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    fast = hasattr(np, "vecdot")  # since NumPy 2; takes half the time
    squares: NDArray[np.float32] = np.vecdot(vectors, vectors) if fast else np.einsum("ij,ij->i", vectors, vectors)
    return squares


def _lift_halves(halves: NDArray[np.floating[Any]], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """float16 → float32 in `out`, divided by `LIFTED_SCALE`; infinities and NaNs become large numbers."""
    return np.multiply(_expand_halves(halves, out), _LIFT, out=out)


def _expand_halves(halves: NDArray[np.floating[Any]], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """Finite float16 → float32 in `out`, divided by `HALF_SCALE`: a fifth of the time of NumPy's own conversion.

    The bits of exponent and fraction are moved to where float32 has them, and the exponent is left as it is.
    """
    bits = out.view(np.int32)
    np.copyto(bits, halves.view(np.int16))  # the sign fills the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _HALF_BITS, out=bits)
    return out


def _best(scores: NDArray[np.float32], rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The rows of the best `count` scores, of equal scores those that come first; in their order."""
    if len(rows) <= count:
        return rows
    rounded = round_cosines(scores)
    threshold = np.partition(rounded, len(rounded) - count)[len(rounded) - count]
    kept = np.flatnonzero(rounded >= threshold)
    return rows[np.sort(kept[order_best_first(rounded[kept])[:count]])]


MIN_SUM_LENGTH = 1e-3  # of a sum of unit vectors; a shorter one is what rounding left of vectors that cancel out


def combine_vectors(queries: Vectors, others: Vectors, weights: Sequence[float]) -> Vectors:
    """(m, d) and (k, d) unit vectors → (m, d): each query + Σ weight · other, normalised.

    Rows whose sum has no direction, because its parts cancel out, are NaN.

    >>> combine_vectors(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[:1], [1.0])
    array([[1.        , 0.        ],
           [0.70710677, 0.70710677]], dtype=float32)
    """
    if not len(others):
        return queries
    sums: NDArray[Any] = queries.astype(np.float64) + np.asarray(weights, np.float64) @ others.astype(np.float64)
    combined = unit_rows(sums)
    combined[np.linalg.norm(sums, axis=1) < MIN_SUM_LENGTH] = np.nan
    return combined
