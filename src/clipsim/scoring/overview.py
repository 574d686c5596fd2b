"""A `RankResult` → what sums it up: how often each text is the best, and the range of its cosines."""

from __future__ import annotations

from dataclasses import dataclass

from clipsim.scoring.records import RankResult


@dataclass(frozen=True)
class Overview:
    """How many images each text is the best of, in the order of the texts; the lowest and highest cosine of all."""

    best_counts: tuple[int, ...]
    low: float
    high: float

    @classmethod
    def of(cls, result: RankResult) -> Overview:
        """Sum up a result; without images, the range is 0 to 0."""
        counts = [0] * len(result.texts)
        for image in result.scores:
            counts[image.best] += 1
        low = min((float(image.similarity.min()) for image in result.scores), default=0.0)
        high = max((float(image.similarity.max()) for image in result.scores), default=0.0)
        return cls(tuple(counts), low, high)
