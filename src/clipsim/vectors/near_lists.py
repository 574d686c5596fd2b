"""Many unit vectors → the pairs that are nearer than a threshold, looked for in lists of near ones; pure NumPy.

Each vector is in the list of the nearest of many centres, and is compared with those in the lists of its few nearest
centres. How many lists that takes is measured by comparing a sample of vectors with all.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.vectors.nearest import Nearest
from clipsim.vectors.pairs import BLOCK_ROWS, MAX_NEIGHBOURS, Pairs, map_ahead
from clipsim.vectors.similarity import Vectors, unit_rows

TRAINING_ROWS = 16  # for each list
TRAINING_ROUNDS = 6
SCORES = 1 << 24  # cosines with centres, or with the sample, that are computed at a time
SAMPLE_ROWS = 2048  # that are compared with all
PROBES = (1, 2, 4, 8, 16, 32)
UNKNOWN_PROBES = 8  # where the sample has no near pair
TARGET_RECALL = 0.99  # of the sample's near pairs; by chance, that of all is less
GATHERED_ROWS = 32_768  # of several lists, that are read together
MEMBER_ROWS = 8192  # of a long list, at a time

Gather = Callable[[NDArray[np.int64]], Vectors]  # rows in ascending order → their vectors, (k, d) float32
IntRows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NearLists:
    """Unit centres, (k, d), and the number of lists that each vector is compared with.

    `recall` is the share of its near ones that this finds for a vector, on average over those of `sampled` vectors that
    have some, `pairs` in all; None where none has. So it is not that of a few vectors with very many near ones.
    """

    centres: Vectors
    probes: int
    recall: float | None
    pairs: int
    sampled: int


def make_lists(gather: Gather, rows: int, threshold: float, *, workers: int = 1) -> NearLists:
    """Lists for `rows` unit vectors, and how many of them find the pairs over the threshold.

    Of each sampled vector, the 32 nearest count. Memory is that of 16 vectors a list, and of a block for each worker.
    """
    centres = _train(gather, rows)
    sample = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE_ROWS)).astype(np.int64))
    nearest = _compare_with_all(gather, rows, sample, threshold, workers)
    queries, columns = np.nonzero(nearest.rows >= 0)
    ranks = _find_ranks(gather, centres, sample[queries], nearest.rows[queries, columns])
    if not len(ranks):
        return NearLists(centres, min(UNKNOWN_PROBES, len(centres)), None, 0, len(sample))
    weights = 1 / np.bincount(queries)[queries]  # so that each vector with near ones counts alike
    recalls = {probes: float(np.average(ranks < probes, weights=weights)) for probes in PROBES}
    probes = next((probes for probes, recall in recalls.items() if recall >= TARGET_RECALL), PROBES[-1])
    return NearLists(centres, min(probes, len(centres)), recalls[probes], len(ranks), len(sample))


def find_listed_pairs(
    gather: Gather, rows: int, threshold: float, lists: NearLists, *, workers: int = 1
) -> Generator[tuple[int, Pairs], None, None]:
    """The pairs among `rows` unit vectors over the threshold that the lists find; with them, how many rows are done.

    A pair can come twice, from two blocks. Of each vector, the 32 nearest in each list are found. Memory is that of the
    numbers of the lists of all vectors, and of a few blocks.
    """
    nearest_lists = _assign(gather, rows, lists, workers)
    order = np.argsort(nearest_lists.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(nearest_lists.ravel(), minlength=len(lists.centres)))
    visitors = [part // lists.probes for part in np.split(order, ends[:-1])]
    members = [part[part % lists.probes == 0] // lists.probes for part in np.split(order, ends[:-1])]

    def compare(block: tuple[list[int], slice]) -> tuple[int, Pairs]:
        batch, part = block
        fetch = _fetch_together(gather, [visitors[number] for number in batch])
        compared = [
            pairs
            for number in batch
            for pairs in _compare_list(fetch, visitors[number][part], members[number], threshold)
        ]
        return sum(len(visitors[number][part]) for number in batch), _join_pairs(compared)

    done = 0
    with closing(map_ahead(compare, _make_blocks([len(part) for part in visitors]), workers)) as blocks:
        for visits, pairs in blocks:
            done += visits
            yield done // lists.probes, pairs


def _train(gather: Gather, rows: int) -> Vectors:
    """Unit centres by spherical k-means on a sample; up to the power of two nearest to 1.5 · √n."""
    count = max(1, min(2 ** round(np.log2(max(1.0, 1.5 * rows**0.5))), rows))
    sample = gather(np.unique(np.linspace(0, rows - 1, min(rows, count * TRAINING_ROWS)).astype(np.int64)))
    centres = sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)]
    for _ in range(TRAINING_ROUNDS):
        step = max(1, SCORES // len(centres))
        labels = np.concatenate(
            [(sample[start : start + step] @ centres.T).argmax(axis=1) for start in range(0, len(sample), step)]
        )
        order = np.argsort(labels, kind="stable")
        _, starts = np.unique(labels[order], return_index=True)  # lists that no vector is in are left out
        centres = np.nan_to_num(unit_rows(np.add.reduceat(sample[order], starts, axis=0)))
    return centres


def _compare_with_all(gather: Gather, rows: int, sample: IntRows, threshold: float, workers: int) -> Nearest:
    """The nearest rows of each sampled one over the threshold, itself left out."""
    queries = gather(sample)
    step = max(1, SCORES // len(sample))

    def compare(start: int) -> Nearest:
        end = min(start + step, rows)
        scores = gather(np.arange(start, end)) @ queries.T
        own = np.flatnonzero((sample >= start) & (sample < end))
        scores[sample[own] - start, own] = -np.inf
        nearest = Nearest(len(sample), MAX_NEIGHBOURS, threshold)
        nearest.add(scores, start)
        return nearest

    nearest = Nearest(len(sample), MAX_NEIGHBOURS, threshold)
    with ThreadPoolExecutor(workers, "compare") as pool:
        for part in pool.map(compare, range(0, rows, step)):
            nearest.merge(part)
    return nearest


def _find_ranks(gather: Gather, centres: Vectors, first: IntRows, second: IntRows) -> IntRows:
    """For each pair of rows, how many lists come before that of one among the nearest lists of the other."""
    ranks = [np.zeros(0, np.int64)]
    step = max(1, SCORES // len(centres))
    for start in range(0, len(first), step):
        scores = [_gather_any(gather, rows[start : start + step]) @ centres.T for rows in (first, second)]
        homes = [part.argmax(axis=1)[:, None] for part in scores]
        both = [
            (part > np.take_along_axis(part, home, axis=1)).sum(axis=1)
            for part, home in zip(scores, reversed(homes), strict=True)
        ]
        ranks.append(np.minimum(*both))
    return np.concatenate(ranks)


def _gather_any(gather: Gather, rows: IntRows) -> Vectors:
    """The vectors of rows in any order, and repeated ones."""
    unique, positions = np.unique(rows, return_inverse=True)
    return gather(unique)[positions]


def _assign(gather: Gather, rows: int, lists: NearLists, workers: int) -> NDArray[np.int32]:
    """(n, probes): the nearest lists of each row, its own first."""
    nearest_lists = np.empty((rows, lists.probes), np.int32)
    step = max(1, SCORES // len(lists.centres))

    def assign(start: int) -> None:
        scores = gather(np.arange(start, min(start + step, rows))) @ lists.centres.T
        near = np.argpartition(-scores, lists.probes - 1, axis=1)[:, : lists.probes]
        order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
        nearest_lists[start : start + step] = np.take_along_axis(near, order, axis=1)

    with ThreadPoolExecutor(workers, "assign") as pool:
        for _ in pool.map(assign, range(0, rows, step)):
            pass
    return nearest_lists


def _make_blocks(sizes: list[int]) -> Iterator[tuple[list[int], slice]]:
    """Lists, and which of the visitors of each are compared at a time: all, or a part of those of a long list.

    So an interruption waits for a part, whatever the length of a list.
    """
    for batch in _make_batches(sizes):
        longest = max(sizes[number] for number in batch)
        step = BLOCK_ROWS if longest > GATHERED_ROWS else GATHERED_ROWS
        for start in range(0, longest, step):
            yield batch, slice(start, start + step)


def _make_batches(sizes: list[int]) -> Iterator[list[int]]:
    """Consecutive lists that have up to `GATHERED_ROWS` visitors together; a longer one is alone.

    >>> list(_make_batches([20_000, 10_000, 9_000, 50_000, 1]))
    [[0, 1], [2], [3], [4]]
    """
    batch: list[int] = []
    total = 0
    for number, size in enumerate(sizes):
        if batch and total + size > GATHERED_ROWS:
            yield batch
            batch, total = [], 0
        batch.append(number)
        total += size
    if batch:
        yield batch


def _fetch_together(gather: Gather, parts: list[IntRows]) -> Gather:
    """What reads rows of several lists, which are all read at once where they are not too many."""
    if sum(map(len, parts)) > GATHERED_ROWS:
        return gather
    rows = np.unique(np.concatenate(parts))
    vectors = gather(rows)
    return lambda chosen: vectors[np.searchsorted(rows, chosen)]


def _compare_list(fetch: Gather, visitors: IntRows, members: IntRows, threshold: float) -> Iterator[Pairs]:
    """The pairs of a visitor and another member of a list, block by block."""
    for start in range(0, len(visitors), BLOCK_ROWS):
        block_rows = visitors[start : start + BLOCK_ROWS]
        block = fetch(block_rows)
        nearest = Nearest(len(block), MAX_NEIGHBOURS, threshold)
        for low in range(0, len(members), MEMBER_ROWS):
            member_rows = members[low : low + MEMBER_ROWS]
            scores = fetch(member_rows) @ block.T
            positions = np.minimum(np.searchsorted(member_rows, block_rows), len(member_rows) - 1)
            own = np.flatnonzero(member_rows[positions] == block_rows)  # no row with itself
            scores[positions[own], own] = -np.inf
            nearest.add(scores, low)
        queries, columns = np.nonzero(nearest.rows >= 0)
        rows, others = block_rows[queries], members[nearest.rows[queries, columns]]
        yield Pairs(np.minimum(rows, others), np.maximum(rows, others), nearest.scores[queries, columns])


def _join_pairs(parts: list[Pairs]) -> Pairs:
    """The pairs of several parts, each once, greatest cosine first."""
    first, second = (
        np.concatenate([np.zeros(0, np.int64), *rows])
        for rows in ([part.first for part in parts], [part.second for part in parts])
    )
    similarity = np.concatenate([np.zeros(0, np.float32), *(part.similarity for part in parts)])
    order = np.lexsort((-similarity, second, first))
    again = (np.diff(first[order], prepend=-1) == 0) & (np.diff(second[order], prepend=-1) == 0)
    order = order[~again]
    order = order[np.argsort(-similarity[order], kind="stable")]
    return Pairs(first[order], second[order], similarity[order])
