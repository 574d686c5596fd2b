"""Properties of `scoring.similarity` that hold for all vectors and cosines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipsim.vectors.similarity import (
    best_text,
    cosine,
    mean_of_templates,
    order_texts,
    probabilities,
    unit_rows,
)

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
        assert (np.diff(shares[order_texts(similarity[:, column]), column]) <= 1e-12).all()
        assert similarity[best_text(similarity)[column], column] == similarity[:, column].max()


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
