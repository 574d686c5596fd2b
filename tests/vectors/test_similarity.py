"""Tests of `vectors.similarity`: cosines and probabilities of known vectors, and properties that hold for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipsim.vectors.similarity import (
    best_passing_text,
    best_text,
    cosine,
    find_near_equal,
    mean_of_templates,
    order_best_first,
    probabilities,
    rank_right,
    round_cosines,
    unit_rows,
)


def test_cosine_of_known_vectors() -> None:
    """The matrix has a row for each text and a column for each image."""
    texts = unit_rows(np.array([[1.0, 0.0], [1.0, 1.0]]))
    images = unit_rows(np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))

    expected = [[1.0, 0.0, -1.0], [0.5**0.5, 0.5**0.5, -(0.5**0.5)]]
    assert cosine(texts, images) == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e-130, 1e130, 1e170, 1e300])
def test_unit_vectors_of_very_small_and_large_numbers(factor: float) -> None:
    """Their squares may not fit into float64; the other rows, and those of length zero, are as ever."""
    vectors = np.random.default_rng(1).normal(size=(4, 9))
    scaled = vectors.copy()
    scaled[1] *= factor
    scaled[2] = 0

    expected = unit_rows(vectors)
    expected[2] = 0
    unit = unit_rows(scaled)
    assert np.array_equal(unit[[0, 3]], expected[[0, 3]])
    assert unit == pytest.approx(expected, abs=1e-7)


def test_cosine_never_leaves_its_range() -> None:
    """Rounding does not push a vector's cosine with itself past one."""
    vectors = unit_rows(np.random.default_rng(0).normal(size=(50, 513)))
    similarity = cosine(vectors, vectors)

    assert similarity.max() <= 1.0
    assert similarity.min() >= -1.0


def test_softmax_gives_shares_of_each_image() -> None:
    """Columns sum to one, and the scale is the one given."""
    similarity = np.array([[0.3, 0.1], [0.2, 0.4]], np.float32)
    shares = probabilities(similarity, head="softmax", logit_scale=10.0)

    assert shares is not None
    assert shares.sum(axis=0) == pytest.approx([1.0, 1.0])
    assert shares[0, 0] == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-6)


def test_softmax_with_a_huge_scale() -> None:
    """Large logits do not overflow."""
    shares = probabilities(np.array([[1.0], [-1.0]], np.float32), head="softmax", logit_scale=1e5)

    assert shares is not None
    assert shares.tolist() == [[1.0], [0.0]]


def test_sigmoid_scores_each_pair_alone() -> None:
    """SigLIP's probability is the logistic of scale × cosine + bias, whatever the other texts are."""
    one = probabilities(np.array([[0.2]], np.float32), head="sigmoid", logit_scale=100.0, logit_bias=-10.0)
    two = probabilities(np.array([[0.2], [0.9]], np.float32), head="sigmoid", logit_scale=100.0, logit_bias=-10.0)

    assert one is not None
    assert two is not None
    assert one[0, 0] == two[0, 0] == pytest.approx(1 / (1 + np.exp(-10.0)), abs=1e-6)


def test_a_single_text_has_no_probability() -> None:
    """A softmax over one text would always say 100 %."""
    assert probabilities(np.array([[0.3]], np.float32), head="softmax", logit_scale=100.0) is None


def test_templates_are_averaged_as_unit_vectors() -> None:
    """A long vector weighs no more than a short one, and the mean has length one."""
    mean = mean_of_templates(np.array([[[100.0, 0.0], [0.0, 1.0]]]))

    assert mean == pytest.approx(np.array([[0.5**0.5, 0.5**0.5]]), abs=1e-6)


def test_equal_texts_keep_their_order() -> None:
    """Ties go to the text given first."""
    similarity = np.array([[0.2], [0.5], [0.5]], np.float32)

    assert best_text(similarity).tolist() == [1]


def test_what_differs_by_less_than_is_promised_is_a_tie() -> None:
    """The best text, the order, the best that passes and the rank of the right one agree: the first of equals."""
    similarity = np.array([[0.3], [0.2999998], [0.3000002], [0.300002]], np.float32)

    assert order_best_first(similarity[:, 0]).tolist() == [3, 0, 1, 2]
    assert best_text(similarity[:3]).tolist() == [0]
    assert best_passing_text(similarity[:3], [0.3000001, 0.1, 0.1]) == [1]
    assert round_cosines(similarity)[:, 0].tolist() == [0.3, 0.3, 0.3, 0.300002]


