"""A few labelled vectors → the labels' vectors: beside scikit-learn, at the limits, by honest cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from clipsim.vectors.few_shots import (
    FIXED,
    WORDS,
    Labels,
    Method,
    Moments,
    fit_few_shots,
    make_label_vectors,
    rank_labels,
)
from clipsim.vectors.similarity import Vectors, unit_rows

Examples = tuple[Vectors, Labels, Vectors, Vectors, Labels]


def draw(seed: int, shots: int, *, count: int = 20, size: int = 32, noise: float = 1.2, texts: float = 0.9) -> Examples:
    """Images around a centre for each label, shifted as a CLIP model's images are from its texts, which are noisy too.

    (n, d) examples, their labels, (m, d) texts, and images to test on with their labels; all unit vectors.
    """
    rng = np.random.default_rng(seed)
    centres, shift = rng.normal(size=(count, size)), rng.normal(size=(2, size)) * 2
    of, tested = np.repeat(np.arange(count), shots), np.repeat(np.arange(count), 30)

    def images(labels: Labels) -> Vectors:
        return unit_rows(centres[labels] + shift[0] + noise * rng.normal(size=(len(labels), size)))

    return (
        images(of),
        of,
        unit_rows(centres + shift[1] + texts * rng.normal(size=(count, size))),
        images(tested),
        tested,
    )


def accuracy(vectors: Vectors, images: Vectors, labels: Labels) -> float:
    """The share of images whose label comes first."""
    return float((rank_labels(vectors, images, labels) == 1).mean())


def test_ridge_is_that_of_scikit_learn() -> None:
    """On what the best multiple of the centred texts leaves of the centred labels."""
    images, labels, texts, *_ = draw(0, 5)
    targets = np.eye(len(texts))[labels]
    targets -= targets.mean(axis=0)
    centred = texts - texts.mean(axis=0, dtype=np.float64)
    scores = images @ centred.T
    factor = (scores * targets).sum() / ((scores - scores.mean(axis=0)) ** 2).sum()
    ridge = Ridge(alpha=3.0, fit_intercept=False).fit(images.astype(np.float64), targets - factor * scores)
    expected = factor * centred + ridge.coef_
    (vectors,) = make_label_vectors(Moments.of(images, labels, len(texts)), texts, [Method("ridge", 3.0)])

    assert factor > 0
    assert np.abs(vectors - expected / np.linalg.norm(expected, axis=1, keepdims=True)).max() < 1e-6


def test_a_mixture_is_the_mean_of_images_and_its_text() -> None:
    """The text counts as so many images of a label, where all labels have as many."""
    images, labels, texts, *_ = draw(0, 3)
    (vectors,) = make_label_vectors(Moments.of(images, labels, len(texts)), texts, [Method("mixture", 2.0)])
    own = np.concatenate([images[labels == 4], texts[[4, 4]]]).mean(axis=0, dtype=np.float64)

    assert np.abs(vectors[4] - own / np.linalg.norm(own)).max() < 1e-6
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("method", [Method("mixture", 1e9), Method("ridge", 1e12), WORDS])
def test_the_strongest_of_each_method_leaves_the_texts(method: Method) -> None:
    """In the order in which they rank images, at least."""
    images, labels, texts, *_ = draw(1, 2)
    (vectors,) = make_label_vectors(Moments.of(images, labels, len(texts)), texts, [method])
    reference = texts if method.name != "ridge" else unit_rows(texts - texts.mean(axis=0))

    assert np.abs(vectors - reference).max() < 1e-4


@pytest.mark.parametrize("shots", [1, 2, 4, 16])
def test_it_is_better_than_words_and_no_worse_than_logistic_regression(shots: int) -> None:
    """On images that were not examples, averaged over five draws; a margin of two points.

    The texts are as good as a few images, as those of a model are for what it knows.
    """
    gains, over_regression = [], []
    for seed in range(5):
        images, labels, texts, tested, truth = draw(seed, shots, texts=0.4)
        fitted = fit_few_shots(images, labels, texts, seed=seed)
        right = accuracy(fitted.vectors, tested, truth)
        best = max(
            LogisticRegression(C=strength, max_iter=500).fit(images, labels).score(tested, truth)
            for strength in (1.0, 10.0, 100.0)
        )
        gains.append(right - accuracy(texts, tested, truth))
        over_regression.append(right - best)

    assert np.mean(gains) > 0.05
    assert np.mean(over_regression) > -0.02


def test_cross_validation_does_not_flatter() -> None:
    """Where nothing can be learnt, the figure is at chance; elsewhere it is near that on other images."""
    rng = np.random.default_rng(0)
    noise = unit_rows(rng.normal(size=(400, 16)))
    random = fit_few_shots(noise, np.repeat(np.arange(4), 100), unit_rows(rng.normal(size=(4, 16))), seed=0)
    assert random.ranks is not None
    assert abs((random.ranks == 1).mean() - 0.25) < 0.07

    errors = []
    for seed in range(6):
        images, labels, texts, tested, truth = draw(seed, 8)
        fitted = fit_few_shots(images, labels, texts, seed=seed)
        assert fitted.ranks is not None
        errors.append((fitted.ranks == 1).mean() - accuracy(fitted.vectors, tested, truth))
    assert -0.06 < np.mean(errors) < 0.03


def test_good_words_are_kept() -> None:
    """Where the texts are the centres themselves and images are few and noisy, little of the texts is given up."""
    images, labels, texts, tested, truth = draw(3, 3, noise=3.0, texts=0.0)
    fitted = fit_few_shots(images, labels, texts, seed=0)

    assert accuracy(fitted.vectors, tested, truth) > accuracy(texts, tested, truth) - 0.02


def test_the_scale_gives_calibrated_probabilities() -> None:
    """The mean probability of the best label is near the share that is right, on images that were not examples."""
    images, labels, texts, tested, truth = draw(2, 16)
    fitted = fit_few_shots(images, labels, texts, seed=0)
    assert fitted.scale is not None
    logits = fitted.scale * (tested @ fitted.vectors.T).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)

    assert abs(shares.max(axis=1).mean() - accuracy(fitted.vectors, tested, truth)) < 0.06


def test_one_example_a_label_has_a_fixed_mixture() -> None:
    """There is nothing to hold out, so that nothing is chosen, measured or calibrated."""
    images, labels, texts, *_ = draw(0, 1)
    fitted = fit_few_shots(images, labels, texts, seed=0)

    assert (fitted.method, fitted.folds, fitted.ranks, fitted.scale) == (FIXED, None, None, None)


def test_two_examples_a_label_measure_the_fixed_mixture() -> None:
    """One of them is held out and the other fitted to; a third would be needed to choose."""
    images, labels, texts, *_ = draw(0, 2)
    fitted = fit_few_shots(images, labels, texts, seed=0)
    (alone,) = make_label_vectors(Moments.of(images, labels, len(texts)), texts, [FIXED])

    assert (fitted.method, fitted.folds) == (FIXED, 2)
    assert fitted.ranks is not None
    assert fitted.scale is not None
    assert np.array_equal(fitted.vectors, alone)


@pytest.mark.parametrize("method", [FIXED, Method("mixture", 16.0), Method("ridge", 3.0)])
def test_a_label_with_one_example_is_found_beside_others_with_300(method: Method) -> None:
    """Texts lie apart from images: the label must not lie nearer to them as a whole, with images as far away."""
    found, others = [], []
    for seed in range(4):
        images, labels, texts, tested, truth = draw(seed, 300, count=8)
        kept = np.concatenate([[0], np.flatnonzero(labels > 0)])
        (vectors,) = make_label_vectors(Moments.of(images[kept], labels[kept], len(texts)), texts, [method])
        right = rank_labels(vectors, tested, truth) == 1
        found.append(right[truth == 0].mean())
        others.append(right[truth > 0].mean())

    assert np.mean(found) > 0.7
    assert np.mean(others) > 0.95


def test_one_example_beside_a_thousand() -> None:
    """What is chosen for the labels with a thousand does not leave the other one out."""
    found = []
    for seed in range(4):
        images, labels, texts, tested, truth = draw(seed, 1000, count=3)
        kept = np.concatenate([np.flatnonzero(labels > 0), [0]])
        fitted = fit_few_shots(images[kept], labels[kept], texts, seed=0)
        found.append(accuracy(fitted.vectors, tested[truth == 0], truth[truth == 0]))

    assert np.mean(found) > 0.7


def test_equal_images_and_equal_texts() -> None:
    """Nothing can be told apart: vectors are finite and of length 1, and the first label is everyone's."""
    images, labels = unit_rows(np.ones((6, 4))), np.repeat(np.arange(2), 3)
    for texts in (unit_rows(np.ones((2, 4))), unit_rows(np.eye(2, 4))):
        fitted = fit_few_shots(images, labels, texts, seed=0)
        assert np.allclose(np.linalg.norm(fitted.vectors, axis=1), 1, atol=1e-6)
        assert fitted.scale is not None
        assert np.isfinite(fitted.scale)


