"""Vectors of texts and images → the vectors to search for: each with others added to it and subtracted from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.scoring.similarity import Vectors, unit_rows

LEAST_LENGTH = 1e-3  # of a sum of unit vectors; a shorter one is what rounding left of vectors that cancel out


def combine_vectors(queries: Vectors, plus: Vectors, minus: Vectors, weight: float) -> Vectors:
    """(m, d), (p, d) and (q, d) unit vectors → (m, d): each query + weight · Σ plus - weight · Σ minus, normalised.

    Rows whose sum has no direction, because its parts cancel out, are NaN.

    >>> combine_vectors(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[:1], np.zeros((0, 2), np.float32), 1.0)
    array([[1.        , 0.        ],
           [0.70710677, 0.70710677]], dtype=float32)
    """
    if not (len(plus) or len(minus)):
        return queries
    change = weight * (plus.astype(np.float64).sum(axis=0) - minus.astype(np.float64).sum(axis=0))
    sums: NDArray[Any] = queries.astype(np.float64) + change
    combined = unit_rows(sums)
    combined[np.linalg.norm(sums, axis=1) < LEAST_LENGTH] = np.nan
    return combined
