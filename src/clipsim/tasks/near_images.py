"""A collection of images with vectors → the groups of those that are alike, and how many near pairs were looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import round_significant
from clipsim.machine import usable_cores
from clipsim.tasks.pixel_check import PixelCheck
from clipsim.tasks.progress import Progress, ProgressCallback
from clipsim.tasks.search_targets import EmbeddedCollection
from clipsim.vectors.near_lists import find_listed_pairs, make_lists
from clipsim.vectors.pairs import Groups, Pairs, find_near_pairs

LOADED_PAIRS = 512  # whose images are decoded ahead
ALL_PAIRS_ROWS = 200_000  # up to so many vectors, every two are compared


@dataclass(frozen=True, eq=False)
class NearGroups:
    """Groups of rows, and how their pairs were found: "all" of them, or by "lists" of near ones.

    `recall` is the estimated share of an image's near ones that were found, None where it could not be estimated;
    `notices` say so.
    """

    groups: Groups
    pairs: str
    recall: float | None
    notices: tuple[str, ...] = ()


def group_images(
    collection: EmbeddedCollection,
    threshold: float,
    check: PixelCheck | None,
    progress: ProgressCallback,
    *,
    all_pairs: bool,
) -> NearGroups:
    """Group the rows that are alike: of the same bytes, or with vectors over the threshold and by `check` alike.

    Of more than 200,000 images, only those in near lists are compared, unless `all_pairs`.
    """
    copies = find_copies(collection.digests)
    repeated = {row for rows in copies for row in rows[1:]}
    rows = np.array([row for row in range(len(collection)) if row not in repeated], np.int64)
    groups = Groups()
    for first, *others in copies:
        for other in others:
            groups.join(first, other)

    def gather(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return collection.vectors.take(rows[indices])

    near = NearGroups(groups, "all", 1.0)
    if all_pairs or len(rows) <= ALL_PAIRS_ROWS:
        pairs = find_near_pairs(
            lambda start, end: gather(np.arange(start, end)), len(rows), threshold, workers=usable_cores()
        )
    else:
        progress(Progress("comparing a sample", 0, None))
        lists = make_lists(gather, len(rows), threshold, workers=usable_cores())
        sampled = f"a sample of {lists.sampled:,} images that was compared with all"
        share = (
            f"how many near pairs that finds is not known: {sampled} has none"
            if lists.recall is None
            else f"which finds {lists.recall:.1%} of an image's near ones, by {lists.pairs:,} near pairs of {sampled}"
        )
        notice = (
            f"{len(rows):,} images were compared within {len(lists.centres):,} lists of near ones, {share}; ask for "
            "all pairs to have every two compared"
        )
        recall = None if lists.recall is None else round_significant(lists.recall)
        near = NearGroups(groups, "lists", recall, (notice,))
        pairs = find_listed_pairs(gather, len(rows), threshold, lists, workers=usable_cores())
    with closing(pairs) as blocks:
        for done, block in blocks:
            _join(groups, check, rows, block)
            progress(Progress("comparing", done, len(rows)))
    return near


def _join(groups: Groups, check: PixelCheck | None, rows: NDArray[np.int64], pairs: Pairs) -> None:
    """Put near rows into one group; with `check`, only those whose pixels are alike."""
    firsts, seconds = rows[pairs.first].tolist(), rows[pairs.second].tolist()
    for begin in range(0, len(firsts), LOADED_PAIRS):
        part = list(zip(firsts[begin : begin + LOADED_PAIRS], seconds[begin : begin + LOADED_PAIRS], strict=True))
        part = [pair for pair in part if not groups.together(*pair)]
        if check is not None:
            check.load(row for pair in part for row in pair)
        for first, second in part:
            if not groups.together(first, second) and (check is None or check.alike(first, second)):
                groups.join(first, second)


def find_copies(digests: Sequence[bytes | None]) -> list[list[int]]:
    """The rows that share a digest, two and more; in the order of the first.

    >>> find_copies([b"a", b"b", None, b"a", None])
    [[0, 3]]
    """
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if digest is not None:
            rows[digest].append(row)
    return [copies for copies in rows.values() if len(copies) > 1]
