"""Cosines of known positives and negatives → the frozen `ThresholdResult`, and which scores pass it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clipsim.errors import ClipsimError, Failure, UsageError, printable
from clipsim.results.rank import ModelRecord
from clipsim.statistics.conformal import Cut, find_cut, smallest_sample
from clipsim.statistics.estimates import Estimate, estimate_share
from clipsim.vectors.similarity import round_significant

THRESHOLD_SCHEMA = "clipsim.thresholds/1"
RECALL, FALSE_ALARMS = "recall", "false_alarms"


@dataclass(frozen=True)
class Promise:
    """What a threshold promises of new pictures like those it was chosen on.

    `kind` "recall": at least the share `level` of positives pass; "false_alarms": at most that share of negatives do.
    Raises UsageError for a level that is not between 0 and 1.
    """

    kind: str
    level: float

    def __post_init__(self) -> None:
        """Check the level."""
        if not 0 < self.level < 1:
            raise UsageError(f"{self.kind}='{self.level:g}' is not a share between 0 and 1, such as 0.9")

    @property
    def mistakes(self) -> float:
        """The share of cases that may fall on the wrong side."""
        return self.level if self.kind == FALSE_ALARMS else round(1 - self.level, 12)


@dataclass(frozen=True)
class TextThreshold:
    """A text's threshold: a picture passes with at least this cosine.

    `expected`, `low` and `high` are the promised share, as it is on average over all sets of `n` pictures, and its 5th
    and 95th percentile; `recall` and `false_alarms` are measured on the pictures given.
    """

    text: str
    threshold: float
    promise: Promise
    n: int
    k: int
    expected: float
    low: float
    high: float
    recall: Estimate
    false_alarms: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """One of the "thresholds" of the JSON schema."""
        return {
            "text": self.text,
            "threshold": self.threshold,
            "promise": {"kind": self.promise.kind, "level": self.promise.level},
            "n": self.n,
            "k": self.k,
            "coverage": {"expected": self.expected, "p5": self.low, "p95": self.high},
            "recall": self.recall.to_dict(),
            "false_alarms": None if self.false_alarms is None else self.false_alarms.to_dict(),
        }


@dataclass(frozen=True)
class ThresholdResult:
    """The thresholds of several texts, and what they hold for: a model, its precision and engine, and templates."""

    model: ModelRecord
    device: str
    precision: str
    engine: str
    templates: tuple[str, ...]
    thresholds: tuple[TextThreshold, ...]
    errors: tuple[Failure, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema `clipsim.thresholds/1`, which is also the file that `rank` reads."""
        return {
            "schema": THRESHOLD_SCHEMA,
            "model": self.model.to_dict(),
            "device": self.device,
            "precision": self.precision,
            "engine": self.engine,
            "templates": list(self.templates),
            "thresholds": [threshold.to_dict() for threshold in self.thresholds],
            "errors": [failure.to_dict() for failure in self.errors],
            "warnings": list(self.warnings),
        }


def find_threshold(
    text: str, positives: Sequence[float], negatives: Sequence[float] | None, promise: Promise
) -> TextThreshold:
    """The threshold that keeps the promise, from cosines with seven significant digits.

    Raises ClipsimError for fewer pictures than the promise needs.
    """
    by_recall = promise.kind == RECALL
    scores = positives if by_recall or negatives is None else negatives
    cut = find_cut(scores, promise.mistakes, from_top=not by_recall)
    if cut is None:
        raise ClipsimError(_too_few(len(scores), promise))
    threshold = cut.score if by_recall else _next_above(cut.score)
    return TextThreshold(
        text,
        threshold,
        promise,
        cut.n,
        cut.k,
        *_promised(cut, by_recall),
        recall=_share_passing(positives, threshold),
        false_alarms=_share_passing(negatives, threshold) if negatives else None,
    )


def passes(similarity: float, threshold: float) -> bool:
    """Whether a cosine passes, judged by the seven significant digits that results show.

    >>> passes(0.24130699, 0.241307)
    True
    """
    return round_significant(similarity) >= threshold


def _promised(cut: Cut, by_recall: bool) -> tuple[float, float, float]:
    """The share on the right side of the cut, or with a promise on false alarms that on the wrong side."""
    return (cut.expected, cut.low, cut.high) if by_recall else (1 - cut.expected, 1 - cut.high, 1 - cut.low)


def _share_passing(scores: Sequence[float], threshold: float) -> Estimate:
    found = estimate_share(sum(score >= threshold for score in scores), len(scores))
    assert found is not None
    return found


def _next_above(score: float) -> float:
    """The next number with seven significant digits: what has the score itself does not pass.

    >>> _next_above(0.2413069)
    0.241307
    """
    step = 10.0 ** (math.floor(math.log10(abs(score))) - 6) if score else 1e-7
    return round_significant(score + step)


def _too_few(n: int, promise: Promise) -> str:
    needed = smallest_sample(promise.mistakes)
    kind, words = ("positives", "recall") if promise.kind == RECALL else ("negatives", "false alarms")
    return (
        f"{n} {kind} are too few to promise {promise.level:.4g} of {words}: it takes {needed} at least; "
        f"give more, or a promise of {printable(_possible(n, promise))}"
    )


def _possible(n: int, promise: Promise) -> str:
    """The strictest promise that n pictures allow, rounded to the safe side."""
    share = 1 / (n + 1)
    if promise.kind == RECALL:
        return f"at most {math.floor((1 - share) * 1000) / 1000:.4g}"
    return f"at least {math.ceil(share * 1000) / 1000:.4g}"
