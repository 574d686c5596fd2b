"""Unit vectors of a few labelled images and of the labels' texts → a unit vector for each label; pure NumPy.

Two methods lead from the text's vector to the images': the mixture is the mean of both, and ridge regression corrects
what the texts get wrong. Which of them, and how far, is chosen by cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clipsim.vectors.similarity import CELLS_AT_ONCE, Vectors, cosine, round_cosines, unit_rows

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

MAX_FOLDS = 5
MIN_EXAMPLES_TO_CHOOSE = 3  # of half of the labels; of two, none is left once one is judged and the other chooses
MAX_CHOOSING_CELLS = 500_000  # pairs of a held-out image and a label on which methods are compared
SCALES = np.geomspace(4.0, 1750.0, 16)  # factors of the cosines that are tried first
FINE_STEPS = 41  # of factors between the two neighbours of the best of these


@dataclass(frozen=True)
class Method:
    """How labels' vectors are made: "words" (the texts' vectors), "mixture" or "ridge", and its strength.

    The strength of a mixture is the number of images that the text counts as; that of ridge regression its penalty.
    """

    name: str
    strength: float | None


WORDS = Method("words", None)
FIXED = Method("mixture", 4.0)  # where there are too few images to choose
METHODS = (
    *(Method("mixture", strength) for strength in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)),
    *(Method("ridge", strength) for strength in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)),
    WORDS,
)


@dataclass(frozen=True, eq=False)
class FewShots:
    """A unit vector for each label, (m, d), and how they were chosen.

    `folds` is the number of parts of the cross-validation, None where no label has two images. `ranks` are the (n,)
    ranks of each image's own label, from 1, by vectors that were chosen and made without the image; None without folds.
    `scale` turns cosines into logits, fitted on images that were held out; None without folds.
    """

    vectors: Vectors
    method: Method
    folds: int | None
    ranks: NDArray[np.int64] | None
    scale: float | None


@dataclass(frozen=True, eq=False)
class Moments:
    """All that the methods need of n images: `gram` (d, d), the `sums` of each label's vectors (m, d), and `counts`."""

    gram: Floats
    sums: Floats
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, images: Vectors, labels: Labels, count: int) -> Moments:
        """The moments of (n, d) images with labels below `count`."""
        sums = np.zeros((count, images.shape[1]))
        gram = np.zeros((images.shape[1], images.shape[1]))
        step = max(1, CELLS_AT_ONCE // images.shape[1])
        for start in range(0, len(images), step):
            block = images[start : start + step].astype(np.float64)
            gram += block.T @ block
            np.add.at(sums, labels[start : start + step], block)
        return cls(gram, sums, np.bincount(labels, minlength=count))

    def __add__(self, other: Moments) -> Moments:
        """The moments of the images of both."""
        return Moments(self.gram + other.gram, self.sums + other.sums, self.counts + other.counts)


def make_label_vectors(moments: Moments, texts: Vectors, methods: Sequence[Method]) -> list[Vectors]:
    """The (m, d) unit vectors of the labels by each method, from (m, d) unit vectors of their texts.

    - mixture: the mean of a label's images and its text, which counts as `strength` of them. The idea, prototypes from
      a few images beside the text, is that of Zhang et al. 2022, "Tip-Adapter: Training-free Adaption of CLIP for
      Few-shot Classification"; the text as so many images makes a label with many of them rely on it less.
      What all texts have in common, and what all images have, is mixed in one share for all labels: texts and images
      lie apart from each other (Liang et al. 2022, "Mind the Gap"), and a label with few images would lie with them.
    - ridge: the least squares fit of one-hot labels (centred) with the penalty `strength` on the distance from the
      texts' vectors, themselves centred and scaled to fit best. An infinite penalty leaves the texts.

    A label whose vector would be zero has that of its text.
    """
    vectors, wide = [], texts.astype(np.float64)
    ridge = _Ridge(moments, wide) if any(method.name == "ridge" for method in methods) else None
    for method in methods:
        if method.name == "words":
            vectors.append(texts)
        elif method.name == "mixture":
            vectors.append(_unit_or_text(_mix(moments, wide, float(method.strength or 0)), texts))
        elif ridge is not None:
            vectors.append(_unit_or_text(ridge.solve(float(method.strength or 0)), texts))
    return vectors


def _mix(moments: Moments, texts: Floats, strength: float) -> Floats:
    counts = moments.counts[:, None]
    filled = moments.counts > 0
    means = moments.sums / np.maximum(counts, 1)
    share = strength / (strength + counts)  # of the text
    text, image, common = texts.mean(axis=0), means[filled].mean(axis=0), float(share[filled].mean())
    mixed: Floats = share * (texts - text) + (1 - share) * (means - image) + common * text + (1 - common) * image
    return mixed


class _Ridge:
    """Ridge regression on moments, decomposed once for all penalties."""

    def __init__(self, moments: Moments, texts: Floats) -> None:
        total, n = moments.sums.sum(axis=0), max(1, int(moments.counts.sum()))
        centred = texts - texts.mean(axis=0)
        targets = moments.sums - np.outer(moments.counts / n, total)  # (m, d): one-hot labels less their mean, by image
        spread = float(((centred @ (moments.gram - np.outer(total, total) / n)) * centred).sum())
        factor = max(0.0, float((centred * targets).sum()) / spread) if spread > 0 else 0.0
        self._prior = factor * centred
        self._values, self._axes = np.linalg.eigh(moments.gram)
        self._residual = (targets - self._prior @ moments.gram) @ self._axes

    def solve(self, penalty: float) -> Floats:
        """The (m, d) weights."""
        weights: Floats = self._prior + (self._residual / (np.maximum(self._values, 0) + penalty)) @ self._axes.T
        return weights


def _unit_or_text(weights: Floats, texts: Vectors) -> Vectors:
    is_zero = np.linalg.norm(weights, axis=1, keepdims=True) < 1e-9
    return unit_rows(np.where(is_zero, texts, weights))


def fit_few_shots(images: Vectors, labels: Labels, texts: Vectors, *, seed: int) -> FewShots:
    """(n, d) unit vectors of images, the (n,) number of each one's label and (m, d) unit vectors of the labels' texts.

    Every label has an image. The cross-validation is nested: the ranks of a part's images are those by the method that
    is best on the other parts, so that the choice does not flatter them. Parts are drawn by `seed`, and each has its
    share of each label.
    """
    most = int(np.bincount(labels).max())
    moments = Moments.of(images, labels, len(texts))
    if most < 2:
        return FewShots(make_label_vectors(moments, texts, [FIXED])[0], FIXED, None, None, None)
    parts = _divide(labels, min(MAX_FOLDS, most), seed)
    return _CrossValidation(images, labels, texts, parts, moments, seed).run()


def _divide(labels: Labels, folds: int, seed: int) -> list[Labels]:
    """The indices of the images of each part; one label begins where the one before it has ended."""
    rng, fold = np.random.default_rng(seed), np.empty(len(labels), np.intp)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold[order] = np.arange(len(labels)) % folds
    return [np.flatnonzero(fold == part) for part in range(folds)]


class _CrossValidation:
    """The parts of the images, and which method is best on them."""

    def __init__(
        self, images: Vectors, labels: Labels, texts: Vectors, parts: Sequence[Labels], moments: Moments, seed: int
    ) -> None:
        self._images, self._labels, self._texts = images, labels, texts
        self._parts, self._all = parts, moments
        self._moments = [Moments.of(images[part], labels[part], len(texts)) for part in parts]
        self._methods = METHODS if np.median(moments.counts) >= MIN_EXAMPLES_TO_CHOOSE else (FIXED,)
        most = max(len(parts), MAX_CHOOSING_CELLS // len(texts))
        chosen = np.random.default_rng(seed).permutation(len(images))[:most]
        self._choosing = [np.intersect1d(part, chosen) for part in parts]
        self._smoothing = 1 / (len(chosen) + 2)
        judged = np.bincount(labels[chosen], minlength=len(texts))
        self._weights = np.where(moments.counts > 1, 1 / np.maximum(judged, 1), 0)

    def run(self) -> FewShots:
        """Judge each part by the method that is best without it, then choose by all parts."""
        folds = range(len(self._parts))
        inner = np.zeros((len(folds), len(self._methods), len(SCALES)))
        if len(self._methods) > 1:
            for a, b in combinations(folds, 2):
                for row, vectors in enumerate(self._fit_without(a, b)):
                    inner[a, row] += self._losses(vectors, b, SCALES)
                    inner[b, row] += self._losses(vectors, a, SCALES)
        losses, ranks = np.zeros((len(self._methods), len(SCALES))), np.zeros(len(self._images), np.int64)
        for fold in folds:
            fitted = self._fit_without(fold)
            for row, vectors in enumerate(fitted):
                losses[row] += self._losses(vectors, fold, SCALES)
            best = int(inner[fold].min(axis=1).argmin())
            part = self._parts[fold]
            ranks[part] = rank_labels(fitted[best], self._images[part], self._labels[part])
        row = int(losses.min(axis=1).argmin())
        method, near = self._methods[row], float(SCALES[losses[row].argmin()])
        scale = self._fit_scale(method, near)
        return FewShots(make_label_vectors(self._all, self._texts, [method])[0], method, len(folds), ranks, scale)

    def _fit_without(self, *folds: int, methods: Sequence[Method] | None = None) -> list[Vectors]:
        """The labels' vectors by each method, from the images of all other parts."""
        zero = Moments(np.zeros_like(self._all.gram), np.zeros_like(self._all.sums), np.zeros_like(self._all.counts))
        kept = sum((part for fold, part in enumerate(self._moments) if fold not in folds), start=zero)
        return make_label_vectors(kept, self._texts, methods or self._methods)

    def _losses(self, vectors: Vectors, fold: int, scales: Floats) -> Floats:
        """The log losses of a part's images by each scale; each label counts alike, and one with a single image not.

        A little of each image is counted for all labels alike (Platt 1999, "Probabilistic outputs for support vector
        machines", smooths so), without which labels that are told apart perfectly would have an infinite scale.
        """
        rows = self._choosing[fold]
        similarity = cosine(vectors, self._images[rows])
        own = similarity[self._labels[rows], np.arange(len(rows))]
        target = (1 - self._smoothing) * own + self._smoothing * similarity.mean(axis=0)
        highest = similarity.max(axis=0)
        losses = [
            np.log(np.exp(np.float32(scale) * (similarity - highest)).sum(axis=0)) + scale * (highest - target)
            for scale in scales
        ]
        return np.array(losses) @ self._weights[self._labels[rows]]

    def _fit_scale(self, method: Method, near: float) -> float:
        """The scale of the least loss of a method on the parts that are held out."""
        step = float(SCALES[1] / SCALES[0])
        scales = np.geomspace(near / step, near * step, FINE_STEPS)
        losses = np.zeros(len(scales))
        for fold in range(len(self._parts)):
            losses += self._losses(self._fit_without(fold, methods=[method])[0], fold, scales)
        return float(scales[losses.argmin()])


def rank_labels(vectors: Vectors, images: Vectors, labels: Labels) -> NDArray[np.int64]:
    """(m, d) labels and (n, d) images, unit vectors, and each image's label → the (n,) rank of its label, from 1.

    Of cosines equal after rounding, the first label comes first.
    """
    ranks = np.empty(len(images), np.int64)
    step = max(1, CELLS_AT_ONCE // len(vectors))
    numbers = np.arange(len(vectors))[:, None]
    for start in range(0, len(images), step):
        block = slice(start, start + step)
        similarity, own = round_cosines(cosine(vectors, images[block])), labels[block]
        own_similarity = similarity[own, np.arange(len(own))]
        first_of_equals = (similarity == own_similarity) & (numbers < own)
        ranks[block] = 1 + ((similarity > own_similarity) | first_of_equals).sum(axis=0)
    return ranks