def test_labels_and_images_in_another_order() -> None:
    """The same vectors, in the order of the labels; the method may be chosen on other parts of the images."""
    images, labels, texts, *_ = draw(7, 3)
    order, turned = np.random.default_rng(0).permutation(len(images)), np.arange(len(texts))[::-1]
    one, other = (
        make_label_vectors(moments, vectors, [Method("ridge", 1.0), FIXED])
        for moments, vectors in (
            (Moments.of(images, labels, len(texts)), texts),
            (Moments.of(images[order], turned[labels][order], len(texts)), texts[turned]),
        )
    )
    for vectors, others in zip(one, other, strict=True):
        assert np.abs(vectors - others[turned]).max() < 1e-6


def test_the_same_seed_gives_the_same() -> None:
    """To the last bit; another seed divides the images otherwise."""
    images, labels, texts, *_ = draw(0, 5)
    first, again = (fit_few_shots(images, labels, texts, seed=3) for _ in range(2))

    assert first.method == again.method
    assert first.scale == again.scale
    assert np.array_equal(first.vectors, again.vectors)
    assert first.ranks is not None
    assert again.ranks is not None
    assert np.array_equal(first.ranks, again.ranks)
    other = fit_few_shots(images, labels, texts, seed=4).ranks
    assert other is not None
    assert not np.array_equal(first.ranks, other)


def test_every_part_has_its_share_of_each_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no label is missing where it need not be."""
    from clipsim.vectors import few_shots

    divided: list[list[NDArray[np.intp]]] = []
    divide = few_shots._divide

    def record(labels: Labels, folds: int, seed: int) -> list[Labels]:
        divided.append(divide(labels, folds, seed))
        return divided[-1]

    monkeypatch.setattr(few_shots, "_divide", record)
    images, labels, texts, *_ = draw(0, 7)
    fit_few_shots(images, labels, texts, seed=0)
    (parts,) = divided

    assert len(parts) == 5
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(images)))
    counts = np.array([np.bincount(labels[part], minlength=len(texts)) for part in parts])
    assert counts.min() >= 1
    assert counts.max() <= 2


def test_ties_are_broken_by_the_order_of_the_labels() -> None:
    """Of labels with the same vector the first comes first."""
    vectors = unit_rows(np.array([[1.0, 0], [0, 1.0], [0, 1.0]]))

    assert rank_labels(vectors, unit_rows(np.array([[0.1, 1.0]] * 3)), np.array([0, 1, 2])).tolist() == [3, 1, 2]
