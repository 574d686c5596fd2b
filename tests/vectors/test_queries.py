"""Tests of `scoring.queries`: sums of unit vectors."""

from __future__ import annotations

import numpy as np
from data_sets import random_vectors

from clipsim.vectors.nearest import combine_vectors


def test_sums_are_those_of_plain_numpy() -> None:
    """Each query + w · Σ plus - w · Σ minus, of length one."""
    queries, plus, minus = random_vectors(4, 9), random_vectors(2, 9, seed=2), random_vectors(3, 9, seed=3)
    expected = queries + 0.7 * plus.sum(axis=0) - 0.7 * minus.sum(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    np.testing.assert_allclose(combine_vectors(queries, plus, minus, 0.7), expected, atol=1e-6)


def test_queries_alone_stay_as_they_are() -> None:
    """Not even their rounding changes."""
    queries, none = random_vectors(4, 9), np.zeros((0, 9), np.float32)

    assert combine_vectors(queries, none, none, 1.0) is queries


def test_what_cancels_out_has_no_direction() -> None:
    """Rounding leaves a remainder, which is not taken for a query; the others are not concerned."""
    queries, none = random_vectors(2, 9), np.zeros((0, 9), np.float32)
    combined = combine_vectors(queries, none, queries[:1], 1.0)

    assert np.isnan(combined[0]).all()
    assert np.isfinite(combined[1]).all()