def test_a_tie_within_the_promise_has_the_rank_of_its_place() -> None:
    """Four gallery vectors whose cosines differ by 1e-7 rank as equal ones do."""
    cosines = np.array([0.6, 0.6000001, 0.5999999, 0.6000002])
    gallery = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)
    query = np.array([[1.0, 0.0]], np.float32)

    ranks = [rank_right(query, gallery, [np.array([right])])[0] for right in range(4)]
    assert ranks == [1, 2, 3, 4]


def test_near_equal_vectors_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that has an equal one before it, whatever the size of the blocks."""
    vectors = unit_rows(np.array([[1, 0], [0, 1], [1, 0.01], [1, 0], [-1, 0], [0.01, 1]], np.float32))
    for size in (1, 2, 4, 256):
        monkeypatch.setattr("clipsim.vectors.similarity.NEAR_EQUAL_BLOCK", size)
        assert find_near_equal(vectors, 0.99) == [(2, 0), (3, 0), (5, 1)]
    assert find_near_equal(vectors, 0.99999) == [(3, 0)]


def test_the_best_passing_text_is_the_best_of_those_that_pass() -> None:
    """Each text has its own threshold; equal cosines go to the first."""
    similarity = np.array([[0.3, 0.3, 0.1], [0.2, 0.25, 0.1], [0.25, 0.25, 0.1]], np.float32)

    assert best_passing_text(similarity, [0.31, 0.2, 0.2]) == [2, 1, None]
    assert best_passing_text(similarity, [0.3, 0.3, 0.3]) == [0, 0, None]


def test_a_cosine_does_not_depend_on_the_others() -> None:
    """Bit for bit: one image against one text, and the same among many."""
    random = np.random.default_rng(5)
    texts, images = (unit_rows(random.standard_normal((count, 512))) for count in (50, 33))
    together = cosine(texts, images)

    assert together.dtype == np.float32
    for rows, columns in ((1, 1), (2, 4), (3, 32), (50, 1)):
        for column in range(0, 33, columns):
            alone = cosine(texts[:rows], images[column : column + columns])
            assert np.array_equal(alone, together[:rows, column : column + columns])


NUMBERS = st.floats(-1e3, 1e3, width=32)
COSINES = arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 6)), elements=st.floats(-1, 1, width=32))


@given(arrays(np.float32, (5, 7), elements=NUMBERS), arrays(np.float32, (3, 7), elements=NUMBERS), st.floats(0.01, 100))
def test_cosine_is_symmetric_bounded_and_independent_of_length(
    left: np.ndarray, right: np.ndarray, factor: float
) -> None:
    """Scaling a vector changes nothing; swapping the sides transposes."""
    assume((np.linalg.norm(left, axis=1) > 1e-3).all() and (np.linalg.norm(right, axis=1) > 1e-3).all())
    similarity = cosine(unit_rows(left), unit_rows(right))

    assert np.abs(similarity).max() <= 1
    assert np.allclose(cosine(unit_rows(right), unit_rows(left)).T, similarity, atol=1e-5)
    assert cosine(unit_rows(left * factor), unit_rows(right)) == pytest.approx(similarity, abs=1e-5)


@given(COSINES, st.floats(0.1, 1000))
def test_softmax_is_a_distribution_that_keeps_the_order(similarity: np.ndarray, scale: float) -> None:
    """Columns sum to one, no share is negative, and a greater cosine never has a smaller share."""
    shares = probabilities(similarity, head="softmax", logit_scale=scale)

    assert shares is not None
    assert (shares >= 0).all()
    assert shares.sum(axis=0) == pytest.approx(np.ones(similarity.shape[1]))
    for column in range(similarity.shape[1]):
        assert (np.diff(shares[np.argsort(-similarity[:, column], kind="stable"), column]) <= 1e-12).all()
        best = similarity[best_text(similarity)[column], column]
        assert best >= similarity[:, column].max() - 1.1e-6


@given(COSINES, st.floats(0.1, 1000), st.floats(-50, 50))
def test_sigmoid_does_not_depend_on_the_other_texts(similarity: np.ndarray, scale: float, bias: float) -> None:
    """A row alone has the same probabilities as among the others."""
    whole = probabilities(similarity, head="sigmoid", logit_scale=scale, logit_bias=bias)
    alone = probabilities(similarity[:1], head="sigmoid", logit_scale=scale, logit_bias=bias)

    assert whole is not None
    assert alone is not None
    assert ((whole >= 0) & (whole <= 1)).all()
    assert (whole[:1] == alone).all()


@given(arrays(np.float32, (2, 3, 5), elements=st.floats(0.125, 10, width=32)))
def test_the_order_of_templates_does_not_matter(features: np.ndarray) -> None:
    """The mean is the same, and has length one."""
    mean = mean_of_templates(features)

    assert np.linalg.norm(mean, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
    assert mean_of_templates(features[:, ::-1]) == pytest.approx(mean, abs=1e-5)
