"""Scores of known positives and negatives → thresholds with a guarantee, and how far the guarantee can miss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipsim.errors import ClipsimError, UsageError, printable, round_significant
from clipsim.statistics.distributions import beta_quantile
from clipsim.statistics.estimates import Estimate, estimate_share

PERCENTILES = (0.05, 0.95)
RECALL, FALSE_ALARMS, FALSE_ALARMS_ANY = "recall", "false_alarms", "false_alarms_any"
CHOSEN = "of the images that the threshold was chosen on"


@dataclass(frozen=True)
class Guarantee:
    """What a threshold promises of new images like those it was chosen on.

    `kind` "recall": at least the share `level` of positives pass; "false_alarms": at most that share of negatives do,
    for each text by itself; "false_alarms_any": at most that share of negatives pass for any of the texts.
    Raises UsageError for a level that is not between 0 and 1.
    """

    kind: str
    level: float

    def __post_init__(self) -> None:
        """Check the level."""
        if not 0 < self.level < 1:
            raise UsageError("not between 0 and 1, such as 0.9", parameter=self.kind, value=self.level)

    @property
    def mistakes(self) -> float:
        """The share of cases that may fall on the wrong side."""
        return round(1 - self.level, 12) if self.kind == RECALL else self.level


@dataclass(frozen=True)
class TextThreshold:
    """A text's threshold: an image passes with at least this cosine.

    `expected`, `low` and `high` are the promised share, as it is on average over all sets of `n` images, and its 5th
    and 95th percentile; `recall` and `false_alarms` are measured on the images given, and have no interval where the
    threshold was chosen on these. `words` are what the text stands for, None where it is its own only word.
    """

    text: str
    threshold: float
    guarantee: Guarantee
    n: int
    k: int
    expected: float
    low: float
    high: float
    recall: Estimate
    false_alarms: Estimate | None
    words: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """One of the "thresholds" of the JSON schema."""
        return {
            "text": self.text,
            **({} if self.words is None else {"words": list(self.words)}),
            "threshold": self.threshold,
            "promise": {"kind": self.guarantee.kind, "level": self.guarantee.level},
            "n": self.n,
            "k": self.k,
            "coverage": {"expected": self.expected, "p5": self.low, "p95": self.high},
            "recall": self.recall.to_dict(),
            "false_alarms": None if self.false_alarms is None else self.false_alarms.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TextThreshold:
        """Read what `to_dict` wrote. Raises TypeError, KeyError or UsageError for anything else."""
        coverage, words, alarms = values["coverage"], values.get("words"), values["false_alarms"]
        return cls(
            values["text"],
            values["threshold"],
            Guarantee(**values["promise"]),
            values["n"],
            values["k"],
            coverage["expected"],
            coverage["p5"],
            coverage["p95"],
            Estimate(**values["recall"]),
            None if alarms is None else Estimate(**alarms),
            None if words is None else tuple(words),
        )


@dataclass(frozen=True)
class ConformalThreshold:
    """The k-th score of n, counted from the end where mistakes are made, and what a threshold there promises.

    `expected` is the share of new cases that are judged right on average over all sets of n cases; `low` and `high`
    are the 5th and the 95th percentile of that share for a single set.
    """

    score: float
    k: int
    n: int
    expected: float
    low: float
    high: float


def smallest_sample(mistakes: float) -> int:
    """How many cases a promise of at most this share of mistakes needs.

    >>> smallest_sample(0.1), smallest_sample(0.05)
    (9, 19)
    """
    return math.ceil(1 / Fraction(str(mistakes))) - 1


def fit_threshold(scores: Sequence[float], mistakes: float, *, from_top: bool = False) -> ConformalThreshold | None:
    """The score at which at most a share `mistakes` of new cases fall on the wrong side; None for too few scores.

    Of n scores it is the k-th smallest (with `from_top` the k-th largest), k = floor(mistakes · (n + 1)): split
    conformal prediction, Papadopoulos et al. 2002, "Inductive Confidence Machines for Regression"; Vovk 2012,
    "Conditional validity of inductive conformal predictors", gives the distribution over sets of n cases, the share
    judged right being Beta(n + 1 - k, k). Both hold for new cases that are exchangeable with these.

    >>> fit_threshold([0.3, 0.1, 0.2, 0.5, 0.4, 0.9, 0.6, 0.8, 0.7], 0.1).score
    0.1
    """
    n = len(scores)
    k = math.floor(Fraction(str(mistakes)) * (n + 1))
    if k < 1:
        return None
    low, high = (beta_quantile(share, n + 1 - k, k) for share in PERCENTILES)
    return ConformalThreshold(sorted(scores, reverse=from_top)[k - 1], k, n, (n + 1 - k) / (n + 1), low, high)


def find_threshold(
    text: str, positives: Sequence[float], negatives: Sequence[float], guarantee: Guarantee
) -> TextThreshold:
    """The threshold of one text by itself that keeps the guarantee, from cosines with seven significant digits.

    Raises ClipsimError for fewer scores than the guarantee needs.
    """
    by_recall = guarantee.kind == RECALL
    fit = _fit(positives if by_recall else negatives, guarantee)
    threshold = fit.score if by_recall else _next_above(fit.score)
    return _make_threshold(text, threshold, fit, guarantee, positives, negatives)


def find_joint_thresholds(
    texts: Sequence[str],
    positives: Sequence[Sequence[float]],
    negatives: Sequence[Sequence[float]],
    guarantee: Guarantee,
) -> list[TextThreshold]:
    """The thresholds of several texts at which at most a share of new negatives reaches any of them.

    `positives` and `negatives` are the cosines of each text with the images. Each threshold is the mean cosine of its
    text with the positives plus one margin for all texts: the split conformal threshold of the greatest margin that a
    negative has. Since the means do not depend on the negatives, the promise is exact, whatever they are.

    Raises ClipsimError for fewer negatives than the guarantee needs.
    """
    means = [math.fsum(cosines) / len(cosines) for cosines in positives]
    margins = [
        max(cosine - mean for cosine, mean in zip(image, means, strict=True)) for image in zip(*negatives, strict=True)
    ]
    fit = _fit(margins, guarantee)
    return [
        _make_threshold(text, _next_above(mean + fit.score), fit, guarantee, own_positives, own_negatives)
        for text, mean, own_positives, own_negatives in zip(texts, means, positives, negatives, strict=True)
    ]


def estimate_any(thresholds: Sequence[TextThreshold], negatives: Sequence[Sequence[float]]) -> Estimate | None:
    """The share of negatives that reach the threshold of at least one text; None without negatives."""
    passing = [
        any(cosine >= own.threshold for cosine, own in zip(image, thresholds, strict=True))
        for image in zip(*negatives, strict=True)
    ]
    return _share(passing, chosen=thresholds[0].guarantee.kind != RECALL)


def _fit(scores: Sequence[float], guarantee: Guarantee) -> ConformalThreshold:
    fit = fit_threshold(scores, guarantee.mistakes, from_top=guarantee.kind != RECALL)
    if fit is None:
        raise ClipsimError(_too_few(len(scores), guarantee))
    return fit


def _make_threshold(
    text: str,
    threshold: float,
    fit: ConformalThreshold,
    guarantee: Guarantee,
    positives: Sequence[float],
    negatives: Sequence[float],
) -> TextThreshold:
    by_recall = guarantee.kind == RECALL
    shares = (fit.expected, fit.low, fit.high)  # judged right; a guarantee on false alarms is on those judged wrong
    recall = _share([score >= threshold for score in positives], chosen=by_recall)
    if recall is None:
        raise ValueError("no positives")
    return TextThreshold(
        text,
        threshold,
        guarantee,
        fit.n,
        fit.k,
        *(shares if by_recall else (1 - fit.expected, 1 - fit.high, 1 - fit.low)),
        recall=recall,
        false_alarms=_share([score >= threshold for score in negatives], chosen=not by_recall),
    )


def _share(passing: Sequence[bool], *, chosen: bool) -> Estimate | None:
    """The share of images that pass; without an interval where the threshold was `chosen` on them; None of none."""
    if not passing:
        return None
    share = estimate_share(sum(passing), len(passing))
    return Estimate(share.value, None, None, share.n, CHOSEN) if chosen else share


def _next_above(score: float) -> float:
    """A number with seven significant digits above a score, at most two of their steps: the score itself fails it.

    >>> _next_above(0.2413069)
    0.241307
    """
    step = 10.0 ** (math.floor(math.log10(abs(score))) - 6) if score else 1e-7
    return round_significant(score + step)


def _too_few(n: int, guarantee: Guarantee) -> str:
    needed = smallest_sample(guarantee.mistakes)
    kind, words = ("positives", "recall") if guarantee.kind == RECALL else ("negatives", "false alarms")
    return (
        f"{n} {kind} are too few to promise {guarantee.level:.4g} of {words}: it takes {needed} at least; "
        f"give more, or a promise of {printable(_possible(n, guarantee))}"
    )


def _possible(n: int, guarantee: Guarantee) -> str:
    """The strictest guarantee that n images allow, rounded to the safe side."""
    share = 1 / (n + 1)
    if guarantee.kind == RECALL:
        return f"at most {math.floor((1 - share) * 1000) / 1000:.4g}"
    return f"at least {math.ceil(share * 1000) / 1000:.4g}"
