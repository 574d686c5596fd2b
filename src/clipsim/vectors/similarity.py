"""Feature vectors → cosine similarities, probabilities and the best text of each image; pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import round_significant

Vectors = NDArray[np.float32]
NEAR_EQUAL_BLOCK = 256  # rows
CELLS_AT_ONCE = 1 << 24  # cosines: 64 MB
MIN_LENGTH = 1e-140
COSINE_DECIMALS = 6  # a cosine is promised to 1e-6, whatever the batch, the engine or the cache


def unit_rows(features: NDArray[np.floating]) -> Vectors:
    """Scale the vectors along the last axis to length one.

    >>> unit_rows(np.array([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    wide = features.astype(np.float64)
    with np.errstate(over="ignore"):
        length = np.linalg.norm(wide, axis=-1, keepdims=True)
    extreme = ~((length > MIN_LENGTH) & (length < 1 / MIN_LENGTH))
    if extreme.any():  # the squares of such numbers do not fit into float64
        largest = np.abs(wide).max(axis=-1, keepdims=True, initial=0)
        wide = np.where(extreme, wide / np.where(largest > 0, largest, 1), wide)
        length = np.linalg.norm(wide, axis=-1, keepdims=True)
    unit: Vectors = (wide / np.maximum(length, np.finfo(np.float64).tiny)).astype(np.float32)
    return unit


def mean_of_templates(features: NDArray[np.floating]) -> Vectors:
    """(m, t, d) features of m texts in t templates → (m, d) unit vectors: the mean of each text's unit vectors.

    The prompt ensemble of Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 3.1.4.
    """
    return unit_rows(unit_rows(features).astype(np.float64).mean(axis=1))


def cosine(text_vectors: Vectors, image_vectors: Vectors) -> Vectors:
    """(m, d) and (n, d) unit vectors → (m, n) cosines in [-1, 1].

    Summed in float64, so that the order of the sum, which depends on m and n, does not show after rounding to float32.
    """
    similarity = text_vectors.astype(np.float64) @ image_vectors.astype(np.float64).T
    return np.clip(similarity, -1.0, 1.0).astype(np.float32)


def pair_cosines(vectors: Vectors, others: Vectors) -> NDArray[np.float32]:
    """(n, d) and (n, d) unit vectors → (n,) cosines in [-1, 1], row by row; summed in float64 as `cosine` does.

    >>> pair_cosines(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]).tolist()
    [0.0, 0.0]
    """
    similarity = np.einsum("ij,ij->i", vectors.astype(np.float64), others.astype(np.float64))
    cosines: NDArray[np.float32] = np.clip(similarity, -1.0, 1.0).astype(np.float32)
    return cosines


def round_cosines(similarity: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosines to the decimals that are promised. Whatever orders cosines compares these, so that ties are ties.

    >>> round_cosines(np.array([0.2500001, 0.2500004, 0.2500006])).tolist()
    [0.25, 0.25, 0.250001]
    """
    wide: NDArray[np.float64] = similarity.astype(np.float64)
    return wide.round(COSINE_DECIMALS)


def order_best_first(similarity: NDArray[np.floating]) -> NDArray[np.intp]:
    """The indices of cosines along the last axis, best first; of equal ones, the first comes first.

    >>> order_best_first(np.array([0.2, 0.3, 0.3000001])).tolist()
    [1, 2, 0]
    """
    return np.argsort(-round_cosines(similarity), axis=-1, kind="stable")


def probabilities(
    similarity: Vectors, *, head: str, logit_scale: float, logit_bias: float | None = None
) -> NDArray[np.float64] | None:
    """(m, n) cosines → (m, n) probabilities, or None where they would say nothing.

    `logit_scale` is the factor itself, after the exponential. With the head "softmax" each column sums to one, and
    a single text has no probability; with "sigmoid" (SigLIP) each pair stands alone.

    >>> probabilities(np.array([[0.3], [0.2]], np.float32), head="softmax", logit_scale=100.0).round(4).tolist()
    [[1.0], [0.0]]
    >>> probabilities(np.array([[0.1]], np.float32), head="sigmoid", logit_scale=10.0, logit_bias=-1.0).tolist()
    [[0.5000000037252903]]
    """
    if head == "softmax" and len(similarity) < 2:
        return None
    logits: NDArray[np.float64] = logit_scale * similarity.astype(np.float64) + (logit_bias or 0.0)
    if head == "sigmoid":
        return 0.5 * (1.0 + np.tanh(0.5 * logits))  # the logistic function, without overflow
    share: NDArray[np.float64] = np.exp(logits - logits.max(axis=0, keepdims=True))
    share /= share.sum(axis=0, keepdims=True)
    return share


def best_text(similarity: NDArray[np.floating]) -> NDArray[np.intp]:
    """(m, n) cosines → (n,) index of each image's best text; the first of equals.

    >>> best_text(np.array([[0.1, 0.4], [0.3, 0.4]], np.float32)).tolist()
    [1, 0]
    """
    best: NDArray[np.intp] = round_cosines(similarity).argmax(axis=0)
    return best


def best_passing_text(similarity: NDArray[np.floating], thresholds: Sequence[float]) -> list[int | None]:
    """(m, n) cosines and m thresholds → the index of each image's best text that reaches its own, or None.

    Judged by the seven significant digits that results show.

    >>> best_passing_text(np.array([[0.1, 0.4], [0.3, 0.2]], np.float32), [0.2, 0.4])
    [None, 0]
    """
    best: list[int | None] = []
    for column, rounded in zip(similarity.T, round_cosines(similarity).T, strict=True):
        passing = [k for k, score in enumerate(column) if round_significant(float(score)) >= thresholds[k]]
        best.append(max(passing, key=rounded.__getitem__) if passing else None)
    return best


def score_images(
    text_vectors: Vectors, features: NDArray[np.floating], *, head: str, logit_scale: float, logit_bias: float | None
) -> tuple[Vectors, NDArray[np.float64] | None]:
    """(m, d) unit text vectors, (n, d) image features → (m, n) cosines, and (m, n) probabilities or None."""
    similarity = cosine(text_vectors, unit_rows(features))
    return similarity, probabilities(similarity, head=head, logit_scale=logit_scale, logit_bias=logit_bias)


def find_near_equal(vectors: Vectors, threshold: float) -> list[tuple[int, int]]:
    """(n, d) unit vectors → the rows that have a cosine of `threshold` or more with one before them, and that one."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(vectors), NEAR_EQUAL_BLOCK):
        block = vectors[start : start + NEAR_EQUAL_BLOCK]
        near = np.tril(cosine(block, vectors[: start + len(block)]) >= threshold, start - 1)
        rows = np.flatnonzero(near.any(axis=1))
        pairs += zip((start + rows).tolist(), near[rows].argmax(axis=1).tolist(), strict=True)
    return pairs


def rank_right(queries: Vectors, gallery: Vectors, right: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(q, d) and (g, d) unit vectors, the right ones of each query → (q,) rank of the best right one, from 1.

    Of equal cosines, the first in the gallery comes first. Cosines are computed in blocks of queries, so that memory
    does not grow with q · g.
    """
    ranks = np.empty(len(queries), np.int64)
    block = max(1, CELLS_AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(queries), block):
        scores = round_cosines(cosine(queries[start : start + block], gallery))
        block_right = right[start : start + block]
        bests = np.array([row[right_rows].max() for row, right_rows in zip(scores, block_right, strict=True)])
        higher = (scores > bests[:, None]).sum(axis=1)
        equal = (scores >= bests[:, None]).sum(axis=1) - higher
        for query in np.flatnonzero(equal > 1).tolist():
            row, right_rows = scores[query], block_right[query]
            first = right_rows[row[right_rows] == bests[query]][0]
            higher[query] += (row[:first] == bests[query]).sum()
        ranks[start : start + block] = 1 + higher
    return ranks
