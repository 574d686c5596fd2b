"""A `RankResult` → what sums it up: how often each text is the best, and the range of its cosines."""

from __future__ import annotations

from dataclasses import dataclass

from clipsim.scoring.records import RankResult


@dataclass(frozen=True)
class Overview:
    """How many images each text is the best of, in the order of the texts; the lowest and highest cosine of all.

    `none_count` is the number of images none of whose texts reaches its threshold.
    """

    best_counts: tuple[int, ...]
    none_count: int
    low: float
    high: float

    @classmethod
    def of(cls, result: RankResult) -> Overview:
        """Sum up a result; without images, the range is 0 to 0."""
        counts = [0] * len(result.texts)
        none_count = 0
        for image in result.scores:
            if image.best is None:
                none_count += 1
            else:
                counts[image.best] += 1
        low = min((float(image.similarity.min()) for image in result.scores), default=0.0)
        high = max((float(image.similarity.max()) for image in result.scores), default=0.0)
        return cls(tuple(counts), none_count, low, high)
